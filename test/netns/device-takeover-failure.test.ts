/**
 * Take-overs that go wrong at every place one can, and what the running process makes of it: it goes on.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { has, isRoot, kilowireWg, root, until } from './host.ts';
import { beginTakeover, Program, TakeoverWorld } from './takeover-world.ts';

const able = isRoot && has('wg');
const NAME = 'kwtof';
const program = join(root, 'test/netns/takeover-impostor.ts');

describe.skipIf(!able)('a take-over that fails', () => {
  let world: TakeoverWorld;
  const socket = (): string => `/var/run/wireguard/${world.a.link}.takeover`;
  beforeAll(async () => {
    world = await TakeoverWorld.start(NAME);
  });
  afterAll(async () => {
    await world?.close();
  });

  const impostor = (place: string, ...wrapper: string[]): Program =>
    new Program(world.a.host.spawn([...wrapper, process.execPath, program, socket(), place]));

  /** The device as it should be, with the same process. */
  async function goesOn(pid: number | undefined): Promise<void> {
    await until('pings', () => world.a.reaches(world.b), 20_000);
    expect(world.runner(world.a).process.pid).toBe(pid);
    expect(world.runner(world.a).isRunning).toBe(true);
  }

  it.each(['greeting', 'hello', 'ready', 'state', 'garbage', 'garbage-later', 'garbage-late'])(
    'before it is committed (%s) changes nothing: the same session goes on',
    async (place) => {
      const { pid } = world.runner(world.a).process;
      const before = world.a.show('latest-handshakes', world.b);
      const sent = world.a.bytesSent(world.b);
      const child = impostor(place);
      if (place.startsWith('garbage')) {
        await until('its refusal', () => !child.isRunning, 20_000);
        expect(child.output).toMatch(/did not say/);
      } else await child.ended;
      await goesOn(pid);
      expect(world.a.show('latest-handshakes', world.b)).toBe(before);
      expect(world.a.bytesSent(world.b)).toBeGreaterThan(sent);
    },
  );

  it('in the moment of its commitment leaves one that works', async () => {
    const { pid } = world.runner(world.a).process;
    await impostor('prepared').ended;
    await goesOn(pid);
  });

  it.each(['commit', 'late', 'stuck'])(
    'after it was committed (%s) ends the other process, and agrees on new keys',
    async (place) => {
      const { pid } = world.runner(world.a).process;
      const before = Number(world.a.show('latest-handshakes', world.b));
      const sent = world.a.bytesSent(world.b);
      // The time of a handshake is told in seconds.
      await sleep(1000);
      const child = impostor(place);
      await until('its end', () => !child.isRunning, 30_000);
      expect(child.process.signalCode).toBe('SIGKILL');
      await goesOn(pid);
      expect(Number(world.a.show('latest-handshakes', world.b))).toBeGreaterThan(before);
      expect(world.a.bytesSent(world.b)).toBeGreaterThan(sent);
    },
  );

  it('is not for another user, though the socket were open to all', async () => {
    expect(statSync(socket()).mode & 0o777).toBe(0o600);
    const { pid } = world.runner(world.a).process;
    const asNobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
    const closed = spawnSync(
      asNobody[0] as string,
      [...asNobody.slice(1), kilowireWg, '--takeover', world.a.link],
      {
        encoding: 'utf8',
      },
    );
    expect(closed.status).toBe(1);
    expect(closed.stderr).toMatch(/Another user runs kwtof1: only that user may take it over/);
    chmodSync(socket(), 0o666);
    const child = impostor('late', ...asNobody);
    expect(await child.ended).toBe(1);
    expect(child.output).toMatch(/A process of user 65534 may not take over/);
    chmodSync(socket(), 0o600);
    await goesOn(pid);
  });

  it('because nobody runs the interface says so', () => {
    const { status, stderr } = spawnSync(kilowireWg, ['--takeover', 'kwtonone'], { encoding: 'utf8' });
    expect(status).toBe(1);
    expect(stderr).toBe(
      "kilowire-wg: kwtonone does not run here, so there is nothing to take over: start it with 'kilowire device kwtonone'.\n",
    );
  });

  it('because whoever runs it knows no take-over says so', () => {
    rmSync(`/var/run/wireguard/${world.b.link}.takeover`);
    const { status, stderr } = spawnSync(kilowireWg, ['-f', '--takeover', world.b.link], {
      encoding: 'utf8',
    });
    expect(status).toBe(1);
    expect(stderr).toMatch(/What runs kwtof2 cannot hand it over: restart it instead/);
  });

  it('because the new process was killed, whenever that was, leaves a device that works', async () => {
    // Mulberry32, so that a failure can be told: the moments follow from this number.
    let seed = 20_261_121;
    const random = (): number => {
      seed = (seed + 0x6d2b79f5) | 0;
      let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000;
    };
    const began = performance.now();
    await world.takeOver(world.a);
    const usual = performance.now() - began;
    const trials = Number(process.env.KILOWIRE_KILLS ?? 6);
    let survived = 0;
    for (let trial = 0; trial < trials; trial += 1) {
      const former = world.runner(world.a);
      const child = beginTakeover(world.a.host, world.a.link);
      // Most of the time it starts, so most of the moments are near the end.
      await sleep(usual * (0.9 - 0.6 * random() ** 2));
      child.process.kill('SIGKILL');
      await child.ended;
      const letGo = (await Promise.race([former.ended, sleep(300, 'runs')])) !== 'runs';
      if (letGo) {
        // It was the device already, and had said so: that was a crash, and not of a take-over.
        expect(child.output, `trial ${trial}: ${former.output}`).toContain('Device taken over');
        await world.restart(world.a);
      } else survived += 1;
      await until(`pings after trial ${trial}`, () => world.a.reaches(world.b), 20_000);
    }
    expect(survived).toBeGreaterThan(0);
    if (process.env.KILOWIRE_SHOW) process.stdout.write(`${survived} of ${trials} killed\n`);
  });

  it('has used no nonce twice in all this', async () => {
    const report = await world.relayReport();
    expect(report.messages).toBeGreaterThan(20);
    expect(report.repeated).toEqual([]);
  });
});
