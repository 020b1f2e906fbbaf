/**
 * The power fails at each step an ADD or a DEL takes on the disk. After the reboot nothing of the attachment may be
 * left, whether the runtime sends its DEL or just goes on with the next pod, and no address is given out twice.
 * @module
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createNamedNamespace, deleteNamedNamespace } from '../../src/linux/namespaces.ts';
import { canCutPower, PowerDisk } from './cni-failure-disk.ts';
import { CniWorld, nothing, type Program, programs } from './cni-world.ts';

const [compiled] = programs;
/** What changes the disk, or makes changes last. */
const calls = {
  ADD: ['mkdirat', 'fsync', 'linkat', 'renameat2', 'unlinkat'],
  DEL: ['fsync', 'renameat2', 'unlinkat'],
} as const;
const most = 12;

const syncs = {
  'what was not synced is lost': () => {},
  'another program syncs just before': (disk: PowerDisk) => disk.foreignSync(),
  'the kernel writes all back just before': (disk: PowerDisk) => disk.sync(),
} as const;

describe.skipIf(!canCutPower())('a power cut', () => {
  let folder: string;
  let boot: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'kwr-'));
    boot = join(folder, 'boot_id');
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const startBoot = (number: number): void =>
    writeFileSync(boot, `00000000-0000-4000-8000-${String(number).padStart(12, '0')}\n`);

  /** The executable, in a boot of its own, and killed at a step if KWR_KILL says which. */
  const program = {
    name: 'compiled',
    command: [
      '/usr/bin/unshare',
      '-m',
      'sh',
      '-c',
      `mount --bind "$0" /proc/sys/kernel/random/boot_id || exit 90
if [ -n "$KWR_KILL" ]; then exec strace -f -o "$KWR_LOG" -e inject="$KWR_KILL" "$@"; fi
exec "$@"`,
    ],
  };

  const openWorld = (): CniWorld =>
    new CniWorld({
      ...program,
      command: [...program.command, boot, ...compiled.command],
    } as unknown as Program);

  /** One machine, its disk and the pods `y`, attached long ago, and `x`, about to be. */
  const trial = async (
    verb: 'ADD' | 'DEL',
    call: string,
    time: number,
    beforeCut: (disk: PowerDisk) => void,
    recover: (world: CniWorld) => Promise<void>,
  ): Promise<boolean> => {
    startBoot(1);
    const world = openWorld();
    const disk = new PowerDisk(world.directory);
    const log = join(folder, 'strace');
    try {
      const image = disk.format();
      disk.mount(image);
      for (const pod of ['x', 'y']) world.addPod(pod);
      await world.ok({ verb: 'ADD', pod: 'y' });
      if (verb === 'DEL') await world.ok({ verb: 'ADD', pod: 'x' });
      disk.sync();
      await world.call({
        verb,
        pod: 'x',
        env: { KWR_KILL: `${call}:signal=SIGKILL:when=${time}`, KWR_LOG: log },
      });
      const killed = readFileSync(log, 'utf8').includes('killed by SIGKILL');
      beforeCut(disk);
      const after = disk.cut(image);
      // The machine is off: its links, its tables and its namespaces are gone.
      disk.mount(after);
      for (const pod of ['x', 'y']) world.removePod(pod);
      deleteNamedNamespace(world.node);
      createNamedNamespace(world.node);
      startBoot(2);
      await recover(world);
      expect(world.leftovers(), `${verb}, ${call} ${time}`).toEqual(nothing);
      return killed;
    } finally {
      disk.close();
      world.close();
    }
  };

  const recoveries = {
    'the runtime sends DEL for each': async (world: CniWorld) => {
      for (const pod of ['x', 'y']) await world.ok({ verb: 'DEL', pod, netns: '' });
    },
    'the runtime goes on with another pod': async (world: CniWorld) => {
      world.addPod('z');
      await world.ok({ verb: 'ADD', pod: 'z' });
      expect(world.leftovers().leases).toHaveLength(1);
      expect(world.leftovers().state).toEqual(['z:eth0.json']);
      await world.ok({ verb: 'DEL', pod: 'z' });
    },
  } as const;

  const cases = (['ADD', 'DEL'] as const).flatMap((verb) =>
    (Object.keys(syncs) as (keyof typeof syncs)[]).flatMap((sync) =>
      (Object.keys(recoveries) as (keyof typeof recoveries)[]).map(
        (recovery) => [verb, sync, recovery] as const,
      ),
    ),
  );

  test.each(cases)('in %s; %s; %s', async (verb, sync, recovery) => {
    expect(existsSync(compiled.command[0])).toBe(true);
    let killed = 0;
    for (const call of calls[verb]) {
      let time = 1;
      while (time < most && (await trial(verb, call, time, syncs[sync], recoveries[recovery]))) time++;
      expect(time, call).toBeLessThan(most);
      killed += time - 1;
    }
    expect(killed).toBeGreaterThan(4);
  });
});
