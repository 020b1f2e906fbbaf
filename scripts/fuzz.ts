/**
 * `npm run fuzz -- --seconds N [--seed S] [--target NAME] [--executions N] [--out FILE]`: hostile input for everything
 * that takes input (test/fuzz), until the time is over or a fault is found; a fault prints its seed and its input.
 * `--out` keeps the counts as JSON. Exit code 1: a fault.
 * @module
 */
import { writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { parseArgs } from 'node:util';
import { type FuzzCount, fuzz } from '../test/fuzz/run.ts';
import { FuzzFault } from '../test/fuzz/target.ts';
import { targets } from '../test/fuzz/targets.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string' },
    target: { type: 'string', multiple: true },
    executions: { type: 'string' },
    out: { type: 'string' },
  },
});

function number(name: string, text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value >= 0) return value;
  console.error(`--${name} must be a number, not "${text}"`);
  process.exit(2);
}

const names = values.target ?? targets.map(({ name }) => name);
const chosen = targets.filter(({ name }) => names.includes(name));
if (chosen.length < names.length) {
  console.error(`--target must be one of ${targets.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}
const seconds = number('seconds', values.seconds);
const seed = number('seed', values.seed ?? String(Date.now() % 1_000_000_000));
const executions =
  values.executions === undefined ? {} : { executions: number('executions', values.executions) };
const startedAt = new Date();
const cpuBefore = process.cpuUsage();
console.log(`seed ${seed}, ${seconds} s: ${names.join(', ')}`);

function report(counts: readonly FuzzCount[], fault: string | null): void {
  for (const { target, rounds, executions: count, seconds: spent } of counts) {
    const rate = Math.round(count / Math.max(spent, 0.001));
    console.log(
      `${target.padEnd(10)} ${String(count).padStart(12)} inputs ${String(rounds).padStart(7)} rounds ${String(rate).padStart(9)}/s`,
    );
  }
  if (values.out === undefined) return;
  const cpu = process.cpuUsage(cpuBefore);
  const result = {
    kind: 'fuzz',
    startedAt: startedAt.toISOString(),
    machine: {
      processor: cpus()[0]?.model ?? 'unknown',
      cores: cpus().length,
      kernel: release(),
      node: process.version,
    },
    seed,
    seconds: (Date.now() - startedAt.getTime()) / 1000,
    cpuSeconds: (cpu.user + cpu.system) / 1e6,
    targets: counts.map((count) => ({
      ...count,
      seconds: Math.round(count.seconds * 10) / 10,
      perSecond: Math.round(count.executions / Math.max(count.seconds, 0.001)),
    })),
    fault,
  };
  writeFileSync(values.out, `${JSON.stringify(result, null, 2)}\n`);
}

let latest: readonly FuzzCount[] = [];
try {
  fuzz(chosen, seed, {
    seconds,
    ...executions,
    onRound: (counts) => {
      latest = counts;
    },
  });
  report(latest, null);
} catch (error) {
  if (!(error instanceof FuzzFault)) throw error;
  console.error(error.message);
  report(latest, error.message);
  process.exitCode = 1;
}
