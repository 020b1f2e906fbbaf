/**
 * Hosts for tests: network namespaces, what runs in them, and the promise that nothing stays behind.
 * @module
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export const isRoot = process.getuid?.() === 0;
export const root = fileURLToPath(new URL('../..', import.meta.url));
export const kilowireWg = join(root, 'bin/kilowire-wg');

/** Runs a program and returns what it printed; what it complained of is in the error. */
export const run = (program: string, ...args: string[]): string =>
  execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 60_000 });

/** Whether a program is on the machine. */
export function has(program: string): boolean {
  try {
    run('sh', '-c', `command -v ${program}`);
    return true;
  } catch {
    return false;
  }
}

/** Looks until it is so; throws with `what` after `timeout` ms. */
export async function until(what: string, isSo: () => boolean, timeout = 10_000): Promise<void> {
  const end = Date.now() + timeout;
  while (!isSo()) {
    if (Date.now() > end) throw new Error(`waited ${timeout} ms in vain for: ${what}`);
    await sleep(25);
  }
}

/** One network namespace. */
export class Host {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
    if (existsSync(`/run/netns/${name}`)) run('ip', 'netns', 'del', name);
    run('ip', 'netns', 'add', name);
    this.ip('link', 'set', 'lo', 'up');
  }

  /** `ip -n NAME …` */
  ip(...args: string[]): string {
    return run('ip', '-n', this.name, ...args);
  }

  /** Runs a program in the namespace. */
  exec(...args: string[]): string {
    return run('ip', 'netns', 'exec', this.name, ...args);
  }

  /** Starts a program in the namespace; the process is the program's own. */
  spawn(args: readonly string[], environment: Readonly<Record<string, string>> = {}): ChildProcess {
    return spawn('ip', ['netns', 'exec', this.name, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    });
  }

  /** True when every one of `count` pings came back. */
  pings(address: string, count = 3, interval = 0.1): boolean {
    const wait = Math.ceil(count * interval) + 4;
    try {
      const options = ['-c', String(count), '-i', String(interval), '-w', String(wait)];
      return / 0% packet loss/.test(this.exec('ping', '-q', ...options, address));
    } catch {
      return false;
    }
  }

  remove(): void {
    if (existsSync(`/run/netns/${this.name}`)) run('ip', 'netns', 'del', this.name);
  }
}

/** Joins two hosts by a veth pair with an address each, IPv4 and IPv6. */
export function join2(a: Host, b: Host, link: string, subnet: string, subnet6: string): void {
  run('ip', 'link', 'add', link, 'netns', a.name, 'type', 'veth', 'peer', 'name', link, 'netns', b.name);
  [a, b].forEach((host, index) => {
    host.ip('addr', 'add', `${subnet}.${index + 1}/24`, 'dev', link);
    host.ip('addr', 'add', `${subnet6}::${index + 1}/64`, 'dev', link, 'nodad');
    host.ip('link', 'set', link, 'up');
  });
}

/** A private folder, for keys. */
export class Folder {
  readonly path: string = mkdtempSync(join(tmpdir(), 'kilowire-test-'));

  write(name: string, text: string): string {
    const path = join(this.path, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Ends a process and waits until it is gone. */
export async function end(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), 5000);
  await gone;
  clearTimeout(timer);
}
