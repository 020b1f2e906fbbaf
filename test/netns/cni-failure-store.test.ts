/**
 * What may be wrong with the disk and with what lies on it: the exact error, and nothing left behind.
 * @module
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { CniWorld, nothing, programs } from './cni-world.ts';

const mount = (...args: readonly string[]): void => {
  execFileSync('mount', args, { stdio: ['ignore', 'ignore', 'pipe'] });
};

describe.skipIf(process.getuid?.() !== 0).each(programs)('the store, $name', (program) => {
  let world: CniWorld;
  let mounted: string[] = [];
  beforeAll(() => {
    world = new CniWorld(program);
    for (const pod of ['a', 'b']) world.addPod(pod);
  });
  afterEach(() => {
    for (const point of mounted.reverse()) execFileSync('umount', [point]);
    mounted = [];
  });
  afterAll(() => world.close());

  const file = (...parts: readonly string[]): string => join(world.directory, ...parts);
  const podIsBare = (pod: string): void => expect(world.podLinks(pod)).toEqual(['lo']);

  /** A file system without a free byte. */
  const full = (path: string): void => {
    mkdirSync(path, { recursive: true });
    mount('-t', 'tmpfs', '-o', 'size=16k,mode=755', 'kwr-full', path);
    mounted.push(path);
    for (const part of [16_384, 4096, 1])
      try {
        writeFileSync(join(path, `ballast-${part}`), Buffer.alloc(part, 1));
      } catch {
        // That much does not fit any more.
      }
  };

  const readOnly = (path: string): void => {
    mkdirSync(path, { recursive: true });
    mount('--bind', path, path);
    mounted.push(path);
    mount('-o', 'remount,bind,ro', path);
  };

  test('records on a full disk: code 5, and nothing was done', async () => {
    full(file('full'));
    const config = world.config({ stateDir: file('full/state') });
    const said = await world.refused({ verb: 'ADD', pod: 'a', config });
    expect(said).toMatchObject({
      code: 5,
      msg: expect.stringMatching(/^the attachment's records cannot be kept: ENOSPC: no space left on device/),
    });
    podIsBare('a');
    expect(world.leftovers()).toEqual(nothing);
    await world.ok({ verb: 'DEL', pod: 'a', config });
    expect(readdirSync(file('full')).filter((name) => !name.startsWith('ballast'))).toEqual(
      existsSync(file('full/state')) ? ['state'] : [],
    );
  });

  test('leases on a full disk: code 5, and no interface, no record, no half lease', async () => {
    full(file('full'));
    const config = world.config({ ipam: world.ipam({ dataDir: file('full/leases') }) });
    const said = await world.refused({ verb: 'ADD', pod: 'a', config });
    expect(said).toMatchObject({ code: 5, msg: expect.stringContaining('ENOSPC') });
    podIsBare('a');
    expect(world.leftovers()).toEqual(nothing);
    if (existsSync(file('full/leases/kwgnet'))) expect(readdirSync(file('full/leases/kwgnet'))).toEqual([]);
  });

  test('an attachment can be deleted from a full disk', async () => {
    mkdirSync(file('full'), { recursive: true });
    mount('-t', 'tmpfs', '-o', 'size=64k,mode=755', 'kwr-full', file('full'));
    mounted.push(file('full'));
    const config = world.config({
      stateDir: file('full/state'),
      ipam: world.ipam({ dataDir: file('full/leases') }),
    });
    await world.ok({ verb: 'ADD', pod: 'a', config });
    for (let part = 65_536; part >= 1; part /= 2)
      try {
        writeFileSync(file(`full/ballast-${part}`), Buffer.alloc(part, 1));
      } catch {
        // As above.
      }
    await world.ok({ verb: 'DEL', pod: 'a', netns: '', config });
    podIsBare('a');
    expect(world.leftovers()).toEqual(nothing);
    expect(readdirSync(file('full/state/kwgnet'))).toEqual([]);
    expect(readdirSync(file('full/leases/kwgnet'))).toEqual(['last_reserved_ip.0']);
  });

  test.each(['state', 'leases'] as const)(
    '%s on a read-only disk: code 5, and nothing was done',
    async (which) => {
      readOnly(file('ro'));
      const config =
        which === 'state'
          ? world.config({ stateDir: file('ro/state') })
          : world.config({ ipam: world.ipam({ dataDir: file('ro/leases') }) });
      const said = await world.refused({ verb: 'ADD', pod: 'a', config });
      expect(said).toMatchObject({
        code: 5,
        msg: expect.stringMatching(/^the attachment's records cannot be kept: EROFS: read-only file system/),
      });
      podIsBare('a');
      expect(world.leftovers()).toEqual(nothing);
      expect(await world.refused({ verb: 'STATUS', pod: '', config })).toMatchObject({
        code: 50,
        msg: expect.stringContaining('cannot be written to: EROFS'),
      });
    },
  );

  test('an attachment whose disk became read-only is told of, and gone when it is writable again', async () => {
    const config = world.config({ stateDir: file('rw/state') });
    await world.ok({ verb: 'ADD', pod: 'a', config });
    readOnly(file('rw'));
    expect(await world.refused({ verb: 'DEL', pod: 'a', config })).toMatchObject({
      code: 5,
      msg: expect.stringContaining('EROFS'),
    });
    execFileSync('umount', [mounted.pop() ?? '']);
    await world.ok({ verb: 'DEL', pod: 'a', netns: '', config });
    podIsBare('a');
    expect(world.leftovers()).toEqual(nothing);
    expect(readdirSync(file('rw/state/kwgnet'))).toEqual([]);
  });

  test.each([
    ['empty', ''],
    ['half a record', '{"version":1,"containerId":"a","ifna'],
    ['something else', '"hello"'],
    ['bytes', '\u0000\u00ff\u0000'],
    [
      'a record with the wrong types',
      '{"containerId":"a","ifname":"eth0","hostVeth":7,"leases":{},"addresses":"no"}',
    ],
  ])('a record that is %s: the next ADD and any DEL clear the way', async (_, text) => {
    const record = file('state/kwgnet/a:eth0.json');
    await world.ok({ verb: 'ADD', pod: 'a' });
    writeFileSync(record, text);
    await world.ok({ verb: 'ADD', pod: 'a' });
    expect(world.leftovers()).toMatchObject({ leases: [expect.any(String)], veths: [expect.any(String)] });
    writeFileSync(record, text);
    await world.ok({ verb: 'DEL', pod: 'a', netns: '' });
    podIsBare('a');
    expect(world.leftovers()).toEqual(nothing);
  });

  test.each([
    ['empty', ''],
    ['half written', 'a\r'],
    ['of somebody else', 'b\r\neth0'],
    ['garbage', '\u0000\u00ff'],
  ])('a lease that became %s does not keep the attachment from going', async (_, text) => {
    const { ips } = (await world.ok({ verb: 'ADD', pod: 'a' })) as { ips: { address: string }[] };
    const lease = file('leases/kwgnet', ips[0]?.address.split('/')[0] ?? '');
    writeFileSync(lease, text);
    await world.ok({ verb: 'DEL', pod: 'a' });
    podIsBare('a');
    const left = world.leftovers();
    expect(left).toMatchObject({ veths: [], state: [], tables: '' });
    // What is not ours by its text stays, and is nobody's to give: GC takes it.
    await world.ok({
      verb: 'GC',
      pod: '',
      config: world.config({ 'cni.dev/valid-attachments': [] }),
    });
    expect(world.leftovers()).toEqual(nothing);
  });

  test('a last address that is nonsense is none', async () => {
    await world.ok({ verb: 'ADD', pod: 'a' });
    await world.ok({ verb: 'DEL', pod: 'a' });
    for (const text of ['', 'nonsense', '999.0.0.1', '2001:db8::1']) {
      writeFileSync(file('leases/kwgnet/last_reserved_ip.0'), text);
      expect(await world.ok({ verb: 'ADD', pod: 'a' })).toMatchObject({ ips: [{ address: '10.42.0.2/24' }] });
      await world.ok({ verb: 'DEL', pod: 'a' });
    }
    expect(world.leftovers()).toEqual(nothing);
  });

  test('a clock that jumps changes nothing', async () => {
    await world.ok({ verb: 'ADD', pod: 'a' });
    const record = file('state/kwgnet/a:eth0.json');
    const before = JSON.parse(readFileSync(record, 'utf8'));
    for (const at of ['1970-01-01T00:00:00.000Z', '2106-02-07T06:28:15.000Z']) {
      writeFileSync(record, JSON.stringify({ ...before, at }));
      for (const path of [
        record,
        ...readdirSync(file('leases/kwgnet')).map((name) => file('leases/kwgnet', name)),
      ])
        utimesSync(path, new Date(at), new Date(at));
      expect(await world.refused({ verb: 'ADD', pod: 'a' })).toMatchObject({ code: 102 });
      await world.ok({ verb: 'ADD', pod: 'b' });
      await world.ok({ verb: 'DEL', pod: 'b' });
    }
    await world.ok({ verb: 'DEL', pod: 'a', netns: '' });
    expect(world.leftovers()).toEqual(nothing);
  });

  test('a folder where a file should be is an error, not a crash', async () => {
    mkdirSync(file('state/kwgnet/a:eth0.json'), { recursive: true });
    const said = await world.refused({ verb: 'ADD', pod: 'a' });
    expect(said).toMatchObject({ code: 5, msg: expect.stringContaining('EISDIR') });
    rmSync(file('state/kwgnet/a:eth0.json'), { recursive: true });
    podIsBare('a');
    expect(world.leftovers()).toEqual(nothing);
  });

  test('an exhausted pool: code 101, nothing held in the other family, STATUS says 50', async () => {
    const config = world.config({
      bridge: 'kwr-pool',
      ipam: world.ipam({ ranges: [[{ subnet: 'fd42::/64' }], [{ subnet: '10.42.0.0/30' }]] }),
    });
    await world.ok({ verb: 'ADD', pod: 'a', config });
    const before = world.leftovers();
    expect(await world.refused({ verb: 'ADD', pod: 'b', config })).toMatchObject({
      code: 101,
      msg: 'failed to allocate for range 1: no IP addresses available in range set: 10.42.0.1-10.42.0.2',
    });
    expect(world.leftovers()).toEqual(before);
    podIsBare('b');
    expect(await world.refused({ verb: 'STATUS', pod: '', config })).toMatchObject({ code: 50 });
    await world.ok({ verb: 'DEL', pod: 'a', config });
    await world.ok({ verb: 'ADD', pod: 'b', config });
    await world.ok({ verb: 'DEL', pod: 'b', config });
    expect(readdirSync(file('leases/kwgnet')).filter((name) => !name.startsWith('last'))).toEqual([]);
    for (const name of ['last_reserved_ip.0', 'last_reserved_ip.1']) rmSync(file('leases/kwgnet', name));
    world.onNode('ip', 'link', 'delete', 'kwr-pool');
  });
});
