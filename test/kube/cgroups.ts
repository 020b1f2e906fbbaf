/**
 * A control group per node and hierarchy, below those this process is in, so that a node's kubelet and containerd see
 * a tree of their own. Hierarchies of version 1, which the machines of the tests have.
 * Source: cgroups(7), "Cgroups version 1"; cpuset groups take no process before they have processors and memory.
 * @module
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const mounts = '/sys/fs/cgroup';

export interface Hierarchy {
  /** Below /sys/fs/cgroup. */
  readonly name: string;
  /** What mount(8) takes as its option. */
  readonly option: string;
  /** Where this process is in it. */
  readonly own: string;
}

/** The hierarchies of this machine. */
export function hierarchies(): readonly Hierarchy[] {
  return readFileSync('/proc/self/cgroup', 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split(':'))
    .filter(([, option = '']) => option !== '')
    .map(([, option = '', own = '/']) => {
      const name = option.replace(/^name=/, '');
      return { name, option: option.startsWith('name=') ? `none,${option}` : option, own };
    })
    .filter(({ name }) => existsSync(join(mounts, name)));
}

/** Whether a kubelet finds here what it needs. */
export const hasControllers = (): boolean => {
  const names = hierarchies().flatMap(({ name }) => name.split(','));
  return ['cpu', 'cpuset', 'memory', 'pids', 'devices'].every((name) => names.includes(name));
};

export class NodeCgroups {
  /** One a hierarchy. */
  readonly folders: readonly string[];

  constructor(cluster: string, node: string) {
    this.folders = hierarchies().map(({ name, own }) => {
      const parent = join(mounts, name, own, cluster);
      for (const path of [parent, join(parent, node)]) {
        mkdirSync(path, { recursive: true });
        if (name.split(',').includes('cpuset'))
          for (const file of ['cpuset.cpus', 'cpuset.mems'])
            writeFileSync(join(path, file), readFileSync(join(dirname(path), file)));
      }
      return join(parent, node);
    });
  }

  /** For a shell: moves it, and what it starts, into the groups. */
  get enterScript(): string {
    return `for g in ${this.folders.join(' ')}; do echo $$ > $g/cgroup.procs; done`;
  }

  /** Once no process is in them. */
  async remove(): Promise<void> {
    for (const folder of this.folders) {
      for (let tries = 0; existsSync(folder) && tries < 50; tries += 1) {
        removeTree(folder);
        if (existsSync(folder)) await new Promise((resolve) => setTimeout(resolve, 100));
      }
      // The cluster's, when this was its last node.
      removeTree(dirname(folder), 0);
    }
  }
}

/** The deepest first, as deep as `levels`. */
function removeTree(folder: string, levels = Number.POSITIVE_INFINITY): void {
  try {
    if (levels > 0)
      for (const entry of readdirSync(folder, { withFileTypes: true }))
        if (entry.isDirectory()) removeTree(join(folder, entry.name), levels - 1);
    rmdirSync(folder);
  } catch {
    // A process that is not quite dead, or another node, holds it.
  }
}
