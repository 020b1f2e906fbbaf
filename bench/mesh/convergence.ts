/**
 * How long until all agents of a cluster have the mesh that its members make, after one joined, left or died: in virtual time, with
 * watches that hear 20 to 400 ms late and an API that answers within 30 ms. Heart-beats alone: probes are measured with packets.
 * @module
 */
import { type Member, MeshSimulation } from '../../src/simulation/mesh-simulation.ts';

const SIZE = { nodes: 50, locations: 10, granularity: 'location' } as const;
const STEP_SECONDS = 0.05;
const PATIENCE_SECONDS = 200;

export interface Convergence {
  readonly joined: readonly number[];
  readonly deleted: readonly number[];
  readonly leaderDied: readonly number[];
}

const until = async (simulation: MeshSimulation): Promise<number> => {
  const began = simulation.time.elapsed;
  do await simulation.pass(STEP_SECONDS);
  while (!simulation.judge.isAsExpected() && simulation.time.elapsed - began < PATIENCE_SECONDS * 1000);
  return (simulation.time.elapsed - began) / 1000;
};

/** Seconds of each of `rounds`. */
export const convergenceTimes = async (rounds: number): Promise<Convergence> => {
  const simulation = new MeshSimulation({ seed: 1, ...SIZE });
  const times = { joined: [] as number[], deleted: [] as number[], leaderDied: [] as number[] };
  const leader = (): Member | undefined =>
    simulation.watched.find(({ host, shape }) => host.wireguardCIDR !== null && !shape.isAtHome);
  await simulation.pass(60);
  for (let round = 0; round < rounds; round++) {
    const joined = simulation.add();
    times.joined.push(await until(simulation));
    await simulation.pass(simulation.chance.between(30, 60));
    simulation.remove(joined);
    times.deleted.push(await until(simulation));
    await simulation.pass(simulation.chance.between(30, 60));
    const dead = leader();
    if (dead === undefined) continue;
    simulation.powerOff(dead);
    times.leaderDied.push(await until(simulation));
    simulation.powerOn(dead);
    await simulation.pass(120);
  }
  return times;
};
