/**
 * The figures of README.md and docs/performance.md are those in bench/results, as exact as they are written.
 * @module
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from './source-tree.ts';

type Side = 'ours' | 'theirs' | 'ratio';
interface Row extends Readonly<Record<Side, { readonly median: number }>> {
  readonly id: string;
}

const textOf = (path: string): string => readFileSync(join(root, path), 'utf8');
const medianOf = (file: string, id: string, side: Side): number => {
  const { rows } = JSON.parse(textOf(`bench/results/${file}.json`)) as { rows: readonly Row[] };
  const row = rows.find((each) => each.id === id);
  if (row === undefined) throw new Error(`bench/results/${file}.json has no row ${id}`);
  return row[side].median;
};

/** Whether a figure is the value within one unit of the last place that is written. */
const isFigure = (text: string, value: number): boolean => {
  const [whole = '', fraction] = text.split('.');
  const unit =
    fraction === undefined
      ? 10 ** (/0*$/.exec(whole.length > 2 ? whole : '')?.[0].length ?? 0)
      : 10 ** -fraction.length;
  return Math.abs(Number(text) - value) <= unit;
};

/** The cells of the table row that begins so. */
const cellsOf = (document: string, label: string): readonly string[] => {
  const line = textOf(document)
    .split('\n')
    .find((each) => each.startsWith(`| ${label} |`));
  if (line === undefined) throw new Error(`${document} has no row "${label}"`);
  return line
    .split('|')
    .slice(2, -1)
    .map((cell) => cell.replace(/[×*]/g, '').trim());
};

const wrongIn = (cell: string, values: readonly number[]): boolean => {
  const figures = cell === '' ? [] : cell.split(/ \/ |, /);
  return (
    figures.length > 0 &&
    (figures.length !== values.length ||
      figures.some((figure, at) => !isFigure(figure, values[at] ?? Number.NaN)))
  );
};

describe('README.md', () => {
  const debian = ['device-debian-quick', 'device-debian-load'] as const;
  it.each([
    ['TCP, 1 stream, Gbit/s', 'tcp1', debian[0]],
    ['TCP, 4 streams, Gbit/s', 'tcp4', debian[1]],
    ['UDP of 1300 B received in a flood, Mbit/s', 'flood1300', debian[0]],
    ['UDP of 64 B received in a flood, Mbit/s', 'flood64', debian[0]],
    ['ping flood, median round trip, µs', 'ping', debian[0]],
    ['CPU seconds per GB, both ends', 'cpu', debian[0]],
    ['handshakes answered a second by one core', 'handshakes', debian[0]],
    ['memory, no peers, MiB', 'memory', debian[0]],
    ['memory added by load, MiB', 'memory-load', debian[1]],
  ])('%s', (label, id, file) => {
    const [ours = '', old = '', oldRatio = '', recent = '', recentRatio = ''] = cellsOf('README.md', label);
    const newest = 'device-newest-quick';
    const both = ours.includes('/') ? [medianOf(newest, id, 'ours')] : [];
    const wrong = [
      wrongIn(ours, [medianOf(file, id, 'ours'), ...both]) && `${ours} of ours`,
      wrongIn(old, [medianOf(file, id, 'theirs')]) && `${old} of Debian's`,
      wrongIn(oldRatio, [medianOf(file, id, 'ratio')]) && `${oldRatio}, the ratio with it`,
      recent !== '' && wrongIn(recent, [medianOf(newest, id, 'theirs')]) && `${recent} of the newest`,
      recentRatio !== '' &&
        wrongIn(recentRatio, [medianOf(newest, id, 'ratio')]) &&
        `${recentRatio}, the ratio with it`,
    ];
    expect(wrong.filter((each) => each !== false)).toEqual([]);
  });

  it.each([
    ['TCP FIGURE against FIGURE Gbit/s over one stream', 'device-newest', 'tcp1'],
    ['FIGURE against FIGURE over four', 'device-newest', 'tcp4'],
    ['ping FIGURE µs against FIGURE', 'device-newest', 'ping'],
    ['ADD FIGURE against FIGURE', 'cni-newest', 'add'],
    ['DEL FIGURE against FIGURE', 'cni-newest', 'del'],
    ['a host port FIGURE against FIGURE', 'cni-newest', 'add-port'],
    ['a whole pod as in k3s FIGURE against FIGURE', 'cni-newest', 'add-k3s'],
    ['100 ADDs at once FIGURE against FIGURE', 'cni-newest', 'add-100'],
    ['a node at rest takes FIGURE against FIGURE', 'cni-newest', 'add-cold'],
  ])('%s', (words, file, id) => {
    const pattern = words.replaceAll('FIGURE', '([\\d.]*\\d)');
    const [, ours = '', theirs = ''] =
      new RegExp(pattern).exec(textOf('README.md').replace(/\s+/g, ' ')) ?? [];
    expect([ours, isFigure(ours, medianOf(file, id, 'ours'))]).toEqual([ours, true]);
    expect([theirs, isFigure(theirs, medianOf(file, id, 'theirs'))]).toEqual([theirs, true]);
  });
});

describe('docs/performance.md', () => {
  /** Written in another unit than measured. */
  const ms = (value: number): number => value / 1000;
  it.each<[string, readonly string[], ((value: number) => number)?]>([
    ['TCP, 1 stream, Gbit/s', ['tcp1']],
    ['TCP, 4 streams, Gbit/s', ['tcp4']],
    ['TCP, IPv6 inside and outside, Gbit/s', ['tcp6']],
    ['TCP, one of the two cores taken, Gbit/s', ['neighbour']],
    ['UDP of 1300 B without loss, Mbit/s', ['udp1300']],
    ['UDP of 64 B without loss, Mbit/s', ['udp64']],
    ['UDP of 1300 B received in a flood, Mbit/s', ['flood1300']],
    ['UDP of 64 B received in a flood, Mbit/s', ['flood64']],
    ['ping flood, median, µs', ['ping']],
    ['ping beside a stream, 99th percentile, ms', ['loaded'], ms],
    ['path MTU 1400 under 1420, Gbit/s', ['narrow']],
    ['CPU seconds per GB, both ends', ['cpu']],
    ['handshakes answered a second by one core', ['handshakes']],
    ['1424 B sealed and opened, µs, against a plain 128-bit kernel', ['cipher']],
    ['memory without peers, MiB', ['memory']],
    ['memory of an idle peer, KiB', ['memory-peer']],
    ['memory added by load, MiB', ['memory-load']],
    ['`wg setconf` of 1,000 peers, ms', ['setconf1000']],
    ['`wg setconf` of 5,000 peers, ms', ['setconf5000']],
    ['`wg setconf` of 65,280 × 2 ranges, ms', ['setconf-ips']],
    [
      'TCP under forged initiations, singles and trains, of theirs in peace',
      ['siege-singles', 'siege-trains'],
    ],
    ['wake-ups of an idle device in a minute', ['idle']],
    ['the same stream on @noble, Gbit/s', ['noble']],
  ])('%s', (label, ids, inUnit = (value) => value) => {
    const cells = cellsOf('docs/performance.md', label);
    const stored = (side: Side): number[] => ids.map((id) => medianOf('device-newest', id, side));
    const wrong = (['ours', 'theirs', 'ratio'] as const).filter((side, at) =>
      wrongIn(cells[at] ?? '', side === 'ratio' ? stored(side) : stored(side).map(inUnit)),
    );
    expect(wrong.map((side) => `${side}: ${stored(side).map(inUnit)}`)).toEqual([]);
  });
});
