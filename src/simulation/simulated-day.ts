/**
 * A simulated cluster from its beginning to the end of its troubles, and what came of it; told by the number that repeats it.
 * @module
 */
import type { Violation } from './judge.ts';
import { MeshSimulation, type SimulationOptions } from './mesh-simulation.ts';
import { CALM_SECONDS, type StormEntry, storm } from './storm.ts';

export interface DayResult {
  readonly options: Omit<SimulationOptions, 'onLog'>;
  readonly simulatedSeconds: number;
  /** Until all agents had the mesh that the members make; null: not within some minutes. */
  readonly convergedAfterSeconds: number | null;
  readonly troubles: readonly StormEntry[];
  readonly violations: readonly Violation[];
  readonly checks: Readonly<Record<string, number>>;
  /** Of all nodes together. */
  readonly writesPerSecond: number;
  /** Kilo's: each node once in 30 s; of as many as there were at most. */
  readonly writesAllowed: number;
}

export const simulateDay = async (options: SimulationOptions, seconds: number): Promise<DayResult> => {
  const simulation = new MeshSimulation(options);
  const convergedAfterSeconds = await convergence(simulation);
  const before = { writes: simulation.api.writes, at: simulation.time.elapsed };
  const troubles = await storm(simulation, seconds);
  const elapsed = (simulation.time.elapsed - before.at) / 1000;
  const { onLog: _, ...rest } = options;
  return {
    options: rest,
    simulatedSeconds: Math.round(simulation.time.elapsed / 1000),
    convergedAfterSeconds,
    troubles,
    violations: simulation.judge.violations,
    checks: Object.fromEntries(simulation.judge.checks),
    writesPerSecond: (simulation.api.writes - before.writes) / elapsed,
    writesAllowed: simulation.mostMembers / 30,
  };
};

const convergence = async (simulation: MeshSimulation): Promise<number | null> => {
  const { judge, time } = simulation;
  for (let tenths = 0; tenths < 10 * CALM_SECONDS; tenths++) {
    if (judge.isAsExpected()) return time.elapsed / 1000;
    await simulation.pass(0.1);
  }
  return null;
};
