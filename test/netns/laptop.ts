/**
 * A host outside the cluster of agent-world.ts, which joins its mesh by `kilowire connect`:
 *
 *     PREFIX-a …  PREFIX-r  … PREFIX-b, PREFIX-c
 *                     │
 *                PREFIX-lap 10.9.9.2
 * @module
 */
import type { ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type AgentWorld, NODES } from './agent-world.ts';
import { end, Host, root, run, until } from './host.ts';

export const API = 'http://10.9.1.1:8001';
export const ADDRESS = '10.5.0.77';
/** Of the router, as the laptop sees it: who resolves names where it is. */
export const GATEWAY = '10.9.9.1';

const cli = join(root, 'src/cli/main.ts');

export interface Running {
  readonly child: ChildProcess;
  readonly log: () => string;
}

/** A host behind the cluster's router, PREFIX-r, that has no way further than to it. */
export const hostOutside = (prefix: string): Host => {
  const host = new Host(`${prefix}-lap`);
  const ends = ['netns', host.name, 'type', 'veth', 'peer', 'name', 'to-lap', 'netns', `${prefix}-r`];
  run('ip', 'link', 'add', 'eth0', ...ends);
  run('ip', '-n', `${prefix}-r`, 'addr', 'add', `${GATEWAY}/24`, 'dev', 'to-lap');
  run('ip', '-n', `${prefix}-r`, 'link', 'set', 'to-lap', 'up');
  host.ip('addr', 'add', '10.9.9.2/24', 'dev', 'eth0');
  host.ip('link', 'set', 'eth0', 'up');
  return host;
};

export class Laptop {
  readonly host: Host;
  readonly state: string;
  readonly #world: AgentWorld;
  /** Before it was ever connected. */
  #bare = '';
  readonly #connections: ChildProcess[] = [];
  /** What its programs are started by. */
  #enter: readonly string[] = [];
  #environment: Readonly<Record<string, string>> = {};

  constructor(world: AgentWorld, prefix: string) {
    this.#world = world;
    this.host = hostOutside(prefix);
    this.host.ip('route', 'add', 'default', 'via', GATEWAY);
    this.state = join(world.folder.path, 'laptop');
  }

  /** From now on its programs see what is mounted where a process is. */
  enter(pid: number, environment: Readonly<Record<string, string>>): void {
    this.#enter = ['nsenter', '-t', String(pid), '-m', '--'];
    this.#environment = environment;
  }

  /** Starts a program; the process is the program's own. */
  spawn(...command: readonly string[]): Running {
    const child = this.host.spawn([...this.#enter, ...command], {
      KILOWIRE_UAPI_DIR: this.state,
      ...this.#environment,
    });
    const pieces: string[] = [];
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (piece: Buffer) => pieces.push(piece.toString('utf8')));
    return { child, log: () => pieces.join('') };
  }

  /** What a program prints. The API server is this process: it cannot answer while something else is waited for. */
  async run(...command: readonly string[]): Promise<string> {
    const { child, log } = this.spawn(...command);
    await until(`${command.join(' ')} to end`, () => child.exitCode !== null, 30_000);
    return log();
  }

  connect(...flags: readonly string[]): Running {
    const own = ['laptop', '-a', `${ADDRESS}/32`, '--master', API, '--state-directory', this.state];
    // Not before: a link that has just been set up comes up in its own time.
    this.#bare ||= this.#kernel();
    const running = this.spawn(process.execPath, cli, 'connect', ...own, ...flags);
    this.#connections.push(running.child);
    return running;
  }

  disconnect(): Running {
    return this.spawn(
      ...[process.execPath, cli, 'disconnect', '--master', API, '--state-directory', this.state],
    );
  }

  /** Ends what a test that failed has left. */
  async clear(): Promise<void> {
    for (const child of this.#connections.splice(0)) await end(child);
    if (this.devices().length === 0) return;
    const { child } = this.disconnect();
    await until('disconnect to end', () => child.exitCode !== null, 20_000);
    for (const pid of this.devices()) process.kill(pid, 'SIGTERM');
    await until('the device to end', () => this.devices().length === 0);
  }

  async connected(log: () => string): Promise<void> {
    try {
      await until('the mesh to be known', () => log().includes('in the mesh'), 30_000);
      await until(
        'every pod to answer the laptop',
        () => NODES.every(({ pod }) => this.reaches(pod)),
        30_000,
      );
    } catch (error) {
      process.stderr.write(`${log()}\n`);
      throw error;
    }
  }

  reaches(address: string): boolean {
    try {
      this.host.exec('ping', '-q', '-c', '1', '-W', '1', address);
      return true;
    } catch {
      return false;
    }
  }

  /** Pids of devices, which outlive a connection that is killed. */
  devices(): number[] {
    return run('ip', 'netns', 'pids', this.host.name)
      .split('\n')
      .map(Number)
      .filter((pid) => pid > 0 && textOf(`/proc/${pid}/cmdline`).includes('kilowire-wg'));
  }

  /** It is as it was before it was ever connected. */
  async expectBare(): Promise<void> {
    await until('the device to end', () => this.devices().length === 0);
    expect(this.#kernel()).toBe(this.#bare);
    expect(this.#world.api.store.get('peers.kilo.squat.ai', 'laptop')).toBeUndefined();
    expect(existsSync(join(this.state, 'connect-kilo0.json'))).toBe(false);
  }

  remove(): void {
    for (const pid of this.devices()) process.kill(pid, 'SIGTERM');
    this.host.remove();
  }

  #kernel(): string {
    const { host } = this;
    return (
      [host.ip('-br', 'link'), host.ip('-br', 'addr'), host.ip('route'), host.ip('rule')]
        .join('\n')
        // The kernel numbers links and gives them link-local addresses in its own time.
        .replace(/ fe80::\S+/g, '')
    );
  }
}

/** '' where there is none, or one that cannot be read. */
export const textOf = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};
