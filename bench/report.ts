/**
 * The table of a bench, and its file.
 * @module
 */
import type { Machine } from './machine.ts';
import type { Measure } from './measure.ts';
import { pairwiseRatio, type Summary, summarize } from './statistics.ts';

/** What a row is about. */
export type Quantity = Pick<Measure, 'id' | 'name' | 'unit' | 'moreIsBetter' | 'floor' | 'aim'>;

export interface Row {
  readonly id: string;
  readonly name: string;
  readonly unit: string;
  readonly moreIsBetter: boolean;
  readonly floor?: number;
  readonly aim?: number;
  readonly ours: Summary;
  readonly theirs: Summary;
  readonly ratio: Summary;
  readonly verdict: 'aim' | 'floor' | 'short' | '';
}

export interface Result {
  readonly machine: Machine;
  readonly command: string;
  readonly peer: string;
  readonly rounds: number;
  readonly seconds: number;
  readonly rows: readonly Row[];
}

function verdict({ moreIsBetter, floor, aim }: Quantity, ratio: number): Row['verdict'] {
  const reaches = (wanted: number): boolean => (moreIsBetter ? ratio >= wanted : ratio <= wanted);
  if (floor === undefined) return '';
  if (aim !== undefined && reaches(aim)) return 'aim';
  return reaches(floor) ? 'floor' : 'short';
}

export function makeRow(measure: Quantity, ours: readonly number[], theirs: readonly number[]): Row {
  const { id, name, unit, moreIsBetter, floor, aim } = measure;
  const ratio = pairwiseRatio(ours, theirs);
  return {
    ...{ id, name, unit, moreIsBetter },
    ...(floor === undefined ? {} : { floor }),
    ...(aim === undefined ? {} : { aim }),
    ours: summarize(ours),
    theirs: summarize(theirs),
    ratio,
    verdict: verdict(measure, ratio.median),
  };
}

export function number(value: number): string {
  if (!Number.isFinite(value)) return '–';
  return value >= 100 ? value.toFixed(0) : value.toFixed(2);
}

const spread = ({ median, min, max, runs }: Summary): string =>
  runs.length > 1 ? `${number(median)} [${number(min)}–${number(max)}]` : number(median);

/** Lines for a terminal of 130 columns. */
export function table(rows: readonly Row[], ours: string, theirs: string): string {
  const wanted = ({ moreIsBetter, floor, aim }: Row): string =>
    floor === undefined ? '' : `${moreIsBetter ? '≥' : '≤'} ${floor} (${aim ?? '–'})`;
  const line = (...cells: string[]): string =>
    cells.map((cell, index) => cell.padEnd([48, 24, 24, 20, 13, 6][index] ?? 0)).join(' ');
  return [
    line('', ours, theirs, 'ratio', 'floor (aim)', ''),
    ...rows.map((row) => {
      const label = row.unit === '' ? row.name : `${row.name}, ${row.unit}`;
      return line(label, spread(row.ours), spread(row.theirs), spread(row.ratio), wanted(row), row.verdict);
    }),
  ].join('\n');
}
