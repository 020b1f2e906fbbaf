/**
 * `npm run bench [-- --quick | --smoke] [--rows tcp1,ping] [--against debian|newest]`: our device and another program, turn
 * by turn in the same minutes, as medians, spreads and ratios; stored under bench/results/ row by row.
 * @module
 */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { choose } from './catalogue.ts';
import { killDaemons, type Subject } from './daemon.ts';
import { describeMachine } from './machine.ts';
import { makeNamespaces, removeNamespaces } from './namespaces.ts';
import { claimMachine, releaseMachine } from './only-one.ts';
import { debianWireguardGo, newestWireguardGo, ours, oursOnNoble } from './peers.ts';
import { makeRow, type Row, summary, table } from './report.ts';
import { storeRow } from './results-file.ts';
import { Turns } from './turns.ts';

const peers: Record<string, { readonly find: () => Subject | undefined; readonly missing: string }> = {
  debian: {
    find: debianWireguardGo,
    missing: 'wireguard-go is not on this machine (Debian: apt-get install wireguard-go iperf3)',
  },
  newest: {
    find: newestWireguardGo,
    missing: 'the newest wireguard-go is built from its Go module, and Go is not on this machine',
  },
};

const defaults = {
  full: { rounds: 5, seconds: 4, minutes: 24 },
  quick: { rounds: 3, seconds: 2, minutes: 5 },
  smoke: { rounds: 1, seconds: 1, minutes: 2 },
} as const;

function options() {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      smoke: { type: 'boolean', default: false },
      /** Ids with commas between them; `only` is its old name. */
      rows: { type: 'string' },
      only: { type: 'string' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      /** No new round begins after so many. */
      minutes: { type: 'string' },
      against: { type: 'string', default: 'debian' },
      /** Where the rows are stored; `none`: nowhere. */
      out: { type: 'string' },
    },
  });
  const extent = values.smoke ? 'smoke' : values.quick ? 'quick' : 'full';
  const preset = defaults[extent];
  const peer = peers[values.against];
  if (peer === undefined) throw new RangeError(`--against takes one of: ${Object.keys(peers).join(', ')}`);
  const folder = join(dirname(fileURLToPath(import.meta.url)), 'results');
  const stored = join(folder, `device-${values.against}${extent === 'quick' ? '-quick' : ''}.json`);
  return {
    measures: choose(values.rows ?? values.only, extent),
    peer,
    rounds: Number(values.rounds ?? preset.rounds),
    effort: { seconds: Number(values.seconds ?? preset.seconds) },
    minutes: Number(values.minutes ?? preset.minutes),
    file: values.out === 'none' || extent === 'smoke' ? undefined : (values.out ?? stored),
  };
}

async function main(): Promise<void> {
  const { measures, peer, rounds, effort, minutes, file } = options();
  if (process.getuid?.() !== 0) {
    console.log('bench: skipped: it makes network namespaces, so it has to be run as root');
    return;
  }
  const theirs = peer.find();
  if (theirs === undefined) {
    console.log(`bench: skipped: ${peer.missing}`);
    return;
  }
  if (!claimMachine()) {
    console.log('bench: another one is running');
    process.exitCode = 1;
    return;
  }
  const machine = describeMachine();
  console.log(`${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}`);
  console.log(`${rounds} rounds of ${effort.seconds} s, load before ${machine.loadBefore.toFixed(2)}`);
  console.log(`${' '.repeat(13)} ${ours.name.padStart(8)} ${theirs.name}`);

  const cleanUp = (): void => {
    killDaemons();
    removeNamespaces();
    releaseMachine();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      cleanUp();
      process.exit(1);
    });
  }
  const command = `npm run bench -- ${process.argv.slice(2).join(' ')}`.trim();
  const deadline = performance.now() + minutes * 60_000;
  const rows: Row[] = [];
  const left: string[] = [];
  const turns = new Turns(ours, theirs, oursOnNoble);
  try {
    makeNamespaces();
    for (const measure of measures) {
      if (performance.now() > deadline) {
        left.push(measure.id);
        continue;
      }
      const before = describeMachine();
      const row = makeRow(measure, ...(await turns.measure(measure, rounds, effort, deadline)));
      rows.push(row);
      if (file === undefined || row.ours.runs.length === 0) continue;
      storeRow(file, command, { ...row, peer: theirs.name, seconds: effort.seconds, machine: before });
    }
  } finally {
    await turns.close();
    cleanUp();
  }
  console.log(`\n${table(rows, ours.name, theirs.name)}\n\n${summary(rows)}`);
  if (left.length > 0) console.log(`not measured for want of time: --rows ${left.join(',')}`);
  if (file !== undefined) console.log(`stored in ${file}`);
}

await main();
// What a run that was given up left behind must not keep us.
process.exit();
