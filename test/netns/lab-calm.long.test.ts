/**
 * The lab's mesh for ten minutes without an API server, and a pod-to-pod stream across clouds under twenty restarts of agents.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodesOf } from '../../src/lab/plan.ts';
import { isRoot } from './host.ts';
import { RunningLab } from './running-lab.ts';

const OUTAGE_MS = Number(process.env.KILOWIRE_OUTAGE_SECONDS ?? 600) * 1000;
const RESTARTS = 20;
const STREAM_MS = 60_000;
/** Of an interruption that a person would notice. */
const LONGEST_STALL_MS = 200;

describe.skipIf(!isRoot)('a lab in use, for minutes', () => {
  let lab: RunningLab;
  beforeAll(() => {
    lab = RunningLab.up();
  });
  afterAll(() => RunningLab.down());

  it('streams on between clouds while agents are killed, ended and started again twenty times', async () => {
    const before = await lab.meshes();
    const stop = await lab.stream('aws-0', 'aliyun-0');
    const nodes = nodesOf(lab.plan);
    for (let round = 0; round < RESTARTS; round++) {
      // The two ends of the stream have their turn as often as all others together.
      const name =
        round % 2 === 0
          ? (['aws-0', 'aliyun-0'][(round / 2) % 2] ?? '')
          : (nodes[round % nodes.length]?.name ?? '');
      await lab.restartAgent(name, round % 3 === 0 ? 'SIGTERM' : 'SIGKILL');
      await sleep(STREAM_MS / RESTARTS);
    }
    const { longestStall, bytes } = await stop();
    console.log(`${RESTARTS} restarts: ${bytes} bytes in a stream, longest stall ${longestStall} ms`);
    expect(longestStall).toBeLessThan(LONGEST_STALL_MS);
    expect(await lab.meshes()).toEqual(before);
  });

  it(
    'loses no peer, no route and no packet while the API server is away',
    async () => {
      const before = await lab.meshes();
      const lost = [lab.pinging('aws-0', 'aliyun-0'), lab.pinging('gcp-0', 'azure-0')];
      await lab.withoutApi(() => sleep(OUTAGE_MS));
      expect(await lab.meshes()).toEqual(before);
      // Until everybody has had time for a heart-beat, and for an answer to it.
      await sleep(70_000);
      const counts = await Promise.all(lost.map((stop) => stop()));
      console.log(`${OUTAGE_MS / 1000} s without an API server: ${counts.join(' and ')} packets lost`);
      expect(counts).toEqual([0, 0]);
      expect(await lab.meshes()).toEqual(before);
    },
    OUTAGE_MS + 300_000,
  );
});
