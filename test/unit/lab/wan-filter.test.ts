/**
 * The capture's filter, run by a small classic-BPF machine written from the kernel's documentation, against packets
 * built here.
 * @module
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { describePacket, wanFilter } from '../../../src/lab/wan-filter.ts';

interface Around {
  readonly protocol: number;
  readonly packetType: number;
}

/** Documentation/networking/filter.rst: a load past the end of the packet ends the program with 0. */
function runFilter(program: Uint8Array, packet: Uint8Array, around: Around): number {
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const load = (at: number, size: number): number | null => {
    if (at >>> 0 === 0xfffff000) return around.protocol;
    if (at >>> 0 === 0xfffff004) return around.packetType;
    if (at + size > packet.length) return null;
    let value = 0;
    for (let i = 0; i < size; i += 1) value = value * 256 + (packet[at + i] ?? 0);
    return value;
  };
  let a = 0;
  let x = 0;
  for (let pc = 0; pc < program.length / 8; pc += 1) {
    const code = view.getUint16(pc * 8, true);
    const jt = view.getUint8(pc * 8 + 2);
    const jf = view.getUint8(pc * 8 + 3);
    const k = view.getUint32(pc * 8 + 4, true);
    const loads: Record<number, [number, number]> = {
      32: [k, 4],
      40: [k, 2],
      48: [k, 1],
      64: [x + k, 4],
      72: [x + k, 2],
    };
    const how = loads[code];
    if (how !== undefined) {
      const value = load(...how);
      if (value === null) return 0;
      a = value;
    } else if (code === 0xb1) x = ((load(k, 1) ?? 0) & 0xf) * 4;
    else if (code === 0x54) a = (a & k) >>> 0;
    else if (code === 0x15) pc += a === k ? jt : jf;
    else if (code === 0x35) pc += a >= k ? jt : jf;
    else if (code === 0x45) pc += (a & k) !== 0 ? jt : jf;
    else if (code === 0x06) return k;
    else throw new Error(`unknown instruction ${code.toString(16)}`);
  }
  throw new Error('the program runs over its end');
}

const INCOMING: Around = { protocol: 0x0800, packetType: 0 };

const ipv4 = (
  protocol: number,
  payload: Uint8Array,
  { to = [203, 0, 113, 74], fragment = 0, options = 0 } = {},
): Uint8Array => {
  const header = new Uint8Array(20 + options * 4);
  header[0] = 0x45 + options;
  header[6] = fragment >> 8;
  header[7] = fragment & 0xff;
  header[9] = protocol;
  header.set([203, 0, 113, 42], 12);
  header.set(to, 16);
  return Uint8Array.from([...header, ...payload]);
};
const udp = (payload: Uint8Array): Uint8Array => {
  const header = new Uint8Array(8);
  new DataView(header.buffer).setUint16(4, 8 + payload.length);
  return Uint8Array.from([...header, ...payload]);
};
const message = (type: number, length: number): Uint8Array => {
  const bytes = new Uint8Array(length).fill(0xab);
  bytes.set([type, 0, 0, 0]);
  return bytes;
};

const seen = (packet: Uint8Array, around: Around = INCOMING): 'wireguard' | 'other' | 'nothing' => {
  const wireguard = runFilter(wanFilter('wireguard'), packet, around) > 0;
  const other = runFilter(wanFilter('other'), packet, around) > 0;
  if (wireguard && other) throw new Error('both filters take it');
  return wireguard ? 'wireguard' : other ? 'other' : 'nothing';
};

describe('the filter on the wan', () => {
  it('knows all four WireGuard messages, also behind IP options', () => {
    for (const [type, length] of [
      [1, 148],
      [2, 92],
      [3, 64],
      [4, 32],
      [4, 1452],
    ] as const)
      expect(seen(ipv4(17, udp(message(type, length))))).toBe('wireguard');
    expect(seen(ipv4(17, udp(message(4, 96)), { options: 3 }))).toBe('wireguard');
  });

  it('takes everything else that crosses for plaintext', () => {
    expect(seen(ipv4(1, new Uint8Array(64)))).toBe('other');
    expect(seen(ipv4(6, message(4, 64)))).toBe('other');
    expect(seen(ipv4(17, udp(message(5, 64))))).toBe('other');
    expect(seen(ipv4(17, udp(message(4, 31))))).toBe('other');
    expect(seen(ipv4(17, udp(Uint8Array.from([4, 0, 0, 1, ...new Uint8Array(60)]))))).toBe('other');
    expect(seen(ipv4(17, udp(message(4, 64)), { fragment: 185 }))).toBe('other');
    const ipv6 = new Uint8Array(60);
    ipv6[24] = 0x20;
    expect(seen(ipv6, { ...INCOMING, protocol: 0x86dd })).toBe('other');
  });

  it('leaves out what is said to the API server on its port, and by it, and nothing else of either', () => {
    const tcp = (from: number, to: number): Uint8Array => {
      const header = new Uint8Array(40);
      new DataView(header.buffer).setUint16(0, from);
      new DataView(header.buffer).setUint16(2, to);
      return header;
    };
    const api = [203, 0, 113, 6];
    const byApi = (packet: Uint8Array): Uint8Array =>
      Uint8Array.from([...packet.subarray(0, 12), ...api, ...packet.subarray(16)]);
    expect(seen(ipv4(6, tcp(40_000, 6443), { to: api }))).toBe('nothing');
    expect(seen(ipv4(6, tcp(40_000, 6443), { to: api, options: 2 }))).toBe('nothing');
    expect(seen(byApi(ipv4(6, tcp(6443, 40_000))))).toBe('nothing');
    expect(seen(ipv4(6, tcp(40_000, 6444), { to: api }))).toBe('other');
    expect(seen(ipv4(6, tcp(6443, 40_000), { to: api }))).toBe('other');
    expect(seen(ipv4(6, tcp(40_000, 6443)))).toBe('other');
    expect(seen(byApi(ipv4(6, tcp(40_000, 6443))))).toBe('other');
    expect(seen(ipv4(17, tcp(40_000, 6443), { to: api }))).toBe('other');
    expect(seen(ipv4(6, tcp(40_000, 6443), { to: api, fragment: 185 }))).toBe('other');
  });

  it('passes over what stays on its segment, and over the second sight of what is forwarded', () => {
    expect(seen(new Uint8Array(28), { ...INCOMING, protocol: 0x0806 })).toBe('nothing');
    const multicast = new Uint8Array(60);
    multicast[24] = 0xff;
    expect(seen(multicast, { ...INCOMING, protocol: 0x86dd })).toBe('nothing');
    expect(seen(ipv4(2, new Uint8Array(8), { to: [224, 0, 0, 22] }))).toBe('nothing');
    expect(seen(ipv4(1, new Uint8Array(64)), { ...INCOMING, packetType: 4 })).toBe('nothing');
  });

  it('lets no whole IPv4 unicast packet through uncounted', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 255 }),
        fc.uint8Array({ minLength: 40, maxLength: 80 }),
        (protocol, payload) => seen(ipv4(protocol, payload)) !== 'nothing',
      ),
    );
  });

  it('puts what was caught into words, whatever it is', () => {
    expect(describePacket(ipv4(1, new Uint8Array(8)))).toBe('203.0.113.42 to 203.0.113.74, icmp');
    expect(describePacket(ipv4(89, new Uint8Array(8)))).toBe('203.0.113.42 to 203.0.113.74, protocol 89');
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => describePacket(bytes).length > 0));
  });
});
