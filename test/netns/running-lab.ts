/**
 * A lab that is up, for tests of what happens in it: its nodes' kernels and devices, traffic between its pods, and its agents.
 * @module
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { startAgent } from '../../src/lab/agents.ts';
import { deviceSocket, readDevice } from '../../src/lab/device-client.ts';
import { startDevice } from '../../src/lab/devices.ts';
import { type LabPlan, type MeshGranularity, type NodePlan, nodesOf, planLab } from '../../src/lab/plan.ts';
import { endProcesses } from '../../src/lab/processes.ts';
import { type LabState, StateFile } from '../../src/lab/state.ts';
import { UPLINK } from '../../src/lab/underlay.ts';
import { formatCidr } from '../../src/noise/ip.ts';
import { keyText } from '../../src/routing/key-text.ts';
import { end, root, run } from './host.ts';

const PORT = 5201;
const CHUNK = 1000;
const PAUSE_MS = 5;

/** Prints the longest time between two pieces, once it is told to end. */
const SINK = `
const [port] = process.argv.slice(1);
let last = 0, gap = 0, bytes = 0;
require('node:net').createServer((socket) => socket.on('data', (piece) => {
  const now = performance.now();
  if (last > 0 && now - last > gap) gap = now - last;
  last = now;
  bytes += piece.length;
})).listen(Number(port), () => console.log('ready'));
process.on('SIGTERM', () => { console.log(JSON.stringify({ gap, bytes, quiet: performance.now() - last })); process.exit(); });
`;
const SOURCE = `
const [host, port] = process.argv.slice(1);
const socket = require('node:net').connect({ host, port: Number(port), noDelay: true }, () => {
  setInterval(() => socket.write(Buffer.alloc(${CHUNK})), ${PAUSE_MS});
});
socket.on('error', (error) => { console.error(error.message); process.exit(1); });
`;

export interface Stream {
  /** Milliseconds. */
  readonly longestStall: number;
  readonly bytes: number;
}

const inside = (netns: string, ...command: string[]): ChildProcess =>
  spawn('ip', ['netns', 'exec', netns, ...command], { stdio: ['ignore', 'pipe', 'inherit'] });

export class RunningLab {
  readonly plan: LabPlan;
  readonly #file = new StateFile();

  private constructor(plan: LabPlan) {
    this.plan = plan;
  }

  static up(nodesPerCloud: 1 | 2 = 1, granularity: MeshGranularity = 'full'): RunningLab {
    const shape = ['--nodes', String(nodesPerCloud), '--mesh-granularity', granularity];
    const args = [join(root, 'src/cli/main.ts'), 'lab', 'up', ...shape];
    const { status, stderr, stdout } = spawnSync(process.execPath, args, {
      encoding: 'utf8',
      timeout: 90_000,
    });
    if (status !== 0) throw new Error(`the lab did not come up: ${stdout}${stderr}`);
    return new RunningLab(planLab({ nodesPerCloud, granularity }));
  }

  static down(): void {
    spawnSync(process.execPath, [join(root, 'src/cli/main.ts'), 'lab', 'down'], { timeout: 60_000 });
  }

  get state(): LabState {
    const found = this.#file.find();
    if (found.kind !== 'up') throw new Error(`the lab is ${found.kind}`);
    return found.state;
  }

  node(name: string): NodePlan {
    const found = nodesOf(this.plan).find((node) => node.name === name);
    if (found === undefined) throw new Error(`there is no ${name}`);
    return found;
  }

  podIP(name: string): string {
    return this.state.podIPs[`${name}-pod0`] ?? '';
  }

  /** The agent's log, a line an entry. */
  async restartAgent(name: string, how: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const { state } = this;
    const at = state.processes.findIndex((each) => each.role === 'agent' && each.of === name);
    const [agent] = state.processes.splice(at, 1);
    if (at < 0 || agent === undefined) throw new Error(`no agent of ${name}`);
    if (how === 'SIGKILL') process.kill(agent.pid, 'SIGKILL');
    await endProcesses([agent]);
    startAgent(this.#file, state, this.plan, this.node(name));
  }

  /** Agent and device of a node go without a word, and its cable is dead. */
  async cutPower(name: string): Promise<void> {
    const { state } = this;
    run('ip', '-n', this.node(name).netns, 'link', 'set', UPLINK, 'down');
    const dead = state.processes.filter(({ of, role }) => of === name && role !== 'daemon');
    for (const { pid } of dead) process.kill(pid, 'SIGKILL');
    await endProcesses(dead);
    this.#file.save({ ...state, processes: state.processes.filter((each) => !dead.includes(each)) });
  }

  /** The node comes back as after a boot: a new device, the key of before. */
  restorePower(name: string): void {
    const node = this.node(name);
    const { gateway } = this.plan.clouds.find((cloud) => cloud.name === node.cloud)?.lan ?? { gateway: '' };
    run('ip', '-n', node.netns, 'link', 'set', UPLINK, 'up');
    run('ip', '-n', node.netns, 'route', 'replace', 'default', 'via', gateway, 'proto', 'static');
    startDevice(this.#file, this.state, node);
    startAgent(this.#file, this.state, this.plan, node);
  }

  /** What the node's agent says of itself. */
  async ask(name: string, path: string): Promise<unknown> {
    const child = inside(this.node(name).netns, 'curl', '-s', '-m', '5', `http://127.0.0.1:1107${path}`);
    const pieces: Buffer[] = [];
    child.stdout?.on('data', (piece: Buffer) => pieces.push(piece));
    await once(child, 'close');
    const text = Buffer.concat(pieces).toString('utf8');
    return text.startsWith('{') ? JSON.parse(text) : text;
  }

  /** Peers with their ranges, routes, rules and address: all that the mesh has of a node. */
  async mesh(name: string): Promise<string> {
    const { netns } = this.node(name);
    const { peers } = await readDevice(deviceSocket(this.#file.directory, name));
    const tunnels = peers.map(
      ({ publicKey, allowedIps }) =>
        `${keyText(publicKey)} ${allowedIps.map(formatCidr).toSorted().join(' ')}`,
    );
    const ip = (...args: string[]): string => run('ip', '-n', netns, '-4', ...args);
    return [
      ...tunnels.toSorted(),
      ...ip('route', 'show', 'table', 'all', 'proto', 'static').split('\n').toSorted(),
      ip('rule'),
      ip('-br', 'addr', 'show', 'kilo0'),
    ].join('\n');
  }

  async meshes(): Promise<Record<string, string>> {
    const entries = nodesOf(this.plan).map(async ({ name }) => [name, await this.mesh(name)] as const);
    return Object.fromEntries(await Promise.all(entries));
  }

  /** The API server's address goes, and comes back. */
  async withoutApi(work: () => Promise<void>): Promise<void> {
    const address = (verb: string): string =>
      run('ip', '-n', 'kw-wan', 'addr', verb, '203.0.113.6/32', 'dev', 'lo');
    address('del');
    try {
      await work();
    } finally {
      address('add');
    }
  }

  /** A steady TCP stream from a pod of one node to a pod of another until stopped. */
  async stream(from: string, to: string): Promise<() => Promise<Stream>> {
    const sink = inside(`kw-${to}-pod0`, process.execPath, '-e', SINK, String(PORT));
    const said: Buffer[] = [];
    sink.stdout?.on('data', (piece: Buffer) => said.push(piece));
    if (sink.stdout !== null) await once(sink.stdout, 'data');
    const source = inside(`kw-${from}-pod0`, process.execPath, '-e', SOURCE, this.podIP(to), String(PORT));
    return async () => {
      const broken = source.exitCode !== null;
      const closed = once(sink, 'close');
      sink.kill('SIGTERM');
      await closed;
      await end(source, 'SIGKILL');
      const last = Buffer.concat(said).toString('utf8').trim().split('\n').at(-1) ?? '{}';
      const { gap, bytes, quiet } = JSON.parse(last) as { gap: number; bytes: number; quiet: number };
      if (broken) throw new Error('the stream broke');
      return { longestStall: Math.round(Math.max(gap, quiet)), bytes };
    };
  }

  /** Pings twenty times a second until stopped; answers how many were lost before the last that came back. */
  pinging(from: string, to: string): () => Promise<number> {
    const child = inside(`kw-${from}-pod0`, 'ping', '-i', '0.05', '-W', '1', this.podIP(to));
    const pieces: Buffer[] = [];
    child.stdout?.on('data', (piece: Buffer) => pieces.push(piece));
    return async () => {
      await end(child, 'SIGINT');
      const text = Buffer.concat(pieces).toString('utf8');
      const heard = [...text.matchAll(/icmp_seq=(\d+) /g)].map(([, number]) => Number(number));
      if (heard.length === 0) throw new Error(`no ping came back: ${text}`);
      return Math.max(...heard) - new Set(heard).size;
    };
  }
}
