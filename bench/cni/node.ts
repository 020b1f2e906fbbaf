/**
 * A node for one set of plugins: a network namespace with the namespaces of its pods, in a mount namespace of this
 * process alone, where /run and /var/lib/cni are empty and go away with it. Nothing of the host is touched.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { createNamedNamespace, deleteNamedNamespace } from '../../src/linux/namespaces.ts';
import type { PluginSet } from './plugins.ts';
import { enter } from './process.ts';

const insideMark = 'KILOWIRE_BENCH_CNI_INSIDE';

export const isIsolated = (): boolean => process.env[insideMark] !== undefined;

/** Runs the calling program once more, in namespaces of its own. */
export function isolate(): void {
  const { status } = spawnSync(
    'unshare',
    ['-n', '-m', '--propagation', 'private', process.execPath, ...process.argv.slice(1)],
    { stdio: 'inherit', env: { ...process.env, [insideMark]: '1' } },
  );
  process.exitCode = status ?? 1;
}

/** Empty places for what plugins and iptables keep; `disk` is a folder in place of memory for leases and records. */
export function hideHost(disk?: string): void {
  mkdirSync('/var/lib/cni', { recursive: true });
  mount('-t', 'tmpfs', 'none', '/run');
  if (disk === undefined) mount('-t', 'tmpfs', 'none', '/var/lib/cni');
  else mount('--bind', disk, '/var/lib/cni');
  mkdirSync('/run/netns');
}

function mount(...args: string[]): void {
  const { status, stderr } = spawnSync('mount', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`mount ${args.join(' ')}: ${stderr}`);
}

export class Node {
  readonly plugins: PluginSet;
  readonly #name: string;
  readonly #pods = new Set<string>();

  constructor(plugins: PluginSet, name: string) {
    this.plugins = plugins;
    this.#name = name;
    createNamedNamespace(name);
  }

  /** What this process starts from now on runs on this node. */
  enter(): void {
    enter(`/run/netns/${this.#name}`);
  }

  /** Makes the pod's namespace when it is not there; answers its path. */
  pod(name: string): string {
    const full = `${this.#name}-${name}`;
    if (!this.#pods.has(full)) createNamedNamespace(full);
    this.#pods.add(full);
    return `/run/netns/${full}`;
  }

  removePod(name: string): void {
    const full = `${this.#name}-${name}`;
    if (this.#pods.delete(full)) deleteNamedNamespace(full);
  }

  remove(): void {
    for (const pod of this.#pods) deleteNamedNamespace(pod);
    this.#pods.clear();
    deleteNamedNamespace(this.#name);
  }
}
