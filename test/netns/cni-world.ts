/**
 * A node and its pods as network namespaces, and a runtime that calls the CNI executable in them.
 *
 *     kwg-<id>-node          kwg-<id>-p0   kwg-<id>-p1 …
 *     ┌──────────────┐       ┌──────┐
 *     │ kube-bridge ─┼─ veth ┤ eth0 │
 *     └──────────────┘       └──────┘
 *
 * Leases and records lie in a directory of this world alone.
 * @module
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Link, listLinks } from '../../src/linux/link.ts';
import { createNamedNamespace, deleteNamedNamespace, openRouteSocketIn } from '../../src/linux/namespaces.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The two ways the same source runs. */
export const programs = [
  { name: 'compiled', command: [join(root, 'dist/kilowire-cni')] },
  { name: 'under Node', command: [process.execPath, join(root, 'src/cni/main.ts')] },
] as const;

/** Each call of a world but its first ADD is answered by the process that stayed after that. */
export const resident = { name: 'by a resident', command: programs[0].command } as const;

export type Program = (typeof programs)[number] | typeof resident;

export interface Answer {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Call {
  readonly verb: string;
  readonly pod: string;
  readonly ifname?: string;
  /** '' for a runtime that has lost it. */
  readonly netns?: string;
  readonly config?: object;
  /** In place of a configuration. */
  readonly stdin?: string;
  /** Another node than this world's. */
  readonly node?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export class CniWorld {
  readonly node: string;
  readonly directory: string;
  /** Where strace writes the calls of what is started; '' for nowhere. */
  trace = '';
  readonly #program: Program;
  readonly #prefix: string;
  readonly #pods = new Set<string>();

  constructor(program: Program) {
    const [file = ''] = program.command;
    if (!existsSync(file)) throw new Error(`${file} is missing; run: node scripts/build.ts`);
    this.#program = program;
    this.directory = mkdtempSync(join(tmpdir(), 'kwg-'));
    this.#prefix = `kwg-${this.directory.slice(-6)}`;
    this.node = `${this.#prefix}-node`;
    createNamedNamespace(this.node);
  }

  close(): void {
    for (const pod of this.#pods) deleteNamedNamespace(this.#podName(pod));
    deleteNamedNamespace(this.node);
    rmSync(this.directory, { recursive: true });
  }

  /** The configuration an operator would write, with this world's directories. */
  config(change: object = {}): object {
    return {
      cniVersion: '1.1.0',
      name: 'kwgnet',
      type: 'kilowire',
      bridge: 'kube-bridge',
      isDefaultGateway: true,
      mtu: 1420,
      stateDir: join(this.directory, 'state'),
      // Long enough for any test; its namespace's end is its own.
      resident: this.#program === resident ? 60 : 0,
      ipam: this.ipam(),
      ...change,
    };
  }

  ipam(change: object = {}): object {
    return {
      type: 'host-local',
      dataDir: join(this.directory, 'leases'),
      ranges: [[{ subnet: '10.42.0.0/24' }]],
      ...change,
    };
  }

  /** Makes the pod's namespace, and answers its path. */
  addPod(pod: string): string {
    this.#pods.add(pod);
    return createNamedNamespace(this.#podName(pod));
  }

  removePod(pod: string): void {
    this.#pods.delete(pod);
    deleteNamedNamespace(this.#podName(pod));
  }

  podPath(pod: string): string {
    return `/run/netns/${this.#podName(pod)}`;
  }

  start({ verb, pod, ifname = 'eth0', netns, config, stdin, node = this.node, env = {} }: Call): {
    process: ChildProcess;
    answer: Promise<Answer>;
  } {
    const [file = '', ...args] = this.#program.command;
    const child = spawn(
      'nsenter',
      [
        `--net=/run/netns/${node}`,
        ...(this.trace === ''
          ? []
          : ['strace', '-f', '-s', '256', '-e', 'trace=open,openat', '-o', this.trace]),
        file,
        ...args,
      ],
      {
        env: {
          PATH: process.env.PATH ?? '',
          CNI_COMMAND: verb,
          CNI_CONTAINERID: pod,
          CNI_NETNS: netns ?? this.podPath(pod),
          CNI_IFNAME: ifname,
          CNI_PATH: '/opt/cni/bin',
          ...env,
        },
      },
    );
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk) => {
      stdout += chunk;
    });
    child.stderr.on('data', (chunk) => {
      stderr += chunk;
    });
    child.stdin.on('error', () => {});
    child.stdin.end(stdin ?? JSON.stringify(config ?? this.config()));
    const answer = new Promise<Answer>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
    });
    return { process: child, answer };
  }

  call(call: Call): Promise<Answer> {
    return this.start(call).answer;
  }

  /** A call that has to succeed; answers the document on stdout, `{}` when there is none. */
  async ok(call: Call): Promise<Record<string, unknown>> {
    const { code, stdout, stderr } = await this.call(call);
    if (code !== 0) throw new Error(`${call.verb} failed: ${stdout}${stderr}`);
    return stdout === '' ? {} : JSON.parse(stdout);
  }

  /** A call that has to fail; answers the error document. */
  async refused(call: Call): Promise<Record<string, unknown>> {
    const { code, stdout } = await this.call(call);
    if (code !== 1) throw new Error(`${call.verb} ended with ${code}: ${stdout}`);
    return JSON.parse(stdout);
  }

  run(pod: string, ...command: readonly string[]): string {
    const [file = '', ...args] = ['nsenter', `--net=${this.podPath(pod)}`, ...command];
    return execFileSync(file, args, { encoding: 'utf8' });
  }

  onNode(...command: readonly string[]): string {
    return execFileSync('nsenter', [`--net=/run/netns/${this.node}`, ...command], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  /** DEL answers while the kernel still takes the links apart: without a bridge, down and nameless. */
  links(namespace = this.node): readonly Link[] {
    const socket = openRouteSocketIn(`/run/netns/${namespace}`);
    try {
      for (let turn = 0; ; turn += 1) {
        const links = listLinks(socket);
        if (turn === 500 || !links.some(isGivenUp)) return links;
        pause(10);
      }
    } finally {
      socket.close();
    }
  }

  /** A neighbour of the node at 192.0.2.2, the node at 192.0.2.1; it knows no way to the pods. */
  addNeighbour(): void {
    const path = this.addPod('wan');
    this.onNode('ip', 'link', 'add', 'wan0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', path.slice(11));
    this.onNode('ip', 'address', 'add', '192.0.2.1/24', 'dev', 'wan0');
    this.onNode('ip', 'link', 'set', 'wan0', 'up');
    this.run('wan', 'ip', 'address', 'add', '192.0.2.2/24', 'dev', 'eth0');
    this.run('wan', 'ip', 'link', 'set', 'eth0', 'up');
  }

  podLinks(pod: string): readonly string[] {
    return this.links(this.#podName(pod)).map(({ name }) => name);
  }

  /** Everything an attachment could leave behind on the node. */
  leftovers(): {
    veths: readonly string[];
    leases: readonly string[];
    state: readonly string[];
    tables: string;
  } {
    const files = (path: string) => (existsSync(path) ? readdirSync(path) : []);
    return {
      veths: this.links()
        .filter(({ kind, name }) => kind === 'veth' && name !== 'wan0')
        .map(({ name }) => name),
      leases: files(join(this.directory, 'leases/kwgnet')).filter(
        (name) => !name.startsWith('last_reserved_ip.') && !name.startsWith('.rest-'),
      ),
      state: files(join(this.directory, 'state/kwgnet')),
      tables: this.onNode('nft', 'list', 'tables').trim(),
    };
  }

  #podName(pod: string): string {
    return `${this.#prefix}-${pod}`;
  }
}

const isGivenUp = ({ name, attributes }: Link): boolean =>
  attributes.group === 0x6b696c6f || name.startsWith('kwgone');

const pause = (milliseconds: number): void => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
};

export const nothing = { veths: [], leases: [], state: [], tables: '' };
