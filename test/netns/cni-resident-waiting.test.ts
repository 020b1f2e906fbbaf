/**
 * A resident that is killed together with its caller, and locks that others hold while it serves or begins.
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { residents } from '../../src/cni/resident/place.ts';
import { CniWorld, nothing, resident } from './cni-world.ts';
import { until } from './host.ts';

const [program] = resident.command;

describe.skipIf(process.getuid?.() !== 0)('a resident', () => {
  let world: CniWorld;
  beforeAll(() => {
    // In a session of its own, so that a signal reaches it with all it has started.
    world = new CniWorld({
      ...resident,
      command: ['/usr/bin/setsid', program],
    } as unknown as typeof resident);
    for (const pod of ['x', 'y', 'z']) world.addPod(pod);
  });
  afterEach(async () => {
    await stop();
    for (const pod of ['x', 'y', 'z']) await world.ok({ verb: 'DEL', pod, config: config(0) });
    expect(world.leftovers()).toEqual(nothing);
  });
  afterAll(() => world.close());

  const config = (seconds: number): object => world.config({ resident: seconds });

  const add = (pod: string): Promise<object> => world.ok({ verb: 'ADD', pod, config: config(60) });

  /** Processes of the executable in the node's namespace: callers, residents, sweepers. */
  const processes = (): readonly number[] => {
    const namespace = statSync(`/run/netns/${world.node}`).ino;
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => {
        try {
          return (
            statSync(`/proc/${pid}/ns/net`).ino === namespace && readlinkSync(`/proc/${pid}/exe`) === program
          );
        } catch {
          return false;
        }
      });
  };

  const serving = (): readonly number[] => residents().filter((pid) => processes().includes(pid));

  const stop = async (): Promise<void> => {
    for (const pid of serving()) process.kill(pid, 'SIGKILL');
    await until('the end of every process', () => processes().length === 0);
  };

  test('leaves nothing when an ADD that is to become one is killed with its group, at any moment', async () => {
    for (let trial = 0; trial < 15; trial += 1) {
      const { process: caller, answer } = world.start({ verb: 'ADD', pod: 'x', config: config(60) });
      await sleep(Math.random() * 25);
      try {
        process.kill(-(caller.pid ?? 0), 'SIGKILL');
      } catch {
        // Ended already, or not in its group yet.
        caller.kill('SIGKILL');
      }
      await answer;
      await stop();
      await world.ok({ verb: 'DEL', pod: 'x', netns: '', config: config(0) });
      expect(world.leftovers(), `trial ${trial}`).toEqual(nothing);
      expect(world.podLinks('x'), `trial ${trial}`).toEqual(['lo']);
    }
  });

  /** Resolves when the attachment's lock is held by a process that is none of ours. */
  const holdLock = async (pod: string): Promise<ChildProcess> => {
    const folder = join(world.directory, 'state/kwgnet');
    mkdirSync(folder, { recursive: true });
    const holder = spawn('flock', [join(folder, `${pod}:eth0.lock`), 'sh', '-c', 'echo held; cat']);
    await new Promise((resolve) => holder.stdout?.once('data', resolve));
    return holder;
  };

  test('that serves leaves a call whose lock somebody else holds to its caller, and goes on', async () => {
    await add('z');
    await until('a resident', () => serving().length === 1);
    const before = serving();
    const holder = await holdLock('x');
    let isDone = false;
    const waiting = add('x').then(() => {
      isDone = true;
    });
    await add('y');
    expect(isDone).toBe(false);
    holder.stdin?.end();
    await waiting;
    expect(serving()).toEqual(before);
  });

  test('that begins lets nobody wait for the lock that it waits for itself', async () => {
    const holder = await holdLock('x');
    let isDone = false;
    const waiting = add('x').then(() => {
      isDone = true;
    });
    await Promise.all(['y', 'z'].map(add));
    expect(isDone).toBe(false);
    holder.stdin?.end();
    await waiting;
    await until('one resident', () => serving().length === 1);
  });

  test('answers those that came while it began', async () => {
    await Promise.all(['x', 'y', 'z'].map(add));
    await until('one resident, and no other process but its sweeper', () => processes().length === 2);
    expect(serving()).toHaveLength(1);
  });

  test('begins beside a loopback that is asked for at the same moment, as containerd does', async () => {
    const loopback = { cniVersion: '1.0.0', name: 'cni-loopback', type: 'loopback' };
    const { answer } = world.start({ verb: 'ADD', pod: 'x', ifname: 'lo', config: loopback });
    await add('x');
    await answer;
    await until('one resident', () => serving().length === 1);
  });
});
