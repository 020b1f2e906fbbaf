/**
 * The host side of an agent, killed at any moment of a pass: the next pass brings kernel and device to the state of one that
 * was never disturbed. And its clean-up: everything of the mesh goes, and nothing else.
 * The seed of a failing run is in its message; KILOWIRE_SEED repeats it.
 * @module
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NodeResource } from '../../src/agent/kubernetes/resources.ts';
import { isRoot } from './host.ts';
import { HostWorld, keyOf, nodeOf } from './host-world.ts';

const ROUNDS = 8;
const LONGEST_PASS_MS = 220;

/** mulberry32: the same rounds for the same seed. */
const randomFrom = (seed: number) => {
  let state = seed;
  return (below: number): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
};

/** A cluster in which n1 leads or does not, has neighbours or none, and ranges come and go. */
const randomCluster = (random: (below: number) => number): NodeResource[] => [
  nodeOf({
    name: 'n1',
    number: 1,
    location: 'home',
    internalIP: '10.9.0.1/24',
    annotations: random(2) === 0 ? { 'kilo.squat.ai/leader': '' } : {},
  }),
  ...Array.from({ length: 9 }, (_, at) => at + 2)
    .filter(() => random(3) > 0)
    .map((number) =>
      nodeOf({
        name: `n${number}`,
        number,
        location: random(2) === 0 ? 'home' : `cloud-${random(3)}`,
        ...(random(5) === 0 ? {} : { internalIP: `10.9.${random(2)}.${number}/24` }),
        annotations: {
          ...(random(6) === 0 ? { 'kilo.squat.ai/leader': '' } : {}),
          ...(random(4) === 0 ? { 'kilo.squat.ai/allowed-location-ips': `172.20.${number}.0/24` } : {}),
          ...(random(4) === 0 ? { 'kilo.squat.ai/persistent-keepalive': '25' } : {}),
        },
      }),
    ),
];

const randomPeers = (random: (below: number) => number) =>
  [60, 61, 62]
    .filter(() => random(2) === 0)
    .map((number) => ({
      metadata: { name: `peer-${number}` },
      spec: { publicKey: keyOf(number), allowedIPs: [`10.5.0.${number}/32`] },
    }));

describe.skipIf(!isRoot)("an agent's host side", () => {
  let disturbed: HostWorld;
  let calm: HostWorld;
  beforeAll(async () => {
    disturbed = new HostWorld('kwah-x');
    calm = new HostWorld('kwah-y');
    await Promise.all([disturbed.ready(), calm.ready()]);
  });
  afterAll(async () => {
    await Promise.all([disturbed?.remove(), calm?.remove()]);
  });

  it('kilo §10.4.7: killed at any moment and started again owns what it left, and converges', async () => {
    const seed = Number(process.env.KILOWIRE_SEED ?? Math.floor(Math.random() * 2 ** 31));
    const random = randomFrom(seed);
    const flags = { encapsulate: 'always', iptablesForwardRules: true, cni: false };
    let killed = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const nodes = randomCluster(random);
      const peers = randomPeers(random);
      const told = `seed ${seed}, round ${round}`;
      const [first] = await Promise.all([
        disturbed.pass(nodes, { peers, flags }, random(LONGEST_PASS_MS)),
        calm.pass(nodes, { peers, flags, remove: true }),
      ]);
      if (first === null) killed++;
      const again = await disturbed.pass(nodes, { peers, flags });
      expect(again?.faults, told).toEqual([]);
      expect(await disturbed.state(), told).toBe(await calm.state());
    }
    // Else it was no test of anything.
    expect(killed).toBeGreaterThan(0);
  });

  it('does nothing when there is nothing to do', async () => {
    const nodes = [nodeOf({ name: 'n1', number: 1, internalIP: '10.9.0.1/24' })];
    await disturbed.pass(nodes);
    expect(await disturbed.pass(nodes)).toEqual({ faults: [], changes: [] });
  });
});
