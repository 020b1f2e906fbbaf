/**
 * The lab's mesh while what it does not need is away: the API server, and the agents themselves. For minutes, and with figures:
 * lab-calm.long.test.ts.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isRoot } from './host.ts';
import { RunningLab } from './running-lab.ts';

describe.skipIf(!isRoot)('a lab in use', () => {
  let lab: RunningLab;
  beforeAll(() => {
    lab = RunningLab.up();
  });
  afterAll(() => RunningLab.down());

  it('loses no peer, no route and no packet while the API server is away', async () => {
    const before = await lab.meshes();
    const lost = [lab.pinging('aws-0', 'aliyun-0'), lab.pinging('gcp-0', 'azure-0')];
    await lab.withoutApi(() => sleep(30_000));
    expect(await lab.meshes()).toEqual(before);
    await sleep(1000);
    expect(await Promise.all(lost.map((stop) => stop()))).toEqual([0, 0]);
    expect(await lab.meshes()).toEqual(before);
  });

  it('keeps a stream of pods while the agents at its ends are killed, ended and started again', async () => {
    const before = await lab.meshes();
    const stop = await lab.stream('aws-0', 'aliyun-0');
    for (const [name, how] of [
      ['aws-0', 'SIGKILL'],
      ['aliyun-0', 'SIGTERM'],
      ['aws-0', 'SIGTERM'],
    ] as const) {
      await lab.restartAgent(name, how);
      await sleep(1500);
    }
    const { bytes } = await stop();
    expect(bytes).toBeGreaterThan(100_000);
    expect(await lab.meshes()).toEqual(before);
  });
});
