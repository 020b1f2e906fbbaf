/**
 * Machines that are odd: no root, no /sys, a /proc/sys that cannot be written, no /proc. One sentence, nothing left.
 * @module
 */
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { CniWorld, nothing, type Program, programs } from './cni-world.ts';

const [compiled] = programs;

const port = { hostPort: 8080, containerPort: 80, protocol: 'tcp' };

/** The executable in a mount namespace where `setup` was done before. */
const within = (setup: string): Program =>
  ({
    name: 'compiled',
    command: [
      '/usr/bin/unshare',
      '-m',
      'sh',
      '-c',
      `${setup} || exit 90; exec "$@"`,
      'sh',
      ...compiled.command,
    ],
  }) as unknown as Program;

describe.skipIf(process.getuid?.() !== 0)('on a machine', () => {
  let worlds: CniWorld[] = [];
  beforeAll(() => {
    worlds = [];
  });
  afterEach(() => {
    for (const world of worlds) world.close();
    worlds = [];
  });

  const open = (program: Program): CniWorld => {
    const world = new CniWorld(program);
    worlds.push(world);
    world.addPod('a');
    return world;
  };
  const clean = (world: CniWorld): void => {
    expect(world.leftovers()).toEqual(nothing);
    expect(world.podLinks('a')).toEqual(['lo']);
  };

  test('without root: code 104, before anything is written', async () => {
    const world = open({
      name: 'compiled',
      command: [
        '/usr/bin/setpriv',
        '--reuid',
        '65534',
        '--regid',
        '65534',
        '--clear-groups',
        ...compiled.command,
      ],
    } as unknown as Program);
    expect(await world.refused({ verb: 'ADD', pod: 'a' })).toMatchObject({
      code: 104,
      msg: expect.stringMatching(/^run it as root: /),
    });
    expect(await world.refused({ verb: 'STATUS', pod: '' })).toMatchObject({
      code: 50,
      msg: 'it does not run as root, and cannot make interfaces',
    });
    clean(world);
  });

  test.each([
    ['', {}],
    [', with masquerading and a host port', { ipMasq: true, runtimeConfig: { portMappings: [port] } }],
  ])('root without CAP_NET_ADMIN%s: code 104, and records and leases are taken back', async (_, change) => {
    const world = open({
      name: 'compiled',
      command: ['/usr/bin/setpriv', '--bounding-set', '-net_admin', ...compiled.command],
    } as unknown as Program);
    const config = world.config(change);
    expect(await world.refused({ verb: 'ADD', pod: 'a', config })).toMatchObject({
      code: 104,
      msg: expect.stringMatching(/EPERM|operation not permitted/),
    });
    clean(world);
  });

  test('without /sys everything works', async () => {
    const world = open(within('mount -t tmpfs none /sys'));
    await world.ok({ verb: 'ADD', pod: 'a' });
    await world.ok({ verb: 'DEL', pod: 'a' });
    clean(world);
  });

  test('with a /proc/sys that cannot be written: an error that names the setting, and nothing left', async () => {
    const world = open(within('mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys'));
    const said = await world.refused({ verb: 'ADD', pod: 'a' });
    expect(said).toMatchObject({
      code: 100,
      msg: expect.stringMatching(/^a setting of the kernel is out of reach: EROFS: .*\/proc\/sys\/net\//),
    });
    clean(world);
  });

  // The compiled executable reads itself there, and asks where it stands: neither is ours to change.
  test.each([
    ['without /proc', 'mount -t tmpfs none /proc'],
    [
      'in a folder that was deleted',
      'mkdir /tmp/kwr-gone.$$ && cd /tmp/kwr-gone.$$ && rmdir /tmp/kwr-gone.$$',
    ],
  ])('%s it does not start, and nothing is done', async (_, setup) => {
    const world = open(within(setup));
    const { code, stdout } = await world.call({ verb: 'ADD', pod: 'a' });
    expect(code).not.toBe(0);
    expect(stdout).toBe('');
    clean(world);
  });
});
