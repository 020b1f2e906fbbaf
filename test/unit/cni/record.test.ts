/**
 * What is on disk after any step of an ADD, and that undoing from there leaves nothing; no root, no kernel.
 * @module
 */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fileName, hostVethName, macAddress } from '../../../src/cni/attachment-name.ts';
import { parseRange } from '../../../src/cni/ipam/address-pool.ts';
import { allocate } from '../../../src/cni/ipam/allocator.ts';
import { LeaseStore } from '../../../src/cni/ipam/lease-store.ts';
import { JsonObject } from '../../../src/cni/json-object.ts';
import { type AttachmentRecord, RecordStore } from '../../../src/cni/record.ts';
import { bootId, undo } from '../../../src/cni/undo.ts';
import type { NetlinkSocket } from '../../../src/linux/netlink.ts';

const killed = new Error('killed here');

/** A kernel in which every link can be deleted. */
const kernel = { request: () => {} } as unknown as NetlinkSocket;

describe('records', () => {
  let root: string;
  let records: RecordStore;
  let leases: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'kwg-'));
    leases = join(root, 'leases/net');
    records = new RecordStore({ stateDir: join(root, 'state'), leases }, 'net');
    records.prepare();
  });
  afterEach(() => rmSync(root, { recursive: true }));

  const recordOf = (containerId: string): AttachmentRecord => ({
    containerId,
    ifname: 'eth0',
    network: 'net',
    state: 'begun',
    bootId: bootId(),
    netns: '/run/netns/x',
    netnsId: '4:1',
    bridge: 'br0',
    hostVeth: hostVethName({ containerId, ifname: 'eth0' }),
    leases,
    addresses: [],
    nat: false,
    podName: '',
    at: '2026-11-21T10:00:00.000Z',
    result: undefined,
  });
  const storeOf = (record: AttachmentRecord) => new LeaseStore(record.leases, record, record.hostVeth);
  const files = (path: string) => (existsSync(path) ? readdirSync(path).sort() : []);

  const sets = [
    [parseRange(new JsonObject({ subnet: '10.5.0.0/28' }, ''))],
    [parseRange(new JsonObject({ subnet: 'fd00::/120' }, ''))],
  ];

  /** The disk's part of an ADD; stops like a killed process before its `steps`-th write. */
  const addUntil = (containerId: string, steps: number): void => {
    let left = steps;
    const step = <T>(act: () => T): T => {
      if (left-- === 0) throw killed;
      return act();
    };
    const record = recordOf(containerId);
    const store = storeOf(record);
    step(() => records.begin(record));
    step(() => store.prepare());
    const addresses = allocate(
      {
        isResting: () => false,
        addresses: () => store.addresses(),
        last: (set) => store.last(set),
        // The killed process does not come back to release anything.
        release: () => {},
        reserve: (address) => step(() => store.reserve(address)),
        setLast: (set, address) => step(() => store.setLast(set, address)),
      },
      sets,
      [],
      [],
    );
    step(() => store.discardDraft());
    step(() =>
      records.finish({
        ...record,
        state: 'done',
        addresses: addresses.map((a) => a.address.split('/')[0] ?? ''),
      }),
    );
  };

  test('whatever step an ADD was killed before, undoing leaves nothing of it and all of the others', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 6 }), (kills) => {
        addUntil('stays', 99);
        const before = [
          ...files(leases).filter((name) => !name.startsWith('last')),
          ...files(records.directory),
        ];
        for (const [at, steps] of kills.entries()) {
          const name = { containerId: `pod-${at}`, ifname: 'eth0' };
          try {
            addUntil(name.containerId, steps);
          } catch (error) {
            expect(error).toBe(killed);
          }
          const record = records.read(name);
          if (record !== undefined) undo(records, record, kernel);
        }
        expect([
          ...files(leases).filter((name) => !name.startsWith('last')),
          ...files(records.directory),
        ]).toEqual(before);
        const stays = records.read({ containerId: 'stays', ifname: 'eth0' });
        if (stays !== undefined) undo(records, stays, kernel);
        expect(files(records.directory)).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });

  test('a record that is no record is an ADD that did not finish', () => {
    const name = { containerId: 'pod', ifname: 'eth0' };
    for (const text of ['', '{', 'null', '[]', '{"containerId":1}', '{"containerId":"pod"}']) {
      writeFileSync(join(records.directory, 'pod:eth0.json'), text);
      expect(records.read(name), text).toMatchObject({
        state: 'begun',
        hostVeth: hostVethName(name),
        leases,
      });
    }
  });

  test('any bytes in a record never throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        writeFileSync(join(records.directory, 'pod:eth0.json'), bytes);
        expect(records.read({ containerId: 'pod', ifname: 'eth0' })).toMatchObject({ containerId: 'pod' });
      }),
    );
  });

  test('names of attachments come back from the directory, long ids too', () => {
    const long = 'x'.repeat(400);
    for (const containerId of ['a.b-c_d', long]) records.begin(recordOf(containerId));
    writeFileSync(join(records.directory, 'drafted:eth1.new'), '');
    writeFileSync(join(records.directory, 'locked:net1.lock'), '');
    expect(
      records
        .names()
        .map(({ containerId, ifname }) => `${containerId} ${ifname}`)
        .sort(),
    ).toEqual(['a.b-c_d eth0', 'drafted eth1', 'locked net1', `${long} eth0`].sort());
    expect(records.read({ containerId: long, ifname: 'eth0' })?.containerId).toBe(long);
  });
});

describe('names', () => {
  test('of links and files keep to what the kernel takes', () => {
    fc.assert(
      fc.property(
        fc.stringMatching(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,300}$/),
        fc.stringMatching(/^[a-z0-9]{1,15}$/),
        (containerId, ifname) => {
          expect(hostVethName({ containerId, ifname })).toMatch(/^veth[0-9a-f]{11}$/);
          expect(fileName({ containerId, ifname }).length).toBeLessThanOrEqual(200);
          expect(macAddress(containerId)).toMatch(/^0a:59(:[0-9a-f]{2}){4}$/);
        },
      ),
    );
  });
});
