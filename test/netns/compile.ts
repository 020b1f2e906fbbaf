/**
 * Runs a tool chain, which may have to download, with an end: its own, that of the run of tests, or that of this process.
 * @module
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { lateness, timeLeft } from '../time-limit.ts';
import { has } from './host.ts';

export interface CompileOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly minutes?: number;
}

/** Answers what it printed; throws with the end of what it complained of. */
export async function compile(
  program: string,
  args: readonly string[],
  { cwd, env = {}, minutes = 10 }: CompileOptions = {},
): Promise<string> {
  if (!has(program)) throw new Error(`${program} is not on this machine`);
  const late = lateness();
  if (late !== undefined) throw new Error(late);
  // An interrupted Go leaves gigabytes there.
  const folder = mkdtempSync(join(tmpdir(), 'kilowire-compile-'));
  const bound = ['--pdeathsig', 'TERM', 'nice', program, ...args];
  const child = spawn('setpriv', bound, {
    ...(cwd === undefined ? {} : { cwd }),
    // Go finds its caches by HOME, and takes no other version of itself from the network.
    env: { HOME: homedir(), ...process.env, GOTOOLCHAIN: 'local', GOTMPDIR: folder, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own, with the compilers it starts.
    detached: true,
  });
  let [said, complaint] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    complaint = `${complaint}${chunk.toString()}`.slice(-4000);
  });
  let isOver = false;
  const signal = (name: NodeJS.Signals): void => {
    isOver = true;
    try {
      if (child.pid !== undefined) process.kill(-child.pid, name);
    } catch {
      // None of them is left.
    }
  };
  const milliseconds = Math.min(minutes * 60_000, timeLeft());
  // What is compiled by then stays in Go's cache.
  const timers = [
    setTimeout(signal, milliseconds, 'SIGINT'),
    setTimeout(signal, milliseconds + 15_000, 'SIGKILL'),
  ];
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    if (code === 0) return said;
  } finally {
    for (const timer of timers) clearTimeout(timer);
    rmSync(folder, { recursive: true, force: true });
  }
  if (isOver)
    throw new Error(
      lateness() ?? `${program} took more than ${minutes} minutes; the next run goes on from there`,
    );
  throw new Error(`${program} ${args[0] ?? ''}: ${complaint.trim().split('\n').slice(-4).join(' ')}`);
}
