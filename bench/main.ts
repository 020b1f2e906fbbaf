/**
 * `npm run bench [-- --quick | --smoke] [--only tcp1,ping] [--against debian|newest|noble]`: our device and another
 * program, turn by turn in the same minutes, as medians, spreads and ratios; stored under bench/results/.
 * @module
 */
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { choose } from './catalogue.ts';
import type { Subject } from './daemon.ts';
import { describeMachine } from './machine.ts';
import { type Effort, type Measure, needsTunnel, type TunnelMeasure } from './measure.ts';
import { makeNamespaces, removeNamespaces } from './namespaces.ts';
import { debianWireguardGo, newestWireguardGo, ours, oursOnNoble } from './peers.ts';
import { makeRow, number, type Result, table } from './report.ts';
import { openTunnel } from './tunnel.ts';

const peers: Record<string, { readonly find: () => Subject | undefined; readonly missing: string }> = {
  debian: {
    find: debianWireguardGo,
    missing: 'wireguard-go is not on this machine (Debian: apt-get install wireguard-go iperf3)',
  },
  newest: {
    find: newestWireguardGo,
    missing: 'the newest wireguard-go is built from its Go module, and Go is not on this machine',
  },
  noble: { find: () => oursOnNoble, missing: '' },
};

/** Those of equal tunnel options together, in the order in which they come first. */
function byTunnel(measures: readonly Measure[]): Map<string, TunnelMeasure[]> {
  const groups = new Map<string, TunnelMeasure[]>();
  for (const measure of measures) {
    if (!needsTunnel(measure)) continue;
    const key = JSON.stringify(measure.tunnel);
    groups.set(key, [...(groups.get(key) ?? []), measure]);
  }
  return groups;
}

/** One round of one subject: a number, or NaN for what went wrong, by id. */
async function runOnce(
  subject: Subject,
  measures: readonly Measure[],
  effort: Effort,
): Promise<Map<string, number>> {
  const results = new Map<string, number>();
  const attempt = async (measure: Measure, run: () => Promise<number>): Promise<void> => {
    const value = await run().catch((error: unknown) => {
      console.log(`  ${measure.id} failed: ${error instanceof Error ? error.message.split('\n')[0] : error}`);
      return Number.NaN;
    });
    results.set(measure.id, value);
  };
  for (const group of byTunnel(measures).values()) {
    const tunnel = await openTunnel(subject, group[0]?.tunnel);
    try {
      for (const measure of group) await attempt(measure, () => measure.run(tunnel, effort));
    } finally {
      await tunnel.close();
    }
  }
  for (const measure of measures) {
    if (!needsTunnel(measure)) await attempt(measure, () => measure.runAlone(subject, effort));
  }
  return results;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      smoke: { type: 'boolean', default: false },
      only: { type: 'string' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      against: { type: 'string', default: 'debian' },
      out: { type: 'string' },
    },
  });
  const extent = values.smoke ? 'smoke' : values.quick ? 'quick' : 'full';
  const measures = choose(values.only, extent);
  if (process.getuid?.() !== 0) {
    console.log('bench: skipped: it makes network namespaces, so it has to be run as root');
    return;
  }
  const peer = peers[values.against];
  if (peer === undefined) throw new RangeError(`--against takes one of: ${Object.keys(peers).join(', ')}`);
  const theirs = peer.find();
  if (theirs === undefined) {
    console.log(`bench: skipped: ${peer.missing}`);
    return;
  }
  const rounds = Number(values.rounds ?? { full: 5, quick: 3, smoke: 1 }[extent]);
  const effort = { seconds: Number(values.seconds ?? { full: 4, quick: 2, smoke: 1 }[extent]) };
  const machine = describeMachine();
  console.log(`${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}`);
  console.log(`${rounds} rounds of ${effort.seconds} s, load before ${machine.loadBefore.toFixed(2)}\n`);

  const subjects = [ours, theirs];
  const runs = new Map<Subject, Map<string, number>[]>(subjects.map((subject) => [subject, []]));
  process.once('SIGINT', () => {
    removeNamespaces();
    process.exit(130);
  });
  makeNamespaces();
  try {
    for (let round = 0; round < rounds; round += 1) {
      const due = measures.filter((measure) => round === 0 || measure.once !== true);
      for (const subject of round % 2 === 0 ? subjects : [...subjects].reverse()) {
        const results = await runOnce(subject, due, effort);
        runs.get(subject)?.push(results);
        const line = [...results].map(([id, value]) => `${id} ${number(value)}`).join('  ');
        console.log(`${subject.name.padEnd(26)} ${line}`);
      }
    }
  } finally {
    removeNamespaces();
  }

  const rows = measures.map((measure) => {
    const pick = (subject: Subject): number[] =>
      (runs.get(subject) ?? []).flatMap((results) => results.get(measure.id) ?? []);
    return makeRow(measure, pick(ours), pick(theirs));
  });
  console.log(`\n${table(rows, ours.name, theirs.name)}`);
  if (extent === 'smoke' || (values.only !== undefined && values.out === undefined)) return;
  const folder = join(dirname(fileURLToPath(import.meta.url)), 'results');
  const file =
    values.out ?? join(folder, `device-${values.against}${extent === 'quick' ? '-quick' : ''}.json`);
  const command = `npm run bench -- ${process.argv.slice(2).join(' ')}`.trim();
  const result: Result = { machine, command, peer: theirs.name, rounds, seconds: effort.seconds, rows };
  writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
  console.log(`\nstored in ${file}`);
}

await main();
