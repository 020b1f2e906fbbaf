/**
 * One WireGuard program on one side: its start, its end, and what it uses.
 * @module
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { inNamespace, type Side } from './namespaces.ts';

export interface Subject {
  readonly name: string;
  readonly command: string;
  readonly environment?: Readonly<Record<string, string>>;
}

export interface Usage {
  readonly rssMiB: number;
  readonly peakMiB: number;
  readonly cpuSeconds: number;
}

/** Memory and CPU time of a process, from /proc. */
export function usage(pid: number): Usage {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kib = (field: string): number =>
    Number(status.match(new RegExp(`^${field}:\\s*(\\d+)`, 'm'))?.[1] ?? 0);
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  const ticks = Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
  return { rssMiB: kib('VmRSS') / 1024, peakMiB: kib('VmHWM') / 1024, cpuSeconds: ticks / 100 };
}

/** How often any thread of a process was woken up or gave way. */
export function switches(pid: number): number {
  let total = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const status = readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8');
    for (const match of status.matchAll(/ctxt_switches:\s*(\d+)/g)) total += Number(match[1]);
  }
  return total;
}

/** Those that run, so that none outlives the bench. */
const running = new Set<ChildProcess>();

export function killDaemons(): void {
  for (const child of running) child.kill('SIGKILL');
}

export interface Daemon {
  readonly pid: number;
  readonly side: Side;
  stop(): Promise<void>;
}

/** Starts the program; resolves when its control socket is there. `core`: run on that one only. */
export async function startDaemon(subject: Subject, side: Side, core?: number): Promise<Daemon> {
  const socket = `/var/run/wireguard/${side.link}.sock`;
  // Left behind by one that was killed: it would look as if ours were up.
  rmSync(socket, { force: true });
  const pin = core === undefined ? [] : ['taskset', '-c', String(core)];
  const command = ['netns', 'exec', side.namespace, ...pin, subject.command, '-f', side.link];
  const child: ChildProcess = spawn('ip', command, {
    stdio: 'ignore',
    env: { ...process.env, LOG_LEVEL: 'error', ...subject.environment },
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  child.once('error', () => running.delete(child));
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), 3000);
    await gone;
    clearTimeout(timer);
  };
  const end = Date.now() + 10_000;
  while (!existsSync(socket)) {
    if (Date.now() > end || child.exitCode !== null) {
      await stop();
      throw new Error(`${subject.name} on ${side.link} did not come up`);
    }
    await sleep(20);
  }
  return { pid: child.pid ?? 0, side, stop };
}

export interface KeyPair {
  readonly privateKey: string;
  readonly publicKey: string;
}

export function makeKeys(): KeyPair {
  const privateKey = execFileSync('wg', ['genkey'], { encoding: 'utf8' });
  const publicKey = execFileSync('wg', ['pubkey'], { encoding: 'utf8', input: privateKey }).trim();
  return { privateKey, publicKey };
}

/** `wg SUBCOMMAND LINK …`, where `file` gives the name of a private file with that text. */
export function wg(side: Side, subcommand: string, args: (file: (text: string) => string) => string[]): void {
  const folder = mkdtempSync(join(tmpdir(), 'kilowire-bench-'));
  let files = 0;
  const file = (text: string): string => {
    const path = join(folder, `${files++}`);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  try {
    inNamespace(side.namespace, ['wg', subcommand, side.link, ...args(file)], 60_000);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
