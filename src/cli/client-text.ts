/**
 * Clients as a table for people.
 * @module
 */
import type { ClientEntry } from '../admin/clients/client-list.ts';
import { parseTime } from '../agent/peer-terms.ts';
import type { Paint } from './output.ts';

const HEAD = ['NAME', 'ADDRESSES', 'STATE', 'EXPIRES', 'ALLOWED', 'PSK', 'TAGS'];

/** `now` in Unix seconds. */
export const clientTable = (clients: readonly ClientEntry[], now: number, paint: Paint): string => {
  if (clients.length === 0) return 'There are no clients: kilowire client add NAME makes one.';
  const rows = clients.map((entry) => [
    entry.name,
    entry.addresses.join(' '),
    entry.state,
    ending(entry, now),
    entry.allow === null ? 'everything' : entry.allow.join(' ') || 'nothing',
    entry.hasPresharedKey ? 'yes' : 'no',
    entry.tags.join(' '),
  ]);
  const widths = HEAD.map((word, at) => Math.max(word.length, ...rows.map((row) => row[at]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd();
  return [
    paint('bold', line(HEAD)),
    ...rows.map((row, at) => (clients[at]?.state === 'active' ? line(row) : paint('faint', line(row)))),
    ...clients.flatMap(({ name, faults }) => faults.map((fault) => paint('red', `${name}: ${fault}`))),
  ].join('\n');
};

const STEPS = [
  [86_400 * 2, 86_400, 'days'],
  [7200, 3600, 'hours'],
  [120, 60, 'minutes'],
] as const;

const ending = ({ expires }: ClientEntry, now: number): string => {
  if (expires === null) return 'never';
  const left = (parseTime(expires) ?? 0) - now;
  const [, size, unit] = STEPS.find(([least]) => Math.abs(left) >= least) ?? [0, 1, 's'];
  const amount = `${Math.floor(Math.abs(left) / size)} ${unit}`;
  return left > 0 ? `in ${amount}` : `${amount} ago`;
};
