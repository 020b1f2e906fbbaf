/**
 * The table of a bench, and its file.
 * @module
 */
import type { Measure } from './measure.ts';
import { pairwiseRatio, type Summary, summarize } from './statistics.ts';

/** What a row is about. */
export type Quantity = Pick<Measure, 'id' | 'name' | 'unit' | 'moreIsBetter' | 'floor' | 'aim' | 'judged'>;

export interface Row {
  readonly id: string;
  readonly name: string;
  readonly unit: string;
  readonly moreIsBetter: boolean;
  readonly judged: 'ratio' | 'value';
  readonly floor?: number;
  readonly aim?: number;
  readonly ours: Summary;
  readonly theirs: Summary;
  readonly ratio: Summary;
  readonly verdict: Verdict;
}

/** What was reached; `short` of the floor; nothing for a row that has none. */
type Verdict = 'aim' | 'floor' | 'short' | '';

function verdict({ moreIsBetter, floor, aim }: Quantity, reached: number): Verdict {
  const reaches = (wanted: number): boolean => (moreIsBetter ? reached >= wanted : reached <= wanted);
  if (floor === undefined) return '';
  if (aim !== undefined && reaches(aim)) return 'aim';
  return reaches(floor) ? 'floor' : 'short';
}

/** Runs that went wrong (NaN) are left out, and with them the ones they stood beside. */
export function makeRow(measure: Quantity, ours: readonly number[], theirs: readonly number[]): Row {
  const { id, name, unit, moreIsBetter, floor, aim, judged = 'ratio' } = measure;
  const ratio = pairwiseRatio(ours, theirs);
  const finite = summarize(ours.filter(Number.isFinite));
  return {
    ...{ id, name, unit, moreIsBetter, judged },
    ...(floor === undefined ? {} : { floor }),
    ...(aim === undefined ? {} : { aim }),
    ours: finite,
    theirs: summarize(theirs.filter(Number.isFinite)),
    ratio,
    verdict: verdict(measure, judged === 'ratio' ? ratio.median : finite.median),
  };
}

export function number(value: number): string {
  if (!Number.isFinite(value)) return '–';
  return value >= 100 ? value.toFixed(0) : value.toFixed(2);
}

const spread = ({ median, min, max, runs }: Summary): string =>
  runs.length > 1 ? `${number(median)} [${number(min)}–${number(max)}]` : number(median);

/** Lines for a terminal of 160 columns. */
export function table(rows: readonly Row[], ours: string, theirs: string): string {
  const wanted = ({ moreIsBetter, judged, floor, aim, unit }: Row): string => {
    if (floor === undefined) return '';
    const dimension = judged === 'ratio' ? ' ×' : unit === '' ? '' : ` ${unit}`;
    return `${moreIsBetter ? '≥' : '≤'} ${floor}${dimension}${aim === undefined ? '' : ` (${aim})`}`;
  };
  const line = (...cells: string[]): string =>
    cells
      .map((cell, index) => cell.padEnd([58, 24, 26, 20, 18, 6][index] ?? 0))
      .join(' ')
      .trimEnd();
  const said: Record<Verdict, string> = { aim: 'aim', floor: 'met', short: 'SHORT', '': '' };
  return [
    line('', ours, theirs, 'ratio', 'floor (aim)', ''),
    ...rows.map((row) => {
      const label = row.unit === '' ? row.name : `${row.name}, ${row.unit}`;
      const cells = [spread(row.ours), spread(row.theirs), spread(row.ratio), wanted(row)];
      return line(label, ...cells, said[row.verdict]);
    }),
  ].join('\n');
}

/** How many floors are met, and which are not. */
export function summary(rows: readonly Row[]): string {
  const judged = rows.filter(({ verdict }) => verdict !== '');
  const short = judged.filter(({ verdict }) => verdict === 'short');
  const aims = judged.filter(({ verdict }) => verdict === 'aim');
  const missing = short.length === 0 ? '' : `; short: ${short.map(({ id }) => id).join(', ')}`;
  return `${judged.length - short.length} of ${judged.length} floors met, ${aims.length} aims${missing}`;
}
