/**
 * Columns of text for a terminal, and the pod-to-pod matrix.
 * @module
 */

/** Rows under a heading, columns two spaces apart, numbers (right-aligned columns) by index. */
export function formatTable(
  heading: readonly string[],
  rows: readonly (readonly string[])[],
  rightAligned: readonly number[] = [],
): string {
  const widths = heading.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => (row[column] ?? '').length)),
  );
  const line = (row: readonly string[]): string =>
    widths
      .map((width, column) => {
        const text = row[column] ?? '';
        return rightAligned.includes(column) ? text.padStart(width) : text.padEnd(width);
      })
      .join('  ')
      .trimEnd();
  return [line(heading), line(widths.map((width) => '─'.repeat(width))), ...rows.map(line)].join('\n');
}

export interface MatrixCell {
  readonly from: string;
  readonly to: string;
  /** Round-trip time; null: no answer. */
  readonly rttMs: number | null;
}

const cellText = (cell: MatrixCell | undefined): string => {
  if (cell === undefined) return '·';
  if (cell.rttMs === null) return 'LOST';
  return cell.rttMs < 9.95 ? cell.rttMs.toFixed(1) : cell.rttMs.toFixed(0);
};

/** Round-trip times in ms from each row to each column; the columns carry the numbers of the rows. */
export function formatMatrix(names: readonly string[], cells: readonly MatrixCell[]): string {
  const byPair = new Map(cells.map((cell) => [`${cell.from} ${cell.to}`, cell]));
  const heading = ['ms', '', ...names.map((_, index) => String(index + 1))];
  const rows = names.map((from, index) => [
    from,
    String(index + 1),
    ...names.map((to) => (from === to ? '·' : cellText(byPair.get(`${from} ${to}`)))),
  ]);
  return formatTable(
    heading,
    rows,
    heading.map((_, column) => column).filter((column) => column > 0),
  );
}

/** 12.3 MiB, 640 B: three digits at most before the unit. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}
