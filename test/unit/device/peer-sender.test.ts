/**
 * What becomes of a run of datagrams by each answer the kernel may give to it. The answers are scripted; which of them a
 * kernel gives when is in linux net/ipv4/udp.c and test/netns/device-path.test.ts.
 * @module
 */
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { Drop, type DropName, dropNames } from '../../../src/device/drops.ts';
import { PeerSender } from '../../../src/device/peer-sender.ts';
import { Errno } from '../../../src/linux/libc.ts';
import type { Transport } from '../../../src/noise/transport.ts';
import { ENDPOINT_SIZE, ENDPOINT_SOURCE_LENGTH, writeEndpoint } from '../../../src/tun/endpoint.ts';
import { Slab } from '../../../src/tun/slab.ts';

/** What the kernel answers, in turn; 0 when nothing is left. And what it was asked: descriptor, length, datagram length. */
const { answers, asked, waits } = vi.hoisted(() => ({
  answers: [] as number[],
  asked: [] as [number, number, number][],
  waits: [] as number[],
}));

vi.mock('../../../src/tun/udp-port.ts', async (original) => ({
  ...(await original<typeof import('../../../src/tun/udp-port.ts')>()),
  UdpSender: class {
    trafficClass = 0;
    readonly endpoint: number;
    constructor(slab: Slab) {
      this.endpoint = slab.take(64);
    }
    send(fd: number, _offset: number, length: number, segment: number): number {
      asked.push([fd, length, segment]);
      return answers.shift() ?? 0;
    }
    waitForRoom(fd: number): void {
      waits.push(fd);
    }
  },
}));

const PEER = 3;
const WIRE = 1452;
const NOW = 1_000_000;

function setUp() {
  const slab = new Slab(1 << 17);
  const drops = new Float64Array(dropNames.length);
  const table = slab.take(ENDPOINT_SIZE * 8);
  const cleared: number[] = [];
  const transport = {
    endpointOffset: (peer: number) => table + peer * ENDPOINT_SIZE,
    clearSource: (peer: number) => cleared.push(peer),
  } as unknown as Transport;
  writeEndpoint(slab.bytes, table + PEER * ENDPOINT_SIZE, {
    address: Uint8Array.of(192, 0, 2, 2),
    port: 5001,
    scope: 0,
  });
  const sender = new PeerSender(slab, transport, drops, 8);
  sender.fd4 = 44;
  sender.maxSegments = 64;
  return { slab, sender, cleared, table, count: (name: DropName) => drops[Drop[name]] };
}

describe('a run of datagrams', () => {
  beforeEach(() => {
    for (const list of [answers, asked, waits]) list.length = 0;
  });

  it('leaves with one call when the kernel takes it', () => {
    const { sender } = setUp();
    expect(sender.toPeer(PEER, 0, 10 * WIRE - 100, WIRE, NOW)).toBe(10 * WIRE - 100);
    expect(asked).toEqual([[44, 10 * WIRE - 100, WIRE]]);
  });

  it.each([
    ['EMSGSIZE', Errno.EMSGSIZE],
    ['EINVAL, before Linux 6.14', Errno.EINVAL],
  ])('leaves in parts when it is too long for the path (%s), for ten minutes', (_, errno) => {
    const { sender, count } = setUp();
    answers.push(errno);
    expect(sender.toPeer(PEER, 0, 3 * WIRE - 500, WIRE, NOW)).toBe(3 * WIRE - 500);
    expect(asked.slice(1)).toEqual([
      [44, WIRE, WIRE],
      [44, WIRE, WIRE],
      [44, WIRE - 500, WIRE - 500],
    ]);
    expect(count('send-too-long')).toBe(0);
    expect(sender.limit(PEER, WIRE, NOW + 599_000)).toBe(1);
    expect(sender.limit(PEER, WIRE + 1, NOW + 599_000)).toBe(1);
    expect(sender.limit(PEER, WIRE - 1, NOW + 599_000), 'shorter ones').toBe(64);
    expect(sender.limit(PEER + 1, WIRE, NOW), 'another peer').toBe(64);
    expect(sender.limit(PEER, WIRE, NOW + 600_000), 'later').toBe(64);
  });

  it('leaves in parts when the way out cannot cut, and there are no runs any more', () => {
    const { sender } = setUp();
    answers.push(Errno.EIO);
    expect(sender.toPeer(PEER, 0, 2 * WIRE, WIRE, NOW)).toBe(2 * WIRE);
    expect(sender.limit(PEER, WIRE, NOW)).toBe(1);
    expect(sender.limit(PEER + 1, 100, NOW)).toBe(1);
  });

  it('loses only those parts that are refused', () => {
    const { sender, count } = setUp();
    answers.push(Errno.EMSGSIZE, 0, Errno.EMSGSIZE, Errno.EPERM, 0);
    expect(sender.toPeer(PEER, 0, 4 * WIRE, WIRE, NOW)).toBe(2 * WIRE);
    expect(count('send-too-long')).toBe(1);
    expect(count('send-failed')).toBe(1);
  });

  it.each([
    ['EPERM', Errno.EPERM, 'send-failed'],
    ['ENETUNREACH', Errno.ENETUNREACH, 'send-failed'],
    ['ECONNREFUSED', Errno.ECONNREFUSED, 'send-failed'],
  ] as const)('is counted datagram by datagram when it is refused as a whole: %s', (_, errno, reason) => {
    const { sender, count } = setUp();
    answers.push(errno);
    expect(sender.toPeer(PEER, 0, 5 * WIRE - 1, WIRE, NOW)).toBe(0);
    expect(asked.length).toBe(1);
    expect(count(reason)).toBe(5);
  });

  it.each([
    ['EAGAIN', Errno.EAGAIN],
    ['ENOBUFS', Errno.ENOBUFS],
  ])('waits once for room (%s), then is dropped', (_, errno) => {
    const { sender, count } = setUp();
    answers.push(errno);
    expect(sender.toPeer(PEER, 0, 2 * WIRE, WIRE, NOW), 'room was made').toBe(2 * WIRE);
    expect(waits).toEqual([44]);
    answers.push(errno, errno);
    expect(sender.toPeer(PEER, 0, 2 * WIRE, WIRE, NOW)).toBe(0);
    expect(count('send-buffer-full')).toBe(2);
  });

  it('is sent again when a signal came', () => {
    const { sender } = setUp();
    answers.push(Errno.EINTR, Errno.EINTR);
    expect(sender.toPeer(PEER, 0, WIRE, WIRE, NOW)).toBe(WIRE);
    expect(asked.length).toBe(3);
  });

  it('leaves from another address when the one to answer from is gone', () => {
    const { sender, cleared, slab, table } = setUp();
    slab.bytes[table + PEER * ENDPOINT_SIZE + ENDPOINT_SOURCE_LENGTH] = 12;
    answers.push(Errno.ENETUNREACH);
    expect(sender.toPeer(PEER, 0, WIRE, WIRE, NOW)).toBe(WIRE);
    expect(cleared).toEqual([PEER]);
  });

  it('is counted when there is no socket of its family', () => {
    const { sender, count } = setUp();
    sender.fd4 = -1;
    expect(sender.toPeer(PEER, 0, 2 * WIRE, WIRE, NOW)).toBe(0);
    expect(asked).toEqual([]);
    expect(count('no-socket')).toBe(2);
  });
});
