/**
 * Who gets past the gate, by what is proved: the messages, their macs and the reading of cookies are those of the
 * protocol's own code on @noble, which shares nothing with the kernel that the gate computes with.
 */
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { loadKernel } from '../../../src/aead/kernel.ts';
import { Drop, type DropName, dropNames } from '../../../src/device/drops.ts';
import { HandshakeGate } from '../../../src/device/handshake-gate.ts';
import { CookieChecker, CookieGenerator } from '../../../src/noise/cookie.ts';
import { parseHandshakeMessage, TYPE_COOKIE_REPLY } from '../../../src/noise/messages.ts';
import { noblePrimitives } from '../../../src/noise/noble.ts';
import { ENDPOINT_SIZE, writeEndpoint } from '../../../src/tun/endpoint.ts';
import { Mailbox } from '../../../src/tun/mailbox.ts';
import { Slab } from '../../../src/tun/slab.ts';
import { seededRandom } from '../noise/fixtures.ts';

/** What left, and to which record. */
const { sent } = vi.hoisted(() => ({ sent: [] as { message: Uint8Array; to: Uint8Array }[] }));

vi.mock('../../../src/tun/udp-port.ts', async (original) => ({
  ...(await original<typeof import('../../../src/tun/udp-port.ts')>()),
  UdpSender: class {
    readonly endpoint: number;
    readonly #slab: Slab;
    constructor(slab: Slab) {
      this.#slab = slab;
      this.endpoint = slab.take(64);
    }
    send(_fd: number, offset: number, length: number): number {
      const { bytes } = this.#slab;
      const to = bytes.slice(this.endpoint, this.endpoint + 64);
      sent.push({ message: bytes.slice(offset, offset + length), to });
      return 0;
    }
  },
}));

const FD = 7;
const SLOTS = 4096;
/** An eighth of the mailbox. */
const LOAD = 512;
const random = seededRandom(5);
const p = noblePrimitives(random);
const { publicKey } = p.generateKeypair();
const v4 = (last: number, port = 1000) => ({ address: Uint8Array.of(192, 0, 2, last), port, scope: 0 });
const v6 = (last: number) => ({
  address: Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, last, 0, 0, 0, 0, 0, 0, 0, 1),
  port: 1000,
  scope: 0,
});
type Source = ReturnType<typeof v4>;

function setUp(crypto: 'wasm' | 'noble' = 'wasm') {
  const slab = new Slab(1 << 20);
  const kernel = loadKernel(slab.memory, { crypto, simd: 128 });
  slab.reserveKernel(kernel.heapBase());
  const drops = new Float64Array(dropNames.length);
  const mailbox = new Mailbox(Mailbox.allocate(SLOTS));
  let woken = 0;
  const gate = new HandshakeGate(slab, kernel, drops, mailbox, () => {
    woken += 1;
  });
  gate.setIdentity(new CookieChecker(p, publicKey).macKeys);
  const at = slab.take(256);
  const record = slab.take(ENDPOINT_SIZE);
  const admit = (message: Uint8Array, source: Source = v4(1), now = 0): void => {
    slab.bytes.set(message, at);
    writeEndpoint(slab.bytes, record, source);
    gate.admit(FD, at, message.length, record, now);
  };
  /** Whoever has no mac2 waits until the device is under load. */
  const load = (): void => {
    for (let i = 0; i < LOAD; i += 1) admit(message(1), v4(200));
  };
  const count = (name: DropName): number => drops[Drop[name]] ?? 0;
  return { gate, mailbox, admit, load, count, woken: () => woken };
}

/** A message of that type from somebody who knows our public key, and, if it was given one, a cookie. */
function message(type: 1 | 2, from = new CookieGenerator(p, publicKey), receiver = 0, now = 0): Uint8Array {
  const bytes = random(type === 1 ? 148 : 92);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  if (type === 2) view.setUint32(8, receiver, true);
  from.addMacs(bytes, now);
  return bytes;
}

function cookieReply(receiver: number): Uint8Array {
  const bytes = random(64);
  new DataView(bytes.buffer).setUint32(0, 3, true);
  new DataView(bytes.buffer).setUint32(4, receiver, true);
  return bytes;
}

/** Opens the reply sent last. */
function readReply(to: CookieGenerator, now = 0): boolean {
  const reply = parseHandshakeMessage(sent.at(-1)?.message ?? new Uint8Array());
  return reply?.type === TYPE_COOKIE_REPLY && to.consumeReply(reply, now);
}

describe('the gate for handshake messages', () => {
  beforeEach(() => {
    sent.length = 0;
  });

  it('lets through who knows our public key, and wakes the control thread once', () => {
    const { mailbox, admit, count, woken } = setUp();
    expect(mailbox.take()).toBeUndefined();
    const good = message(1);
    admit(good);
    admit(message(2));
    expect([mailbox.length, woken()]).toEqual([2, 1]);
    expect(mailbox.take()?.message).toEqual(good);
    admit(random(148).fill(0).fill(1, 0, 1));
    expect([mailbox.length, count('handshake-bad-mac1')]).toEqual([1, 1]);
  });

  it('leaves everything to the control thread while there is no private key', () => {
    const { gate, mailbox, admit } = setUp();
    gate.setIdentity(undefined);
    admit(random(148).fill(1, 0, 1).fill(0, 1, 4));
    expect(mailbox.length).toBe(1);
  });

  it.each(['wasm', 'noble'] as const)('asks for a cookie under load, and takes it back (%s)', (crypto) => {
    const { mailbox, admit, load, count } = setUp(crypto);
    load();
    expect(sent).toEqual([]);
    for (const source of [v4(1), v6(1)]) {
      const newcomer = new CookieGenerator(p, publicKey);
      const first = message(1, newcomer);
      admit(first, source);
      expect(readReply(newcomer)).toBe(true);
      expect(sent.at(-1)?.message.subarray(4, 8)).toEqual(first.subarray(4, 8));
      expect(sent.at(-1)?.to.subarray(2, 4)).toEqual(Uint8Array.of(3, 0xe8));
      const second = message(1, newcomer);
      admit(second, source);
      // It overtakes those who have proved nothing.
      expect(mailbox.take()?.message).toEqual(second);
      expect(mailbox.length).toBe(LOAD);
    }
    expect(count('handshake-cookie-asked')).toBe(2);
  });

  it('takes a cookie from the address and port it was given to only, and for two minutes', () => {
    const { mailbox, admit, load, count } = setUp();
    load();
    const newcomer = new CookieGenerator(p, publicKey);
    admit(message(1, newcomer));
    readReply(newcomer);
    admit(message(1, newcomer), v4(1, 1001));
    admit(message(1, newcomer), v4(2));
    expect(count('handshake-cookie-asked')).toBe(3);
    const late = message(1, newcomer, 0, 100_000);
    admit(late, v4(1), 120_000);
    expect(mailbox.take()?.message).toEqual(late);
    admit(message(1, newcomer, 0, 100_000), v4(1), 120_001);
    expect(count('handshake-cookie-asked')).toBe(4);
  });

  it('stays under load for a second after the ring has emptied', () => {
    const { mailbox, admit, load } = setUp();
    load();
    admit(message(1), v4(1), 10);
    while (mailbox.take() !== undefined);
    admit(message(1), v4(1), 1009);
    expect([mailbox.length, sent.length]).toEqual([0, 2]);
    admit(message(1), v4(1), 1010);
    expect([mailbox.length, sent.length]).toEqual([1, 2]);
  });

  it('lets answers to our own messages through under load, and no others', () => {
    const { gate, mailbox, admit, load, count } = setUp();
    const own = random(148);
    new DataView(own.buffer).setUint32(4, 0xfedc_ba98, true);
    gate.asked(own);
    load();
    const answers = [message(2, undefined, 0xfedc_ba98), cookieReply(0xfedc_ba98)];
    for (const answer of answers) admit(answer);
    expect([mailbox.take()?.message, mailbox.take()?.message]).toEqual(answers);
    admit(message(2, undefined, 0xfedc_ba99));
    admit(cookieReply(0xfedc_ba99));
    expect(mailbox.length).toBe(LOAD);
    expect([count('handshake-cookie-asked'), count('handshake-unknown-index')]).toEqual([1, 1]);
  });

  it('keeps the ring of the proven for twenty a second of each address', () => {
    const { admit, load, count } = setUp();
    load();
    const greedy = new CookieGenerator(p, publicKey);
    admit(message(1, greedy));
    readReply(greedy);
    for (let i = 0; i < 8; i += 1) admit(message(1, greedy));
    expect(count('handshake-rate-limited')).toBe(3);
    admit(message(1, greedy), v4(1), 50);
    expect(count('handshake-rate-limited')).toBe(3);
  });

  it('answers whoever sends little beside whoever sends much', () => {
    const { admit, load, count } = setUp();
    load();
    for (let i = 0; i < 1000; i += 1) admit(message(1), v4(3), 5);
    expect([count('handshake-cookie-asked'), count('handshake-crowded')]).toEqual([50, 950]);
    const newcomer = new CookieGenerator(p, publicKey);
    admit(message(1, newcomer), v4(4), 5);
    expect(readReply(newcomer)).toBe(true);
    // Ten milliseconds later the next share begins.
    admit(message(1), v4(3), 15);
    expect(count('handshake-crowded')).toBe(950);
  });

  it('answers no more than a hundred thousand a second, however many they say they are', () => {
    const { admit, load, count } = setUp();
    load();
    const one = message(1);
    for (let i = 0; i < 3000; i += 1) admit(one, v4(i & 255, i), 5);
    expect(count('handshake-cookie-asked')).toBeLessThanOrEqual(1000);
    expect(count('handshake-cookie-asked')).toBeGreaterThan(900);
  });
});
