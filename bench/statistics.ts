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

const sorted = (values: readonly number[]): number[] => [...values].sort((a, b) => a - b);

export function median(values: readonly number[]): number {
  const ordered = sorted(values);
  const middle = ordered.length >> 1;
  const high = ordered[middle] ?? Number.NaN;
  return ordered.length % 2 === 1 ? high : ((ordered[middle - 1] ?? Number.NaN) + high) / 2;
}

/** The value that `share` of all do not exceed (nearest rank). */
export const percentile = (values: readonly number[], share: number): number =>
  sorted(values)[Math.max(0, Math.ceil(share * values.length) - 1)] ?? Number.NaN;

export const summarize = (runs: readonly number[]): Summary => ({
  median: median(runs),
  min: runs.length === 0 ? Number.NaN : Math.min(...runs),
  max: runs.length === 0 ? Number.NaN : Math.max(...runs),
  runs,
});

/** The ratio of each pair of runs that stood next to each other, so that a machine that drifts does not count. */
export const pairwiseRatio = (ours: readonly number[], theirs: readonly number[]): Summary =>
  summarize(
    ours.map((value, index) => value / (theirs[index] ?? Number.NaN)).filter((ratio) => !Number.isNaN(ratio)),
  );
