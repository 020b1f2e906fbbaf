/**
 * `npm run bench [-- --quick | --smoke] [--against debian|newest]`: our device and wireguard-go, turn by turn in the same minutes, as
 * medians, spreads and ratios; stored under bench/results/.
 * @module
 */
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { describeMachine } from './machine.ts';
import { pingFlood, tcp, udpFlood } from './measures.ts';
import { debianWireguardGo, newestWireguardGo } from './peers.ts';
import { pairwiseRatio, type Summary, summarize } from './statistics.ts';
import { makeNamespaces, openTunnel, removeNamespaces, type Subject, usage } from './tunnel.ts';

const folder = dirname(fileURLToPath(import.meta.url));

interface Measure {
  readonly name: string;
  readonly unit: string;
  readonly moreIsBetter: boolean;
}

const measures = {
  tcp1: { name: 'TCP 1 stream', unit: 'Gbit/s', moreIsBetter: true },
  tcp4: { name: 'TCP 4 streams', unit: 'Gbit/s', moreIsBetter: true },
  udp1300: { name: 'UDP 1300 B received, sender unthrottled', unit: 'Mbit/s', moreIsBetter: true },
  ping: { name: 'ping flood, mean round trip', unit: 'µs', moreIsBetter: false },
  rss: { name: 'memory of the sender after it', unit: 'MiB', moreIsBetter: false },
  peak: { name: 'memory of either side, peak', unit: 'MiB', moreIsBetter: false },
} satisfies Record<string, Measure>;

type MeasureId = keyof typeof measures;
const ids = Object.keys(measures) as MeasureId[];

async function runOnce(subject: Subject, seconds: number): Promise<Record<MeasureId, number>> {
  const tunnel = await openTunnel(subject);
  try {
    await tcp(1, 1);
    const tcp1 = await tcp(1, seconds);
    const tcp4 = await tcp(4, seconds);
    const udp1300 = await udpFlood(1300, seconds);
    const ping = pingFlood(2000);
    const [a, b] = tunnel.pids.map(usage);
    const peak = Math.max(a?.peakMiB ?? 0, b?.peakMiB ?? 0);
    return { tcp1, tcp4, udp1300, ping, rss: a?.rssMiB ?? 0, peak };
  } finally {
    await tunnel.close();
  }
}

const number = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toFixed(2));
const spread = ({ median, min, max }: Summary): string => `${number(median)} [${number(min)}–${number(max)}]`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      smoke: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      against: { type: 'string', default: 'debian' },
      out: { type: 'string' },
    },
  });
  if (process.getuid?.() !== 0) {
    console.log('bench: skipped: it makes network namespaces, so it has to be run as root');
    return;
  }
  const theirs = values.against === 'newest' ? newestWireguardGo() : debianWireguardGo();
  if (theirs === undefined) {
    console.log(
      values.against === 'newest'
        ? 'bench: skipped: the newest wireguard-go is built from its Go module, and Go is not on this machine'
        : 'bench: skipped: wireguard-go is not on this machine (Debian: apt-get install wireguard-go iperf3)',
    );
    return;
  }
  const rounds = Number(values.rounds ?? (values.smoke ? 1 : values.quick ? 3 : 7));
  const seconds = Number(values.seconds ?? (values.smoke ? 1 : values.quick ? 3 : 5));
  const ours: Subject = { name: 'kilowire', command: join(folder, '../bin/kilowire-wg') };
  const machine = describeMachine();
  console.log(`${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}`);
  console.log(`${rounds} rounds of ${seconds} s, load before ${machine.loadBefore.toFixed(2)}\n`);

  const runs = new Map<Subject, Record<MeasureId, number>[]>([
    [ours, []],
    [theirs, []],
  ]);
  process.once('SIGINT', () => {
    removeNamespaces();
    process.exit(130);
  });
  makeNamespaces();
  try {
    for (let round = 0; round < rounds; round += 1) {
      for (const subject of round % 2 === 0 ? [ours, theirs] : [theirs, ours]) {
        const result = await runOnce(subject, seconds);
        runs.get(subject)?.push(result);
        console.log(
          `${subject.name.padEnd(26)} ${ids.map((id) => `${id} ${number(result[id])}`).join('  ')}`,
        );
      }
    }
  } finally {
    removeNamespaces();
  }

  const rows = ids.map((id) => {
    const values = (subject: Subject): number[] => (runs.get(subject) ?? []).map((result) => result[id]);
    return {
      id,
      ...(measures[id] as Measure),
      ours: summarize(values(ours)),
      theirs: summarize(values(theirs)),
      ratio: pairwiseRatio(values(ours), values(theirs)),
    };
  });
  console.log(`\n${''.padEnd(42)} ${ours.name.padEnd(24)} ${theirs.name.padEnd(24)} ratio`);
  for (const row of rows) {
    const label = `${row.name}, ${row.unit}`.padEnd(42);
    console.log(
      `${label} ${spread(row.ours).padEnd(24)} ${spread(row.theirs).padEnd(24)} ${spread(row.ratio)}`,
    );
  }
  if (values.smoke) return;
  const file =
    values.out ?? join(folder, 'results', `device-${values.against}${values.quick ? '-quick' : ''}.json`);
  const result = {
    machine,
    command: `npm run bench -- ${process.argv.slice(2).join(' ')}`.trim(),
    rounds,
    seconds,
    rows,
  };
  writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
  console.log(`\nstored in ${file}`);
}

await main();
