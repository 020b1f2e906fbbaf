/**
 * What the kernel lets through to a socket under the filter, on the loopback interface.
 */
import { networkInterfaces } from 'node:os';
import { afterEach, describe, expect, it } from 'vitest';
import { clearFilter, FloodFilter } from '../../../src/device/flood-filter.ts';
import * as libc from '../../../src/linux/libc.ts';
import { writeEndpoint } from '../../../src/tun/endpoint.ts';
import { Slab } from '../../../src/tun/slab.ts';
import { UdpReceiver, UdpSender } from '../../../src/tun/udp-port.ts';

const SOCK_DGRAM = 2;
const families = {
  IPv4: { domain: 2, address: Uint8Array.of(127, 0, 0, 1), size: 16 },
  IPv6: { domain: 10, address: Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), size: 28 },
} as const;

const present = (['IPv4', 'IPv6'] as const).filter((family) =>
  Object.values(networkInterfaces()).some((link) =>
    link?.some((each) => each.internal && each.family === family),
  ),
);

describe.each(present)('the filter against a flood over %s', (name) => {
  const { domain, address, size } = families[name];
  const descriptors: number[] = [];
  afterEach(() => {
    for (const fd of descriptors.splice(0)) libc.close(fd);
  });

  /** A socket on the loopback address, and its port. */
  function open(): { fd: number; port: number } {
    const fd = libc.socket(domain, SOCK_DGRAM | libc.O_NONBLOCK, 0);
    descriptors.push(fd);
    const record = new Uint8Array(64);
    writeEndpoint(record, 0, { address, port: 0, scope: 0 });
    expect(libc.bind(fd, record.slice(0, size), size)).toBe(0);
    const bound = new Uint8Array(28);
    libc.getsockname(fd, bound, Uint8Array.of(28, 0, 0, 0));
    return { fd, port: ((bound[2] ?? 0) << 8) | (bound[3] ?? 0) };
  }

  function setUp() {
    const slab = new Slab(1 << 18);
    const filter = new FloodFilter(slab, () => Math.floor(Math.random() * 2 ** 32));
    const receiver = new UdpReceiver(slab);
    const sender = new UdpSender(slab);
    const device = open();
    const at = slab.take(256);
    /** How many of `count` messages of that type come through. */
    const deliver = (from: { fd: number }, count: number, type: number, mac2 = 0): number => {
      slab.bytes.fill(7, at, at + 148);
      slab.view.setUint32(at, type, true);
      slab.bytes.fill(mac2, at + 132, at + 148);
      writeEndpoint(slab.bytes, sender.endpoint, { address, port: device.port, scope: 0 });
      let received = 0;
      for (let i = 0; i < count; i += 1) {
        expect(sender.send(from.fd, at, 148, 148)).toBe(0);
        if (receiver.receive(device.fd) >= 0) received += 1;
      }
      return received;
    };
    const accuse = (port: number, cookie: number): void => {
      writeEndpoint(slab.bytes, at, { address, port, scope: 0 });
      filter.learn(device.fd, at, cookie, 1000);
    };
    return { filter, device, deliver, accuse };
  }

  it('lets one in thirty-two of the handshakes of a source pass, and everything else', () => {
    const { filter, deliver, accuse } = setUp();
    const [heavy, other] = [open(), open()];
    expect(deliver(heavy, 50, 1)).toBe(50);
    accuse(heavy.port, 0);
    expect(filter.deadline).toBe(2000);
    const passed = deliver(heavy, 2000, 1);
    expect(passed).toBeGreaterThan(10);
    expect(passed).toBeLessThan(200);
    expect(deliver(heavy, 200, 2)).toBeLessThan(100);
    expect(deliver(heavy, 50, 4)).toBe(50);
    expect(deliver(heavy, 50, 1, 9)).toBe(50);
    expect(deliver(other, 50, 1)).toBe(50);
    expect(filter.expire()).toBeGreaterThan(1800);
    expect(filter.deadline).toBe(Number.POSITIVE_INFINITY);
    expect(deliver(heavy, 50, 1)).toBe(50);
  });

  it('knows a flood of forged cookies from messages without', () => {
    const { deliver, accuse } = setUp();
    const heavy = open();
    accuse(heavy.port, 0x0909_0909);
    expect(deliver(heavy, 500, 1, 9)).toBeLessThan(100);
    expect(deliver(heavy, 50, 1)).toBe(50);
  });

  it('is taken from a socket whose owner has gone', () => {
    const { device, deliver, accuse } = setUp();
    const heavy = open();
    accuse(heavy.port, 0);
    clearFilter(device.fd);
    expect(deliver(heavy, 50, 1)).toBe(50);
    clearFilter(-1);
  });
});
