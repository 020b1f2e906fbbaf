/**
 * One real agent with its device in a namespace, before an API server that tells of a large cluster: how long from a
 * change in the API to the kernel, what the agent costs when nothing happens, and how large it is.
 *
 *     kwb-agent 192.0.2.2 ── veth ── 192.0.2.1 kwb-api (the server, in this process)
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ApiServer } from '../../src/agent/api-server/api-server.ts';
import type { Stored } from '../../src/agent/api-server/object-store.ts';
import { PEER_DEFINITION } from '../../src/agent/peer-definition.ts';
import { bindStream } from '../../src/lab/namespace-sockets.ts';
import { enterNamespace, namespacePath } from '../../src/linux/namespaces.ts';
import { NETLINK_NETFILTER, NetlinkSocket } from '../../src/linux/netlink.ts';
import { listRoutes, PROTOCOL_STATIC, TABLE_MAIN } from '../../src/linux/route.ts';
import { openRouteSocket, RTNLGRP_IPV4_ROUTE, subscribeToRoutes } from '../../src/linux/rtnetlink.ts';
import { inNamespace, ip } from '../namespaces.ts';
import { type ClusterSize, leaseResource, nodeResource, podCIDR } from './cluster.ts';

const AGENT = 'kwb-agent';
const API = 'kwb-api';
const NFNLGRP_NFTABLES = 7;
const CRDS = 'customresourcedefinitions.apiextensions.k8s.io';
const HEARTBEAT_MS = 30_000;
/** USER_HZ, which is 100 on every Linux that runs Node. */
const TICK_MS = 10;

const root = fileURLToPath(new URL('../..', import.meta.url));
const unixSeconds = (): number => Math.floor(Date.now() / 1000);

/** How the other nodes say that they live: as Kilo's do, as with --heartbeat=lease, or not at all. */
export type HeartBeats = 'annotations' | 'leases' | 'none';

export interface Reprogramming {
  /** Milliseconds from the change in the API to the last thing the kernel was told. */
  readonly ms: number;
  /** Messages by which the kernel told of changed routes, and of changed packet filter rules. */
  readonly routes: number;
  readonly rules: number;
}

export class AgentUnderLoad {
  readonly #size: ClusterSize;
  readonly #api = new ApiServer();
  readonly #folder = mkdtempSync(join(tmpdir(), 'kwb-mesh-'));
  readonly #agent: ChildProcess;
  readonly #routes = enterNamespace(namespacePath(AGENT), () => openRouteSocket());
  readonly #routeEvents = enterNamespace(namespacePath(AGENT), () => subscribeToRoutes([RTNLGRP_IPV4_ROUTE]));
  readonly #filterEvents = enterNamespace(namespacePath(AGENT), () =>
    NetlinkSocket.open({ protocol: NETLINK_NETFILTER, groups: [NFNLGRP_NFTABLES] }),
  );

  private constructor(size: ClusterSize, agent: (folder: string) => ChildProcess) {
    this.#size = size;
    this.#agent = agent(this.#folder);
    for (let index = 0; index < size.nodes; index++) this.#put(index, unixSeconds());
  }

  static async start(size: ClusterSize, granularity: string): Promise<AgentUnderLoad> {
    makeNamespaces();
    const load = new AgentUnderLoad(size, (folder) => startAgent(folder, granularity));
    load.#api.store.put(CRDS, PEER_DEFINITION.metadata.name, PEER_DEFINITION as unknown as Stored);
    await load.#api.listenOn(bindStream(API, '0.0.0.0', 8001));
    return load;
  }

  #put(index: number, lastSeen: number, more: Readonly<Record<string, string>> = {}): void {
    const node = nodeResource(index, this.#size, lastSeen);
    const own = this.#api.store.get('nodes', node.metadata.name)?.metadata.annotations;
    const annotations = { ...node.metadata.annotations, ...(index === 0 ? own : {}), ...more };
    const stored = { ...node, metadata: { ...node.metadata, annotations } } as unknown as Stored;
    this.#api.store.put('nodes', node.metadata.name, stored);
  }

  /** Until the kernel has a route to the last node. */
  async ready(timeoutMs = 120_000): Promise<number> {
    const started = performance.now();
    const last = podCIDR(this.#size.nodes - 1);
    for (;;) {
      await sleep(100);
      if (
        listRoutes(this.#routes, { table: TABLE_MAIN, protocol: PROTOCOL_STATIC }).some(
          ({ destination }) => destination === last,
        )
      )
        break;
      if (performance.now() - started > timeoutMs || this.#agent.exitCode !== null)
        throw new Error(`the agent did not get there:\n${this.#log()}`);
    }
    const ms = performance.now() - started;
    await sleep(3000);
    return ms;
  }

  #log(): string {
    return readFileSync(join(this.#folder, 'agent.log'), 'utf8').split('\n').slice(-12).join('\n');
  }

  /** Gives one node another range behind it. */
  async change(round: number): Promise<Reprogramming> {
    const index = 1 + (round % (this.#size.nodes - 1));
    this.#routeEvents.drain();
    this.#filterEvents.drain();
    const started = performance.now();
    this.#put(index, unixSeconds(), {
      'kilo.squat.ai/internal-ip': `172.17.${round >> 8}.${round & 0xff}/32`,
    });
    let last = Number.NaN;
    let routes = 0;
    let rules = 0;
    for (let quiet = started; performance.now() - quiet < (Number.isNaN(last) ? 10_000 : 400); ) {
      await sleep(1);
      const heardRoutes = this.#routeEvents.drain().messages.length;
      const heardRules = this.#filterEvents.drain().messages.length;
      routes += heardRoutes;
      rules += heardRules;
      if (heardRoutes + heardRules === 0) continue;
      last = performance.now();
      quiet = last;
    }
    return { ms: last - started, routes, rules };
  }

  /** Share of one processor the agent uses, over `ms`, while nobody has anything to say but, perhaps, that he lives. */
  async idle(ms: number, heartBeats: HeartBeats): Promise<number> {
    const pause = HEARTBEAT_MS / this.#size.nodes;
    let next = 0;
    const started = performance.now();
    const before = this.#cpuMs();
    while (performance.now() - started < ms) {
      await sleep(heartBeats === 'none' ? 200 : Math.max(pause, 5));
      const due = heartBeats === 'none' ? 0 : Math.floor((performance.now() - started) / pause);
      for (; next < due; next++) this.#beat(1 + (next % (this.#size.nodes - 1)), heartBeats);
    }
    return (this.#cpuMs() - before) / (performance.now() - started);
  }

  /** Every node once, so that none is silent in what follows. */
  async beatAll(heartBeats: HeartBeats): Promise<void> {
    for (let index = 1; index < this.#size.nodes; index++) this.#beat(index, heartBeats);
    await sleep(3000);
  }

  #beat(index: number, heartBeats: HeartBeats): void {
    if (heartBeats === 'annotations') this.#put(index, unixSeconds());
    else this.#api.store.put('leases.coordination.k8s.io', ...leaseResource(index, Date.now()));
  }

  #cpuMs(): number {
    const fields = readFileSync(`/proc/${this.#agent.pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
  }

  residentMiB(): number {
    const text = readFileSync(`/proc/${this.#agent.pid}/status`, 'latin1');
    return Number(/VmRSS:\s*(\d+)/.exec(text)?.[1]) / 1024;
  }

  async close(): Promise<void> {
    const ended = once(this.#agent, 'exit');
    this.#agent.kill('SIGKILL');
    await ended;
    for (const socket of [this.#routes, this.#routeEvents, this.#filterEvents]) socket.close();
    await this.#api.close();
    for (const pid of inNamespacePids()) process.kill(pid, 'SIGTERM');
    while (inNamespacePids().length > 0) await sleep(50);
    removeNamespaces();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

const startAgent = (folder: string, granularity: string): ChildProcess => {
  const args = [
    'netns',
    'exec',
    AGENT,
    join(root, 'bin/kg'),
    '--hostname=node-00000',
    '--master=http://192.0.2.1:8001',
    `--state-directory=${folder}`,
    '--cni-path=/nonexistent',
    '--encapsulate=never',
    '--cni=false',
    '--heartbeat=lease',
    `--mesh-granularity=${granularity}`,
  ];
  const log = createWriteStream(join(folder, 'agent.log'));
  const environment = { ...process.env, KILOWIRE_UAPI_DIR: folder };
  const child = spawn('ip', args, { stdio: ['ignore', 'pipe', 'pipe'], env: environment });
  child.stdout?.pipe(log);
  child.stderr?.pipe(log);
  return child;
};

const inNamespacePids = (): number[] =>
  inNamespace(AGENT, ['ip', 'netns', 'pids', AGENT])
    .split('\n')
    .map(Number)
    .filter((pid) => pid > 0 && isDevice(pid));

const isDevice = (pid: number): boolean => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('kilowire-wg');
  } catch {
    return false;
  }
};

const makeNamespaces = (): void => {
  removeNamespaces();
  for (const name of [AGENT, API]) {
    ip('netns', 'add', name);
    ip('-n', name, 'link', 'set', 'lo', 'up');
  }
  ip('link', 'add', 'eth0', 'netns', AGENT, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', API);
  for (const [index, name] of [API, AGENT].entries()) {
    ip('-n', name, 'addr', 'add', `192.0.2.${index + 1}/24`, 'dev', 'eth0');
    ip('-n', name, 'link', 'set', 'eth0', 'up');
  }
  ip('-n', AGENT, 'addr', 'add', '172.16.0.0/32', 'dev', 'eth0');
  ip('-n', AGENT, 'route', 'add', 'default', 'via', '192.0.2.1');
};

const removeNamespaces = (): void => {
  for (const name of [AGENT, API]) if (existsSync(`/run/netns/${name}`)) ip('netns', 'del', name);
};
