/**
 * A machine for a real container runtime: network, mount and process namespaces of its own, empty /run, /etc/cni,
 * /opt/cni and /var/lib/… in memory, so that the whole thing ends with one process and nothing of the host is touched.
 * /sys stays the host's, because runc needs the cgroups below it; they are made under one parent, removed at the end.
 * @module
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { root, until } from './host.ts';

/** Empty in the lab. */
const hidden = [
  '/run',
  '/var/lib/cni',
  '/var/lib/containerd',
  '/etc/cni',
  '/etc/containers',
  '/opt/cni',
  '/var/lib/rancher',
];

export class CniLab {
  /** Of the host; the lab sees it under the same path. */
  readonly folder = mkdtempSync(join(tmpdir(), 'kwm-lab-'));
  readonly cgroup: string;
  readonly #init: ChildProcess;
  #pid = 0;

  constructor() {
    this.cgroup = `/${this.folder.split('/').pop()}`;
    const script = [
      'set -e',
      'ip link set lo up',
      ...hidden.map((path) => `mkdir -p ${path} && mount -t tmpfs none ${path}`),
      'mkdir -p /run/netns /etc/cni/net.d /opt/cni/bin',
      `echo ready > ${this.folder}/ready`,
      // Bash takes in the orphans of its process namespace while it waits, and outlives `kill -9 -1`.
      'while :; do sleep 3600 & wait $! || true; done',
    ].join('\n');
    this.#init = spawn(
      'unshare',
      [
        '-n',
        '-m',
        '-p',
        '--fork',
        '--kill-child',
        '--mount-proc',
        '--propagation',
        'private',
        'bash',
        '-c',
        script,
      ],
      { stdio: 'ignore' },
    );
  }

  async ready(): Promise<void> {
    await until('the lab', () => existsSync(join(this.folder, 'ready')));
    const parent = this.#init.pid ?? 0;
    this.#pid = Number(readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8').trim().split(' ')[0]);
  }

  /** A path of the lab as the host can open it. */
  path(path: string): string {
    return `/proc/${this.#pid}/root${path}`;
  }

  /** Runs a program in the lab; throws with what it said when it fails. */
  run(program: string, ...args: string[]): string {
    return this.runWith({}, program, ...args);
  }

  runWith(env: Readonly<Record<string, string>>, program: string, ...args: string[]): string {
    return execFileSync('nsenter', [...this.#enter(), program, ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 120_000,
      env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', ...env },
    });
  }

  /** Starts a program in the lab; the process is the program's own. */
  start(log: string, program: string, ...args: string[]): ChildProcess {
    const output = join(this.folder, log);
    const command = `echo $$ > ${output}.pid; exec "$@" >> ${output} 2>&1`;
    return spawn('nsenter', [...this.#enter(), 'sh', '-c', command, 'sh', program, ...args], {
      stdio: 'ignore',
    });
  }

  write(path: string, text: string): void {
    const there = this.path(path);
    mkdirSync(dirname(there), { recursive: true });
    writeFileSync(there, text);
  }

  /** Ends all processes of the lab but its first, as a power cut would. */
  killAll(): void {
    this.run('sh', '-c', 'kill -9 -1 2>/dev/null; true');
  }

  /** The pid in the lab of what `start` started. */
  pidOf(log: string): number {
    return Number(readFileSync(join(this.folder, `${log}.pid`), 'utf8'));
  }

  files(path: string): readonly string[] {
    return existsSync(this.path(path)) ? readdirSync(this.path(path)) : [];
  }

  /** Puts the executable into `directory` under each name, by rename, as an installer does. */
  install(directory: string, ...names: string[]): void {
    const there = this.path(directory);
    mkdirSync(there, { recursive: true });
    copyFileSync(join(root, 'dist/kilowire-cni'), join(this.folder, 'kilowire-cni'));
    for (const name of names) symlinkSync(join(this.folder, 'kilowire-cni'), join(there, name));
  }

  /** What a pod, or a plugin, could leave on the node. */
  leftovers(network: string): {
    veths: readonly string[];
    leases: readonly string[];
    state: readonly string[];
    nat: string;
  } {
    // DEL answers while the kernel still takes the links apart.
    const find = (): string => this.run('ip', '-o', 'link', 'show', 'type', 'veth');
    let links = find();
    for (let turn = 0; turn < 100 && links.includes('group 1802071151'); turn += 1) links = find();
    return {
      veths: [...links.matchAll(/^\d+: ([^:@]+)/gm)].map(([, name]) => name ?? ''),
      leases: this.files(`/var/lib/cni/networks/${network}`).filter(
        (name) => !name.startsWith('last_reserved_ip.'),
      ),
      state: this.files(`/var/lib/cni/kilowire/${network}`),
      nat: this.run('nft', 'list', 'ruleset').trim(),
    };
  }

  async close(): Promise<void> {
    const gone = new Promise((resolve) => this.#init.once('exit', resolve));
    // The first process of a process namespace takes all others with it.
    if (this.#pid > 0) process.kill(this.#pid, 'SIGKILL');
    await gone;
    removeCgroups(this.cgroup);
    rmSync(this.folder, { recursive: true, force: true });
  }

  #enter(): string[] {
    return ['-t', String(this.#pid), '-n', '-m', '-p', '--'];
  }
}

/** Empty directories by now, in each hierarchy, the deepest first. */
function removeCgroups(parent: string): void {
  const remove = (path: string): void => {
    for (const entry of readdirSync(path, { withFileTypes: true }))
      if (entry.isDirectory()) remove(join(path, entry.name));
    try {
      rmdirSync(path);
    } catch {
      // A process that is not quite dead holds it; an empty cgroup harms nobody.
    }
  };
  for (const hierarchy of readdirSync('/sys/fs/cgroup')) {
    for (const path of [join('/sys/fs/cgroup', hierarchy, parent), join('/sys/fs/cgroup', parent)])
      if (existsSync(path)) remove(path);
  }
}

export const nothing = { veths: [], leases: [], state: [], nat: '' };

/** busybox as a root file system: the programs are links to it. */
export function makeRootfs(folder: string): string {
  const rootfs = join(folder, 'rootfs');
  for (const path of ['bin', 'proc', 'sys', 'dev', 'etc', 'tmp', 'run', 'www'])
    mkdirSync(join(rootfs, path), { recursive: true });
  const busybox = ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path)) ?? '';
  copyFileSync(busybox, join(rootfs, 'bin/busybox'));
  const applets = execFileSync(busybox, ['--list'], { encoding: 'utf8' }).trim().split('\n');
  for (const name of applets) if (name !== 'busybox') symlinkSync('busybox', join(rootfs, 'bin', name));
  writeFileSync(join(rootfs, 'etc/passwd'), 'root:x:0:0:root:/:/bin/sh\n');
  return rootfs;
}
