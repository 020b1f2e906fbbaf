/**
 * Addresses: the allocator against a naive twin, and the store's files against what host-local reads and writes.
 * @module
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { capacity, checkRangeSets, parseExcluded, parseRange } from '../../../src/cni/ipam/address-pool.ts';
import { allocate } from '../../../src/cni/ipam/allocator.ts';
import { formatAddress, parseAddress } from '../../../src/cni/ipam/ip-address.ts';
import { LeaseStore } from '../../../src/cni/ipam/lease-store.ts';
import { asJsonObject } from '../../../src/cni/json-object.ts';
import { MemoryReservations, naiveNext } from './ipam.twin.ts';

const range = (value: object) => parseRange(asJsonObject(value, 'range'));
const address = (text: string) => {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
};

describe('allocate', () => {
  const small = [range({ subnet: '10.5.0.0/29' })];

  test('goes round, leaves the gateway out, and comes back to what was freed', () => {
    const store = new MemoryReservations();
    const next = () => allocate(store, [small], [], [])[0]?.address;
    expect([next(), next(), next()]).toEqual(['10.5.0.2/29', '10.5.0.3/29', '10.5.0.4/29']);
    store.release('10.5.0.2');
    expect([next(), next(), next()]).toEqual(['10.5.0.5/29', '10.5.0.6/29', '10.5.0.2/29']);
    expect(next).toThrow(
      'failed to allocate for range 0: no IP addresses available in range set: 10.5.0.1-10.5.0.6',
    );
  });

  test('gives a requested address and refuses gateway, taken and foreign ones', () => {
    const store = new MemoryReservations();
    const ask = (text: string) => allocate(store, [small], [], [address(text)]);
    expect(ask('10.5.0.5')).toEqual([{ address: '10.5.0.5/29', gateway: '10.5.0.1' }]);
    expect(() => ask('10.5.0.5')).toThrow(
      'requested IP address 10.5.0.5 is not available in range set 10.5.0.1-10.5.0.6',
    );
    expect(() => ask('10.5.0.1')).toThrow("requested ip 10.5.0.1 is subnet's gateway");
    expect(() => ask('10.9.9.9')).toThrow('failed to allocate all requested IPs: 10.9.9.9');
    expect([...store.held]).toEqual(['10.5.0.5']);
  });

  test('frees the first family when the second has nothing left', () => {
    const store = new MemoryReservations();
    const tiny = [range({ subnet: 'fd00::/126', rangeStart: 'fd00::2', rangeEnd: 'fd00::2' })];
    allocate(store, [small, tiny], [], []);
    expect(() => allocate(store, [small, tiny], [], [])).toThrow(/^failed to allocate for range 1: /);
    expect([...store.held].sort()).toEqual(['10.5.0.2', 'fd00::2']);
  });

  test('an excluded address is only given to who asks for it', () => {
    const store = new MemoryReservations();
    const excluded = parseExcluded(['10.5.0.2', '10.5.0.4/31']);
    const next = () => allocate(store, [small], excluded, [])[0]?.address;
    expect([next(), next()]).toEqual(['10.5.0.3/29', '10.5.0.6/29']);
    expect(next).toThrow(/no IP addresses available/);
    expect(allocate(store, [small], excluded, [address('10.5.0.2')])[0]?.address).toBe('10.5.0.2/29');
    expect(capacity(small, excluded)).toBe(2n);
  });

  test('is the naive search, whatever is held, excluded and was last', () => {
    const bounds = fc.tuple(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 30 }));
    const arbitrary = fc.record({
      ranges: fc.array(bounds, { minLength: 1, maxLength: 3 }),
      held: fc.uniqueArray(fc.tuple(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 1, max: 30 }))),
      excluded: fc.array(fc.tuple(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 0, max: 7 }))),
      last: fc.option(fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 40 }))),
    });
    fc.assert(
      fc.property(arbitrary, ({ ranges, held, excluded, last }) => {
        const set = ranges.map(([a, b], net) =>
          range({
            subnet: `10.0.${net}.0/27`,
            rangeStart: `10.0.${net}.${Math.min(a, b)}`,
            rangeEnd: `10.0.${net}.${Math.max(a, b)}`,
          }),
        );
        const store = new MemoryReservations();
        for (const [net, host] of held) store.reserve(`10.0.${net}.${host}`);
        if (last !== null) store.setLast(0, `10.0.${last[0]}.${last[1]}`);
        const holes = parseExcluded(excluded.map(([net, part]) => `10.0.${net}.${part * 4}/30`));
        const expected = naiveNext(store, set, holes);
        let got: string | undefined;
        try {
          got = allocate(store, [set], holes, [])[0]?.address.split('/')[0];
        } catch (error) {
          expect((error as Error).message).toMatch(/no IP addresses available/);
        }
        expect(got).toBe(expected);
      }),
      { numRuns: 500 },
    );
  });
});

describe('checkRangeSets', () => {
  test('subnets of one set may not overlap', () => {
    const set = [range({ subnet: '10.0.0.0/24' }), range({ subnet: '10.0.0.128/25' })];
    expect(() => checkRangeSets([set])).toThrow(
      'invalid range set 0: subnets 10.0.0.1-10.0.0.254 and 10.0.0.129-10.0.0.254 overlap',
    );
  });
});

describe('ip addresses', () => {
  test.each([
    ['10.42.0.5', '10.42.0.5'],
    ['::', '::'],
    ['fd00:0:0:0:0:0:0:5', 'fd00::5'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['1:0:3:4:5:6:7:8', '1:0:3:4:5:6:7:8'],
  ])('%s is written %s', (text, canonical) => {
    expect(formatAddress(address(text))).toBe(canonical);
  });

  test.each(['', '10.0.0', '10.0.0.256', '010.0.0.1', 'fe80::1%eth0', ':::', '1::2::3', 'lock', '.draft'])(
    '%s is none',
    (text) => expect(parseAddress(text)).toBeUndefined(),
  );
});

describe('LeaseStore', () => {
  let directory: string;
  beforeEach(() => {
    directory = join(mkdtempSync(join(tmpdir(), 'kwg-')), 'net');
  });
  afterEach(() => rmSync(join(directory, '..'), { recursive: true }));

  const owner = { containerId: 'abc', ifname: 'eth0' };
  const open = (who = owner, token = 'vethx') => {
    const store = new LeaseStore(directory, who, token);
    store.prepare();
    return store;
  };

  test("writes host-local's files, byte for byte", () => {
    const store = open();
    expect(store.reserve('10.42.0.5')).toBe(true);
    expect(store.reserve('fd00::5')).toBe(true);
    store.setLast(0, '10.42.0.5');
    store.discardDraft();
    expect(readdirSync(directory).sort()).toEqual(['10.42.0.5', 'fd00::5', 'last_reserved_ip.0']);
    expect(readFileSync(join(directory, '10.42.0.5'), 'latin1')).toBe('abc\r\neth0');
    expect(readFileSync(join(directory, 'last_reserved_ip.0'), 'latin1')).toBe('10.42.0.5');
  });

  test('respects and frees what host-local wrote, old form included', () => {
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'lock'), '');
    writeFileSync(join(directory, '10.42.0.2'), 'other\r\neth0');
    writeFileSync(join(directory, '10.42.0.3'), 'abc\r\neth0');
    writeFileSync(join(directory, '10.42.0.4'), ' abc ');
    writeFileSync(join(directory, '10.42.0.6'), 'abc\r\neth1');
    writeFileSync(join(directory, '10.42.0.7'), '');
    writeFileSync(join(directory, 'last_reserved_ip.0'), '10.42.0.4\n');
    const store = open();
    expect(store.last(0)).toEqual(address('10.42.0.4'));
    expect(store.reserve('10.42.0.2')).toBe(false);
    expect([...store.heldByOwner()].sort()).toEqual(['10.42.0.3', '10.42.0.4']);
    for (const held of ['10.42.0.2', '10.42.0.3', '10.42.0.4', '10.42.0.6']) store.release(held);
    store.discardDraft();
    expect(readdirSync(directory).sort()).toEqual([
      '10.42.0.2',
      '10.42.0.6',
      '10.42.0.7',
      'last_reserved_ip.0',
      'lock',
    ]);
  });

  test('does not free an address that meanwhile belongs to another', () => {
    const first = open();
    const second = open({ containerId: 'def', ifname: 'eth0' }, 'vethy');
    expect(first.reserve('10.42.0.5')).toBe(true);
    second.release('10.42.0.5');
    expect(second.reserve('10.42.0.5')).toBe(false);
  });

  test('a torn last_reserved_ip is as good as none', () => {
    const store = open();
    writeFileSync(join(directory, 'last_reserved_ip.0'), '');
    expect(store.last(0)).toBeUndefined();
  });
});
