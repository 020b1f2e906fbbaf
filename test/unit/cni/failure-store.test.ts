/**
 * The store after a power cut and beside other calls: leases without text, locks and drafts without a record.
 * @module
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LeaseStore } from '../../../src/cni/ipam/lease-store.ts';
import { RecordStore } from '../../../src/cni/record.ts';

describe('the store', () => {
  let folder: string;
  let leases: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'kwr-'));
    leases = join(folder, 'leases/net');
    mkdirSync(leases, { recursive: true });
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const lease = (address: string, text: string): void => writeFileSync(join(leases, address), text);

  test.each([
    ['an empty lease', ''],
    ['a lease of zeros', '\0\0\0\0\0\0'],
    ['a lease of blanks', '\r\n'],
  ])('%s names nobody, and goes', (_, text) => {
    lease('10.42.0.5', text);
    lease('10.42.0.6', 'living\r\neth0');
    lease('10.42.0.7', 'very-old-host-local');
    new LeaseStore(leases, { containerId: '', ifname: '' }, '').dropNobodys();
    expect(readdirSync(leases).sort()).toEqual(['10.42.0.6', '10.42.0.7']);
  });

  test('a lease that names nobody is given back by the attachment that was told of it, and by no other', () => {
    lease('10.42.0.5', '');
    const store = new LeaseStore(leases, { containerId: 'a', ifname: 'eth0' }, 'draft');
    store.release('10.42.0.5');
    expect(store.heldByOwner()).toEqual([]);
    expect(existsSync(join(leases, '10.42.0.5'))).toBe(true);
    expect(store.heldByOwner(true)).toEqual(['10.42.0.5']);
    store.release('10.42.0.5', true);
    expect(existsSync(join(leases, '10.42.0.5'))).toBe(false);
  });

  test('a draft or a lock without a record goes, unless a call holds it', () => {
    const records = new RecordStore({ stateDir: join(folder, 'state'), leases }, 'net');
    records.prepare();
    const name = { containerId: 'a', ifname: 'eth0' };
    writeFileSync(join(records.directory, 'a:eth0.new'), '{"half');
    const held = records.lock(name);
    records.clearStray(name);
    expect(readdirSync(records.directory).sort()).toEqual(['a:eth0.lock', 'a:eth0.new']);
    held.release();
    records.clearStray(name);
    expect(readdirSync(records.directory)).toEqual([]);
  });
});
