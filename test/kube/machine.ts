/**
 * A machine of the cluster in namespaces of its own, and the wire between them. What is started on a machine ends with
 * its first process, and that with this one; its disk outlives a reboot, nothing else does.
 *
 *     10.77.0.1 wan ──┬── eth0 10.77.0.10 n0
 *                     └── eth0 10.77.0.11 n1 …
 * @module
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { run, until } from '../netns/host.ts';
import { hierarchies, NodeCgroups } from './cgroups.ts';
import { paths, wanAddress } from './layout.ts';

const initScript = fileURLToPath(new URL('./node-init.sh', import.meta.url));
/** Ends its command with the process that started it. */
const bound = ['setpriv', '--pdeathsig', 'KILL'];

const environment = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  CONTAINERD_ADDRESS: paths.containerdSocket,
  CONTAINERD_NAMESPACE: 'k8s.io',
  HOME: '/root',
};

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  await new Promise((resolve) => child.once('exit', resolve));
}

/** A bridge that the machines are joined to. */
export class Wan {
  readonly #process: ChildProcess;

  constructor() {
    const [program = '', ...args] = [...bound, 'unshare', '-n', 'sleep', 'infinity'];
    this.#process = spawn(program, args, { stdio: 'ignore' });
  }

  async ready(): Promise<void> {
    await until('the wan', () => this.#isApart());
    for (const args of [
      ['link', 'set', 'lo', 'up'],
      ['link', 'add', 'wan', 'type', 'bridge'],
      ['address', 'add', `${wanAddress}/24`, 'dev', 'wan'],
      ['link', 'set', 'wan', 'up'],
    ])
      this.exec('ip', ...args);
  }

  exec(...command: string[]): string {
    return run('nsenter', '-t', String(this.#process.pid), '-n', ...command);
  }

  connect(machine: Machine): void {
    const port = `w-${machine.name}`;
    // As a machine's own, it is the same after a reboot.
    const mac = `02:4b:${machine.address
      .split('.')
      .map((part) => Number(part).toString(16).padStart(2, '0'))
      .join(':')}`;
    const theirs = ['peer', 'name', 'eth0', 'address', mac, 'netns', String(machine.pid)];
    this.exec('ip', 'link', 'add', port, 'type', 'veth', ...theirs);
    this.exec('ip', 'link', 'set', port, 'master', 'wan', 'up');
    for (const args of [
      ['address', 'add', `${machine.address}/24`, 'dev', 'eth0'],
      ['address', 'add', `${machine.address6}/64`, 'dev', 'eth0', 'nodad'],
      ['link', 'set', 'eth0', 'up'],
      ['route', 'add', 'default', 'via', wanAddress],
    ])
      machine.net('ip', ...args);
  }

  async close(): Promise<void> {
    this.#process.kill('SIGKILL');
    await ended(this.#process);
  }

  #isApart(): boolean {
    const of = (pid: number | undefined): string => readlinkSync(`/proc/${pid}/ns/net`);
    return of(this.#process.pid) !== of(process.pid);
  }
}

export class Machine {
  readonly name: string;
  readonly address: string;
  readonly address6: string;
  readonly #folder: string;
  readonly #cluster: string;
  #init: ChildProcess | undefined;
  #cgroups: NodeCgroups | undefined;
  #pid = 0;
  readonly #daemons = new Map<string, ChildProcess>();

  /** `folder` is the cluster's; its last part names the control groups. */
  constructor(folder: string, name: string, address: string, address6: string) {
    this.name = name;
    this.address = address;
    this.address6 = address6;
    this.#cluster = folder.split('/').pop() ?? '';
    this.#folder = join(folder, name);
    mkdirSync(this.disk('/'), { recursive: true });
  }

  /** Of its first process, as this machine counts. */
  get pid(): number {
    return this.#pid;
  }

  get isUp(): boolean {
    return this.#init !== undefined;
  }

  async boot(wan: Wan): Promise<void> {
    rmSync(this.disk('/ready'), { force: true });
    this.#cgroups = new NodeCgroups(this.#cluster, this.name);
    const mounts = hierarchies().map(({ name, option }) => `${name}=${option}`);
    const script = [initScript, this.name, this.address, this.disk('/'), ...mounts];
    const unshare = [
      'unshare',
      '-n',
      '-m',
      '-u',
      '-i',
      '-p',
      '-C',
      '--fork',
      '--kill-child',
      'bash',
      ...script,
    ];
    this.#init = this.#spawn([...bound, ...unshare], join(this.#folder, 'init.log'));
    await until(`${this.name} to boot (see ${this.#folder}/init.log)`, () => existsSync(this.disk('/ready')));
    const parent = this.#init.pid ?? 0;
    this.#pid = Number(readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8').trim().split(' ')[0]);
    wan.connect(this);
  }

  /** By request, or as a power cut does: all processes, memory and network are gone after it. */
  async halt(how: 'orderly' | 'crash'): Promise<void> {
    if (this.#init === undefined) return;
    if (how === 'orderly') await Promise.all([...this.#daemons.keys()].map((name) => this.end(name)));
    // Its first process takes all others with it, and goes with the one that waits for it.
    this.#init.kill('SIGKILL');
    await ended(this.#init);
    await Promise.all([...this.#daemons.values()].map(ended));
    this.#daemons.clear();
    this.#init = undefined;
    await this.#cgroups?.remove();
  }

  /** A program in all of the machine's namespaces; throws with what it said when it fails. */
  async exec(...command: readonly string[]): Promise<string> {
    const [program = '', ...args] = [...this.#enter(), ...command];
    const options = { encoding: 'utf8', timeout: 120_000, maxBuffer: 1 << 26, env: environment } as const;
    return (await promisify(execFile)(program, args, options)).stdout;
  }

  /** A program of this machine's in its network alone. */
  net(...command: readonly string[]): string {
    return run('nsenter', '-t', String(this.#pid), '-n', ...command);
  }

  /** Starts a program that stays, unless it runs; it writes to /var/log/NAME.log. */
  start(name: string, ...command: readonly string[]): void {
    if (!this.hasEnded(name)) return;
    const script = `echo $$ > /run/${name}.pid; exec "$@" >> /var/log/${name}.log 2>&1`;
    const child = this.#spawn([...this.#enter(), 'sh', '-c', script, 'sh', ...command]);
    this.#daemons.set(name, child);
  }

  /** Whether a program that stays has not stayed. */
  hasEnded(name: string): boolean {
    const child = this.#daemons.get(name);
    return child === undefined || child.exitCode !== null || child.signalCode !== null;
  }

  async end(name: string, signal = 'TERM'): Promise<void> {
    const child = this.#daemons.get(name);
    if (child === undefined || this.hasEnded(name)) return;
    const kill = (how: string) =>
      this.exec('sh', '-c', `kill -${how} $(cat /run/${name}.pid)`).catch(() => '');
    await kill(signal);
    const timer = setTimeout(() => void kill('KILL'), 10_000);
    await ended(child);
    clearTimeout(timer);
    this.#daemons.delete(name);
  }

  log(name: string): string {
    const path = this.disk(`/var/log/${name}.log`);
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  }

  /** A path of the machine as this one can open it, while it is up. */
  path(path: string): string {
    return `/proc/${this.#pid}/root${path}`;
  }

  /** A path that outlives a reboot (below /etc/cni, /var/lib/rancher, …), also while it is down. */
  disk(path: string): string {
    return join(this.#folder, 'disk', path);
  }

  write(path: string, text: string, mode = 0o644): void {
    mkdirSync(dirname(this.disk(path)), { recursive: true });
    writeFileSync(this.disk(path), text, { mode });
  }

  /** On the machine's own control groups. */
  #spawn(command: readonly string[], log?: string): ChildProcess {
    const redirect = log === undefined ? '' : ` >> ${log} 2>&1`;
    const script = `${this.#cgroups?.enterScript ?? ':'}; exec "$@"${redirect}`;
    return spawn('bash', ['-c', script, 'bash', ...command], { stdio: 'ignore', env: environment });
  }

  #enter(): string[] {
    return ['nsenter', '-t', String(this.#pid), '-m', '-u', '-i', '-n', '-p', '-C', '--'];
  }
}
