/**
 * Allowed IPs: the tables of the kernel's and wireguard-go's selftests, and random runs against the twin.
 * @module
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AllowedIps } from '../../../src/noise/allowed-ips.ts';
import { AllowedIpsTwin } from './allowed-ips.twin.ts';
import { seededRandom } from './fixtures.ts';

const [a, b, c, d, e, f, g, h] = [0, 1, 2, 3, 4, 5, 6, 7] as const;
const NOBODY = -1;

const v4 = (text: string): Uint8Array => Uint8Array.from(text.split('.'), Number);
/** Four words. */
const v6 = (...words: readonly number[]): Uint8Array => {
  const bytes = new Uint8Array(16);
  words.forEach((word, i) => {
    new DataView(bytes.buffer).setUint32(4 * i, word);
  });
  return bytes;
};

function lookup(table: AllowedIps, address: Uint8Array): number {
  if (address.length === 16) {
    // At an offset that is not aligned, as in a packet.
    const bytes = new Uint8Array(21);
    bytes.set(address, 5);
    return table.lookup6(bytes, 5);
  }
  return table.lookup4(new DataView(address.buffer, address.byteOffset).getUint32(0));
}

function insert4(table: AllowedIps, peer: number, range: string): void {
  const [address, cidr] = range.split('/') as [string, string];
  table.insert(v4(address), Number(cidr), peer);
}

describe('allowed IPs, IPv4', () => {
  const table = new AllowedIps();
  insert4(table, a, '192.168.4.0/24');
  insert4(table, b, '192.168.4.4/32');
  insert4(table, c, '192.168.0.0/16');
  insert4(table, d, '192.95.5.64/27');
  insert4(table, c, '192.95.5.65/27');
  insert4(table, e, '0.0.0.0/0');
  insert4(table, g, '64.15.112.0/20');
  insert4(table, h, '64.15.123.211/25');
  insert4(table, a, '10.0.0.0/25');
  insert4(table, b, '10.0.0.128/25');
  insert4(table, a, '10.1.0.0/30');
  insert4(table, b, '10.1.0.4/30');
  insert4(table, c, '10.1.0.8/29');
  insert4(table, d, '10.1.0.16/29');

  test.each([
    ['192.168.4.20', a],
    ['192.168.4.0', a],
    ['192.168.4.4', b],
    ['192.168.200.182', c],
    ['192.95.5.68', c],
    ['192.95.5.96', e],
    ['64.15.116.26', g],
    ['64.15.127.3', g],
    ['64.15.123.1', g],
    ['64.15.123.128', h],
    ['64.15.123.129', h],
    ['10.0.0.52', a],
    ['10.0.0.220', b],
    ['10.1.0.2', a],
    ['10.1.0.6', b],
    ['10.1.0.10', c],
    ['10.1.0.20', d],
  ])('%s leads to peer %i', (address, peer) => {
    expect(lookup(table, v4(address))).toBe(peer);
  });

  test('a peer that is removed is found nowhere', () => {
    const lone = new AllowedIps();
    const hosts = ['1.0.0.0', '64.0.0.0', '128.0.0.0', '192.0.0.0', '255.0.0.0'];
    for (const host of hosts) insert4(lone, a, `${host}/32`);
    for (const host of hosts) expect(lookup(lone, v4(host))).toBe(a);
    lone.removePeer(a);
    for (const host of hosts) expect(lookup(lone, v4(host))).toBe(NOBODY);
    expect(lone.size).toBe(0);
    insert4(lone, a, '192.168.0.0/16');
    insert4(lone, a, '192.168.0.0/24');
    lone.removePeer(a);
    expect(lookup(lone, v4('192.168.0.1'))).toBe(NOBODY);
  });

  test('one prefix is removed only as it is and from whose it is', () => {
    const lone = new AllowedIps();
    insert4(lone, a, '1.0.0.0/32');
    insert4(lone, a, '192.0.0.0/24');
    expect(lone.remove(v4('192.0.0.0'), 32, a)).toBe(false);
    expect(lone.remove(v4('192.0.0.0'), 24, NOBODY)).toBe(false);
    expect(lone.remove(v4('192.0.0.0'), 24, b)).toBe(false);
    expect(lookup(lone, v4('192.0.0.1'))).toBe(a);
    expect(lone.remove(v4('192.0.0.77'), 24, a)).toBe(true);
    expect(lookup(lone, v4('192.0.0.1'))).toBe(NOBODY);
    expect(lone.remove(v4('1.0.0.0'), 32, a)).toBe(true);
    expect(lookup(lone, v4('1.0.0.0'))).toBe(NOBODY);
    expect(lone.size).toBe(0);
  });
});

describe('allowed IPs, IPv6', () => {
  const table = new AllowedIps();
  table.insert(v6(0x2607_5300, 0x6000_6b00, 0, 0xc05f_0543), 128, d);
  table.insert(v6(0x2607_5300, 0x6000_6b00, 0, 0), 64, c);
  table.insert(v6(0, 0, 0, 0), 0, e);
  table.insert(v6(0, 0, 0, 0), 0, f);
  table.insert(v6(0x2404_6800, 0, 0, 0), 32, g);
  table.insert(v6(0x2404_6800, 0x4004_0800, 0xdead_beef, 0xdead_beef), 64, h);
  table.insert(v6(0x2404_6800, 0x4004_0800, 0xdead_beef, 0xdead_beef), 128, a);
  table.insert(v6(0x2444_6800, 0x40e4_0800, 0xdeae_beef, 0x0def_beef), 128, c);
  table.insert(v6(0x2444_6800, 0xf0e4_0800, 0xeeae_beef, 0), 98, b);

  test.each([
    [[0x2607_5300, 0x6000_6b00, 0, 0xc05f_0543], d],
    [[0x2607_5300, 0x6000_6b00, 0, 0xc02e_01ee], c],
    [[0x2607_5300, 0x6000_6b01, 0, 0], f],
    [[0x2404_6800, 0x4004_0806, 0, 0x1006], g],
    [[0x2404_6800, 0x4004_0806, 0x1234, 0x5678], g],
    [[0x2404_67ff, 0x4004_0806, 0x1234, 0x5678], f],
    [[0x2404_6801, 0x4004_0806, 0x1234, 0x5678], f],
    [[0x2404_6800, 0x4004_0800, 0x1234, 0x5678], h],
    [[0x2404_6800, 0x4004_0800, 0, 0], h],
    [[0x2404_6800, 0x4004_0800, 0x1010_1010, 0x1010_1010], h],
    [[0x2404_6800, 0x4004_0800, 0xdead_beef, 0xdead_beef], a],
  ])('%j leads to peer %i', (words, peer) => {
    expect(lookup(table, v6(...words))).toBe(peer);
  });

  test('a prefix moves to the peer that asks for it, and is removed only from there', () => {
    const host = v6(0x2444_6801, 0x40e4_0800, 0xdeae_beef, 0x0def_beef);
    const net = v6(0x2444_6800, 0xf0e4_0800, 0xeeae_beef, 0);
    const inside = v6(0x2444_6800, 0xf0e4_0800, 0xeeae_beef, 0x1010_1010);
    table.insert(host, 128, a);
    table.insert(net, 98, a);
    expect(lookup(table, host)).toBe(a);
    expect(lookup(table, inside)).toBe(a);
    for (const [address, cidr] of [
      [host, 128],
      [net, 98],
    ] as const) {
      expect(table.remove(address, 96, a)).toBe(false);
      expect(table.remove(address, cidr, NOBODY)).toBe(false);
      expect(table.remove(address, cidr, b)).toBe(false);
      expect(lookup(table, address)).toBe(a);
      expect(table.remove(address, cidr, a)).toBe(true);
      expect(lookup(table, address)).toBe(f);
    }
  });
});

describe('allowed IPs', () => {
  test('reads the addresses out of a packet, of either version', () => {
    const table = new AllowedIps();
    insert4(table, a, '10.0.0.1/32');
    insert4(table, b, '10.0.0.2/32');
    table.insert(v6(1, 0, 0, 1), 128, c);
    table.insert(v6(1, 0, 0, 2), 128, d);
    const packet4 = new Uint8Array(30);
    packet4[3] = 0x45;
    packet4.set(v4('10.0.0.1'), 3 + 12);
    packet4.set(v4('10.0.0.2'), 3 + 16);
    expect([table.lookupSource(packet4, 3), table.lookupDestination(packet4, 3)]).toEqual([a, b]);
    const packet6 = new Uint8Array(50);
    packet6[3] = 0x60;
    packet6.set(v6(1, 0, 0, 1), 3 + 8);
    packet6.set(v6(1, 0, 0, 2), 3 + 24);
    expect([table.lookupSource(packet6, 3), table.lookupDestination(packet6, 3)]).toEqual([c, d]);
    packet6[3] = 0x50;
    expect([table.lookupSource(packet6, 3), table.lookupDestination(packet6, 3)]).toEqual([NOBODY, NOBODY]);
  });

  test('an IPv4 address in IPv6 clothes is an IPv6 address', () => {
    const table = new AllowedIps();
    insert4(table, a, '10.0.0.0/8');
    expect(lookup(table, v6(0, 0, 0xffff, 0x0a00_0001))).toBe(NOBODY);
  });

  test('refuses a prefix that is none', () => {
    const table = new AllowedIps();
    expect(() => table.insert(v4('1.2.3.4'), 33, a)).toThrow(RangeError);
    expect(() => table.insert(v6(1), 129, a)).toThrow(RangeError);
    expect(() => table.insert(new Uint8Array(5), 8, a)).toThrow(RangeError);
    expect(() => table.insert(v4('1.2.3.4'), Number.NaN, a)).toThrow(RangeError);
  });

  test('agrees with its twin for 100 peers with 250 prefixes of each family, and as they leave', () => {
    const random = seededRandom(2026);
    const table = new AllowedIps();
    const twin = new AllowedIpsTwin();
    // A third of the addresses share their beginning, so that prefixes nest.
    const address = (length: number): Uint8Array => {
      const bytes = random(length);
      if ((bytes[0] as number) % 3 === 0) bytes.fill(0x5a, 0, length / 2);
      return bytes;
    };
    const ranges: (readonly [Uint8Array, number, number])[] = [];
    for (let peer = 0; peer < 100; peer += 1) {
      for (let i = 0; i < 25; i += 1) {
        ranges.push([address(4), 1 + ((random(1)[0] as number) % 32), peer]);
        ranges.push([address(16), 1 + ((random(1)[0] as number) % 128), peer]);
      }
    }
    for (const [bytes, cidr, peer] of ranges) {
      table.insert(bytes, cidr, peer);
      twin.insert(bytes, cidr, peer);
    }
    expect(table.size).toBe(twin.size);
    const compare = (count: number): void => {
      for (let i = 0; i < count; i += 1) {
        for (const length of [4, 16]) {
          const bytes = address(length);
          expect(lookup(table, bytes)).toBe(twin.lookup(bytes));
        }
      }
    };
    compare(300);
    for (let peer = 0; peer < 4; peer += 1) {
      table.removePeer(peer);
      twin.removePeer(peer);
      expect(table.size).toBe(twin.size);
      compare(100);
    }
    for (let peer = 4; peer < 100; peer += 1) table.removePeer(peer);
    expect(table.size).toBe(0);
    expect(lookup(table, v4('1.2.3.4'))).toBe(NOBODY);
  });

  test('agrees with its twin whatever is inserted, moved and removed', () => {
    // Few bits, so that prefixes meet.
    const address = fc.oneof(
      fc.array(fc.constantFrom(0, 1, 128, 255), { minLength: 4, maxLength: 4 }),
      fc.array(fc.constantFrom(0, 255), { minLength: 16, maxLength: 16 }),
    );
    const step = fc.tuple(
      fc.constantFrom('insert', 'insert', 'insert', 'remove', 'leave'),
      address,
      fc.nat({ max: 128 }),
      fc.nat({ max: 3 }),
    );
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 120 }),
        fc.array(address, { maxLength: 20 }),
        (steps, probes) => {
          const table = new AllowedIps();
          const twin = new AllowedIpsTwin();
          for (const [verb, bytes, length, peer] of steps) {
            const prefix = Uint8Array.from(bytes);
            const cidr = length % (8 * bytes.length + 1);
            if (verb === 'insert') {
              table.insert(prefix, cidr, peer);
              twin.insert(prefix, cidr, peer);
            } else if (verb === 'remove') {
              expect(table.remove(prefix, cidr, peer)).toBe(twin.remove(prefix, cidr, peer));
            } else if (length < 16) {
              table.removePeer(peer);
              twin.removePeer(peer);
            }
            expect(table.size).toBe(twin.size);
          }
          for (const bytes of [...probes, ...steps.map((s) => s[1])]) {
            const probe = Uint8Array.from(bytes);
            expect(lookup(table, probe)).toBe(twin.lookup(probe));
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  test('holds 130,560 prefixes in less than 20 MB, and gives the memory back', () => {
    const table = new AllowedIps();
    for (let i = 0; i < 65_280; i += 1) {
      table.insert(v6(0x2001_0db8, i, i * 2_654_435_761, 0), 96, i % 1000);
      table.insert(v6(0xfd00_0000 + i, 0, 0, 1), 128, i % 1000);
    }
    expect(table.size).toBe(130_560);
    expect(table.byteLength).toBeLessThan(20e6);
    for (let peer = 0; peer < 1000; peer += 1) table.removePeer(peer);
    expect(table.size).toBe(0);
    expect(table.byteLength).toBeLessThan(100e3);
  });
});
