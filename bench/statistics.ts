/**
 * Median and spread of a handful of runs, and the ratio of two subjects measured turn by turn.
 * @module
 */

export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly runs: readonly number[];
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const high = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? high : ((sorted[middle - 1] ?? Number.NaN) + high) / 2;
}

export const summarize = (runs: readonly number[]): Summary => ({
  median: median(runs),
  min: Math.min(...runs),
  max: Math.max(...runs),
  runs,
});

/** The ratio of each pair of runs that stood next to each other, so that a machine that drifts does not count. */
export const pairwiseRatio = (ours: readonly number[], theirs: readonly number[]): Summary =>
  summarize(ours.map((value, index) => value / (theirs[index] ?? Number.NaN)));
