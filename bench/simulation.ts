/**
 * `node bench/simulation.ts [--seed N] [--nodes N] [--locations N] [--agents N] [--granularity G] [--hours N] [--runs N]
 * [--out FILE]`: a cluster of a thousand nodes through a simulated day of troubles, every rule held after each pass of each agent; stored under
 * bench/results/. A seed that fails is printed with the command that repeats it.
 * @module
 */
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Granularity } from '../src/routing/node.ts';
import { type DayResult, simulateDay } from '../src/simulation/simulated-day.ts';
import { describeMachine } from './machine.ts';

const main = async (): Promise<void> => {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      nodes: { type: 'string', default: '1000' },
      locations: { type: 'string', default: '20' },
      agents: { type: 'string', default: '4' },
      granularity: { type: 'string', default: 'location' },
      hours: { type: 'string', default: '24' },
      runs: { type: 'string', default: '1' },
      resync: { type: 'string', default: '5m' },
      log: { type: 'boolean', default: false },
      out: { type: 'string' },
    },
  });
  const folder = join(dirname(fileURLToPath(import.meta.url)), 'results');
  const results: (DayResult & { readonly realSeconds: number })[] = [];
  for (let run = 0; run < Number(values.runs); run++) {
    const options = {
      seed: Number(values.seed) + run,
      nodes: Number(values.nodes),
      locations: Number(values.locations),
      agents: Number(values.agents),
      granularity: values.granularity as Granularity,
      resyncPeriod: values.resync,
      ...(values.log ? { onLog: (line: string) => process.stdout.write(line) } : {}),
    };
    const started = performance.now();
    const result = await simulateDay(options, Number(values.hours) * 3600);
    const realSeconds = (performance.now() - started) / 1000;
    results.push({ ...result, realSeconds });
    const { violations, troubles, checks, convergedAfterSeconds, simulatedSeconds } = result;
    const held = Object.values(checks).reduce((sum, count) => sum + count, 0);
    console.log(
      `seed ${options.seed}: ${options.nodes} nodes, ${(simulatedSeconds / 3600).toFixed(1)} h in ${realSeconds.toFixed(0)} s; ` +
        `converged after ${convergedAfterSeconds} s; ${troubles.length} troubles, ${held} checks, ` +
        `${result.writesPerSecond.toFixed(2)} writes/s (≤ ${result.writesAllowed.toFixed(2)}), ${violations.length} violations`,
    );
    if (violations.length === 0) continue;
    process.exitCode = 1;
    console.log(JSON.stringify({ violations: violations.slice(0, 5), last: troubles.slice(-4) }, null, 2));
    console.log(
      `again: node bench/simulation.ts ${process.argv.slice(2).join(' ')} --runs 1 --seed ${options.seed}`,
    );
  }
  if (values.out === 'none') return;
  const file = values.out ?? join(folder, 'simulation.json');
  const command = `node bench/simulation.ts ${process.argv.slice(2).join(' ')}`.trim();
  // What happened when is in the seed.
  const rows = results.map(({ troubles, ...row }) => ({ ...row, troubles: troubles.length }));
  writeFileSync(file, `${JSON.stringify({ machine: describeMachine(), command, rows }, null, 2)}\n`);
  console.log(`stored in ${file}`);
};

await main();
