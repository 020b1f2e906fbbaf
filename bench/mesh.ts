/**
 * `npm run bench:mesh [-- --quick | --smoke] [--out FOLDER]`: what a mesh of a thousand nodes costs an agent: the time to
 * compute it, the time from a change in the API to the kernel, and the agent's processor time and memory when nothing
 * happens; stored under bench/results/. Everything happens in namespaces that go away with this process.
 * @module
 */
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { describeMachine } from './machine.ts';
import { AgentUnderLoad } from './mesh/agent-under-load.ts';
import { computeTimes } from './mesh/compute.ts';
import { convergenceTimes } from './mesh/convergence.ts';
import { number } from './report.ts';
import { percentile, summarize } from './statistics.ts';

interface Figure {
  readonly name: string;
  readonly unit: string;
  /** At most this much. */
  readonly aim: number;
  readonly runs: readonly number[];
  /** What Kilo's agent takes, in words. */
  readonly kilo?: string;
}

const LARGE = { nodes: 1000, locations: 20 };

const agentFigures = async (nodes: number, rounds: number, idleMs: number): Promise<Figure[]> => {
  const load = await AgentUnderLoad.start({ ...LARGE, nodes }, 'full');
  try {
    const start = await load.ready();
    const changes = [];
    for (let round = 0; round < rounds; round++) changes.push(await load.change(round));
    const touched = changes.map(({ routes, rules }) => routes + rules);
    await load.beatAll('annotations');
    await load.idle(idleMs / 2, 'annotations');
    const annotations = await load.idle(idleMs, 'annotations');
    const quiet = await load.idle(idleMs, 'none');
    await load.beatAll('leases');
    const leases = await load.idle(idleMs, 'leases');
    const figure = (name: string, unit: string, aim: number, runs: readonly number[]): Figure => ({
      name,
      unit,
      aim,
      runs,
    });
    return [
      figure(`agent of ${nodes} nodes started → kernel programmed`, 's', 10, [start / 1000]),
      figure(
        `one of ${nodes} nodes changed → kernel reprogrammed`,
        'ms',
        100,
        changes.map(({ ms }) => ms),
      ),
      figure('… messages of the kernel about changed routes and rules', '', 12, touched),
      figure(`agent of ${nodes} nodes, nothing happens: processor`, '%', 0.1, [quiet * 100]),
      figure(`… all heart-beats watched, as annotations of Nodes: processor`, '%', 5, [annotations * 100]),
      figure(`… all heart-beats watched, as Leases: processor`, '%', 5, [leases * 100]),
      figure(`agent of ${nodes} nodes: resident memory`, 'MiB', 80, [load.residentMiB()]),
    ];
  } finally {
    await load.close();
  }
};

/** Kilo lets go of a node at the first resync, of 30 s, after 60 s of silence (read off its source, and observed). */
const KILO_DEATH = '60 to 90 s by its rule: 60 s of silence, then the next resync';

const convergenceFigures = async (rounds: number): Promise<Figure[]> => {
  const { joined, deleted, leaderDied } = await convergenceTimes(rounds);
  return [
    { name: 'a node joins → all 50 agents have it (virtual time)', unit: 's', aim: 10, runs: joined },
    { name: 'a Node is deleted → no agent has it (virtual time)', unit: 's', aim: 2, runs: deleted },
    {
      name: 'a leader loses power → all follow the next, by heart-beats (virtual time)',
      unit: 's',
      aim: 65,
      runs: leaderDied,
      kilo: KILO_DEATH,
    },
  ];
};

const main = async (): Promise<void> => {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      smoke: { type: 'boolean', default: false },
      out: { type: 'string' },
    },
  });
  if (process.getuid?.() !== 0) {
    console.log('bench: skipped: it makes network namespaces, so it has to be run as root');
    return;
  }
  const machine = describeMachine();
  const rounds = values.smoke ? 2 : values.quick ? 7 : 15;
  const figures: Figure[] = [
    {
      name: 'topology and projections, 1,000 nodes, full',
      unit: 'ms',
      aim: 50,
      runs: computeTimes(LARGE, 'full', rounds),
    },
    {
      name: 'topology and projections, 10,000 nodes, 100 locations',
      unit: 'ms',
      aim: 1000,
      runs: computeTimes({ nodes: 10_000, locations: 100 }, 'location', rounds),
    },
    ...(await convergenceFigures(values.smoke ? 1 : 5)),
    ...(await agentFigures(values.smoke ? 50 : 1000, rounds, values.smoke ? 2000 : 30_000)),
  ];
  for (const { name, unit, aim, runs } of figures) {
    const { median, min, max } = summarize(runs);
    const spread =
      runs.length > 1 ? ` [${number(min)}–${number(max)}, p95 ${number(percentile(runs, 0.95))}]` : '';
    console.log(`${name.padEnd(64)} ${number(median)}${spread} ${unit} (≤ ${aim})`);
  }
  if (values.smoke && values.out === undefined) return;
  const results = values.out ?? join(dirname(fileURLToPath(import.meta.url)), 'results');
  const file = join(results, `mesh${values.quick ? '-quick' : ''}.json`);
  const command = `npm run bench:mesh -- ${process.argv.slice(2).join(' ')}`.trim();
  const rows = figures.map((figure) => ({ ...figure, ...summarize(figure.runs) }));
  writeFileSync(file, `${JSON.stringify({ machine, command, rows }, null, 2)}\n`);
  console.log(`\nstored in ${file}`);
};

await main();
