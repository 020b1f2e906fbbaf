/**
 * `npm run bench:cni [-- --quick | --smoke] [--only plain,k3s] [--rounds N] [--minutes N] [--disk] [--out FOLDER]`: our CNI plugin
 * and Go's, Debian's and the newest, call by call in the same minutes; stored under bench/results/.
 * Host and cluster are not touched: everything happens in namespaces that go away with this process.
 * @module
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Measure } from './cni/measure.ts';
import { catalogue } from './cni/measures.ts';
import { hideHost, isIsolated, isolate } from './cni/node.ts';
import { buildNewest, debianPlugins, newestPlugins, ours, type PluginSet } from './cni/plugins.ts';
import { adoptOrphans } from './cni/process.ts';
import { describeMachine } from './machine.ts';
import { makeRow, number, type Quantity, table } from './report.ts';

const quick = ['version', 'plain', 'masquerade', 'port', 'k3s', 'parallel', 'children'];
const smoke = ['plain'];

function choose(only: string | undefined, fallback: readonly string[] | undefined): readonly Measure[] {
  const ids = only?.split(',') ?? fallback ?? catalogue.map(({ id }) => id);
  return ids.map((id) => {
    const measure = catalogue.find((candidate) => candidate.id === id);
    if (measure !== undefined) return measure;
    throw new RangeError(
      `there is no measure '${id}'; there are: ${catalogue.map((each) => each.id).join(', ')}`,
    );
  });
}

function findSets(): PluginSet[] {
  const debian = debianPlugins();
  const newest = newestPlugins();
  if (debian === undefined)
    console.log("bench: without Debian's plugins (apt-get install containernetworking-plugins iptables)");
  if (newest === undefined)
    console.log('bench: without the newest plugins: Go or its module proxy is missing');
  return [ours(), ...(debian === undefined ? [] : [debian]), ...(newest === undefined ? [] : [newest])];
}

function main(): void {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      smoke: { type: 'boolean', default: false },
      only: { type: 'string' },
      rounds: { type: 'string' },
      minutes: { type: 'string', default: '11' },
      disk: { type: 'boolean', default: false },
      out: { type: 'string' },
    },
  });
  if (process.getuid?.() !== 0) {
    console.log('bench: skipped: it makes network namespaces, so it has to be run as root');
    return;
  }
  if (!isIsolated()) {
    buildNewest();
    isolate();
    return;
  }
  const measures = choose(values.only, values.smoke ? smoke : values.quick ? quick : undefined);
  const rounds = Number(values.rounds ?? (values.smoke ? 1 : values.quick ? 3 : 5));
  const count = values.smoke ? 5 : 20;
  const sets = findSets();
  const machine = describeMachine();
  const folder = values.disk ? mkdtempSync(join(tmpdir(), 'kwm-disk-')) : undefined;
  hideHost(folder);
  adoptOrphans();
  console.log(`${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}`);
  console.log(`${rounds} rounds of ${count} calls, load before ${machine.loadBefore.toFixed(2)}`);
  console.log(`leases and records ${folder === undefined ? 'in memory' : 'on disk'}\n`);

  const runs = new Map<Quantity, number[][]>();
  let done = 0;
  try {
    const began = performance.now();
    for (let round = 0; round < rounds; round += 1) {
      // Another round as long as those before it must end in time.
      const spent = performance.now() - began;
      if (round > 0 && spent + spent / round > Number(values.minutes) * 60_000) break;
      done = round + 1;
      for (const measure of measures) {
        for (const [quantity, figures] of measure.run(sets, count)) {
          const all = runs.get(quantity) ?? sets.map(() => []);
          figures.forEach((figure, index) => {
            all[index]?.push(figure);
          });
          runs.set(quantity, all);
          console.log(`${quantity.id.padEnd(14)} ${figures.map(number).join('  ')}`);
        }
      }
    }
  } finally {
    for (const { directory } of sets) rmSync(directory, { recursive: true });
    if (folder !== undefined) rmSync(folder, { recursive: true });
  }

  sets.slice(1).forEach((peer, index) => {
    const rows = [...runs].map(([quantity, all]) =>
      makeRow(quantity, all[0] as number[], all[index + 1] as number[]),
    );
    console.log(`\n${table(rows, 'kilowire', peer.name)}`);
    const partial = values.smoke || values.only !== undefined;
    if (partial && values.out === undefined) return;
    const results = values.out ?? join(dirname(fileURLToPath(import.meta.url)), 'results');
    const suffix = `${values.quick ? '-quick' : ''}${values.disk ? '-disk' : ''}`;
    const file = join(results, `cni-${peer.name.startsWith('Debian') ? 'debian' : 'newest'}${suffix}.json`);
    const command = `npm run bench:cni -- ${process.argv.slice(2).join(' ')}`.trim();
    const result = { machine, command, peer: peer.name, rounds: done, calls: count, rows };
    writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
    console.log(`\nstored in ${file}`);
  });
}

main();
