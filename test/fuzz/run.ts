/**
 * Rounds of targets until the time or the number of inputs is reached, or a fault is found.
 * @module
 */
import type { FuzzTarget } from './target.ts';

export interface FuzzCount {
  readonly target: string;
  readonly rounds: number;
  readonly executions: number;
  readonly seconds: number;
}

export interface FuzzLimits {
  readonly seconds: number;
  /** Inputs of each target; Infinity unless told. */
  readonly executions?: number;
  readonly scale?: number;
  /** Hears of the counts after every round. */
  readonly onRound?: (counts: readonly FuzzCount[]) => void;
}

/** The targets in turn; round r of each has seed + r. A FuzzFault leaves at once. */
export function fuzz(targets: readonly FuzzTarget[], seed: number, limits: FuzzLimits): FuzzCount[] {
  const { seconds, executions = Number.POSITIVE_INFINITY, scale = 1 } = limits;
  const counts = targets.map(({ name }) => ({ target: name, rounds: 0, executions: 0, seconds: 0 }));
  const started = performance.now();
  const isTime = () => performance.now() - started < seconds * 1000;
  for (let round = 0; round === 0 || isTime(); round += 1) {
    let isAtWork = false;
    for (const [i, target] of targets.entries()) {
      const count = counts[i];
      if (count === undefined || count.executions >= executions) continue;
      isAtWork = true;
      const from = performance.now();
      count.executions += target.round(seed + round, scale);
      count.rounds += 1;
      count.seconds += (performance.now() - from) / 1000;
      limits.onRound?.(counts);
      if (!isTime()) return counts;
    }
    if (!isAtWork) break;
  }
  return counts;
}
