/**
 * A small cluster in network namespaces, with one real agent a node and an API server in this process:
 *
 *     kwn-a 10.9.1.2 ──┐           ┌── 10.9.2.2 kwn-b
 *     (location one)   kwn-r ──────┤              (location two)
 *                      API :8001   └── 10.9.2.3 kwn-c
 * @module
 */
import type { ChildProcess } from 'node:child_process';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ApiServer } from '../../src/agent/api-server/api-server.ts';
import type { Stored } from '../../src/agent/api-server/object-store.ts';
import { PEER_DEFINITION } from '../../src/agent/peer-definition.ts';
import { bindStream, connectStream } from '../../src/lab/namespace-sockets.ts';
import { agentCommand } from './agent-command.ts';
import { end, Folder, Host, kilowireWg, run, until } from './host.ts';

const API = '10.9.1.1';
const PORT = 8001;
const KILO = 'kilo.squat.ai';

export interface NodePlan {
  readonly name: string;
  readonly location: string;
  readonly address: string;
  readonly podCIDR: string;
  /** The bridge's own, which stands for a pod's. */
  readonly pod: string;
}

export const NODES: readonly NodePlan[] = [
  { name: 'a', location: 'one', address: '10.9.1.2', podCIDR: '10.42.1.0/24', pod: '10.42.1.1' },
  { name: 'b', location: 'two', address: '10.9.2.2', podCIDR: '10.42.2.0/24', pod: '10.42.2.1' },
  { name: 'c', location: 'two', address: '10.9.2.3', podCIDR: '10.42.3.0/24', pod: '10.42.3.1' },
];

/** Kilo's state and the control sockets, at the paths it knows; $0 is the node's own directory. */
const KILO_PLACES = `
set -e
mkdir -p /run/wireguard
mount --bind "$0" /run/wireguard
mount -t tmpfs none /var/lib
mkdir /var/lib/kilo
mount --bind "$0" /var/lib/kilo
exec "$@"`;

const CONFLIST = {
  cniVersion: '0.4.0',
  name: 'kilo',
  plugins: [
    { name: 'kubernetes', type: 'bridge', bridge: 'kube-bridge', ipam: { type: 'host-local' } },
    { type: 'portmap', snat: true },
  ],
};

export class AgentWorld {
  readonly api: ApiServer;
  readonly folder = new Folder();
  readonly hosts = new Map<string, Host>();
  readonly agents = new Map<string, ChildProcess>();
  /** Devices of others. */
  readonly foreign: ChildProcess[] = [];
  readonly #prefix: string;
  readonly #router: Host;

  /** `prefix`: of its namespaces; two worlds of one prefix would be one. */
  constructor(prefix = 'kwn') {
    this.#prefix = prefix;
    this.#router = new Host(`${prefix}-r`);
    this.api = new ApiServer({
      bookmarkMs: 2000,
      connect: (host, port) => connectStream(this.#router.name, host, port),
    });
    this.#router.ip('link', 'add', 'two', 'type', 'bridge');
    this.#router.ip('addr', 'add', '10.9.2.1/24', 'dev', 'two');
    this.#router.ip('link', 'set', 'two', 'up');
    this.#router.exec('sysctl', '-qw', 'net.ipv4.ip_forward=1');
    for (const node of NODES) this.#addHost(node);
    const put = (resource: string, object: Stored): void => {
      this.api.store.put(resource, object.metadata.name, object);
    };
    for (const { name, location, podCIDR } of NODES)
      put('nodes', {
        apiVersion: 'v1',
        kind: 'Node',
        metadata: { name, uid: name, annotations: { [`${KILO}/location`]: location } },
        spec: { podCIDR },
      });
  }

  #addHost({ name, address, pod }: NodePlan): void {
    const host = new Host(`${this.#prefix}-${name}`);
    this.hosts.set(name, host);
    const wire = `to-${name}`;
    run(
      'ip',
      'link',
      'add',
      'eth0',
      'netns',
      host.name,
      'type',
      'veth',
      'peer',
      'name',
      wire,
      'netns',
      this.#router.name,
    );
    if (address.startsWith('10.9.2.')) this.#router.ip('link', 'set', wire, 'master', 'two');
    else this.#router.ip('addr', 'add', `${API}/24`, 'dev', wire);
    this.#router.ip('link', 'set', wire, 'up');
    host.ip('addr', 'add', `${address}/24`, 'dev', 'eth0');
    host.ip('link', 'set', 'eth0', 'up');
    host.ip('route', 'add', 'default', 'via', address.replace(/\.\d+$/, '.1'));
    host.ip('link', 'add', 'kube-bridge', 'type', 'bridge');
    host.ip('addr', 'add', `${pod}/24`, 'dev', 'kube-bridge');
    host.ip('link', 'set', 'kube-bridge', 'up');
    host.exec('sysctl', '-qw', 'net.ipv4.ip_forward=1');
    mkdirSync(this.directory(name), { recursive: true, mode: 0o700 });
    writeFileSync(join(this.directory(name), '10-kilo.conflist'), JSON.stringify(CONFLIST));
  }

  host(name: string): Host {
    const host = this.hosts.get(name);
    if (host === undefined) throw new Error(`there is no ${name}`);
    return host;
  }

  directory(name: string): string {
    return join(this.folder.path, name);
  }

  async startApi(): Promise<void> {
    await this.api.listenOn(bindStream(this.#router.name, '0.0.0.0', PORT));
    // A CRD is not only stored: its kinds are served from then on.
    if (
      this.api.store.get('customresourcedefinitions.apiextensions.k8s.io', PEER_DEFINITION.metadata.name) ===
      undefined
    )
      this.request('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', PEER_DEFINITION);
  }

  /** As a user would, from the router; in the background, since the server is this very process. */
  request(method: string, path: string, body?: unknown): void {
    const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
    const args = ['-sf', '-X', method, '-H', `content-type: ${type}`, `http://${API}:${PORT}${path}`];
    const data = body === undefined ? [] : ['-d', JSON.stringify(body)];
    spawn('ip', ['netns', 'exec', this.#router.name, 'curl', ...args, ...data], { stdio: 'ignore' });
  }

  putService(namespace: string, name: string, clusterIP: string): void {
    const service = { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace }, spec: { clusterIP } };
    this.api.store.put('services', `${namespace}/${name}`, service as never);
  }

  startAgent(name: string, ...flags: string[]): ChildProcess {
    const directory = this.directory(name);
    const place = { name, directory, master: `http://${API}:${PORT}` };
    const args = agentCommand(place, '--encapsulate=crosssubnet', ...flags);
    const child = this.host(name).spawn(args, { KILOWIRE_UAPI_DIR: directory });
    this.#logTo(name, child);
    this.agents.set(name, child);
    return child;
  }

  /** Kilo's agent in the place of ours: the same key, the same device, at the places where it looks for them. */
  startKilo(program: string, name: string, ...flags: string[]): ChildProcess {
    const directory = this.directory(name);
    const command = [
      program,
      `--hostname=${name}`,
      `--kubeconfig=${this.kubeconfig()}`,
      `--cni-path=${join(directory, '10-kilo.conflist')}`,
      '--create-interface=false',
      '--clean-up=false',
      ...flags,
    ];
    const child = this.host(name).spawn([
      ...['unshare', '--mount', '--propagation', 'slave', 'sh', '-c', KILO_PLACES, directory],
      ...command,
    ]);
    this.#logTo(name, child);
    this.agents.set(name, child);
    return child;
  }

  /** One for those that want a file. */
  kubeconfig(): string {
    const cluster = `{cluster: {server: "http://${API}:${PORT}"}, name: world}`;
    const context = '{context: {cluster: world, user: nobody}, name: world}';
    return this.folder.write(
      'kubeconfig',
      `apiVersion: v1\nkind: Config\ncurrent-context: world\nclusters: [${cluster}]\ncontexts: [${context}]\nusers: [{name: nobody, user: {}}]\n`,
    );
  }

  /** A program that talks to the API, run on the router; answers what it prints. */
  async administer(...command: string[]): Promise<string> {
    const child = this.#router.spawn(command);
    const pieces: Buffer[] = [];
    const complaints: Buffer[] = [];
    child.stdout?.on('data', (piece: Buffer) => pieces.push(piece));
    child.stderr?.on('data', (piece: Buffer) => complaints.push(piece));
    const [status] = await once(child, 'close');
    if (status !== 0) throw new Error(`${command.join(' ')}: ${Buffer.concat(complaints).toString('utf8')}`);
    return Buffer.concat(pieces).toString('utf8');
  }

  /** A device that no agent started. */
  startDevice(name: string): void {
    const device = this.host(name).spawn([kilowireWg, '-f', 'kilo0'], {
      KILOWIRE_UAPI_DIR: this.directory(name),
    });
    device.stdout?.resume();
    device.stderr?.resume();
  }

  #logTo(name: string, child: ChildProcess): void {
    const log = createWriteStream(join(this.directory(name), 'agent.log'), { flags: 'a' });
    child.stdout?.pipe(log, { end: false });
    child.stderr?.pipe(log, { end: false });
  }

  log(name: string): string {
    const path = join(this.directory(name), 'agent.log');
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  }

  annotation(node: string, name: string): string | undefined {
    return this.api.store.get('nodes', node)?.metadata.annotations?.[`${KILO}/${name}`];
  }

  /** What the agent says of itself. */
  async ask(name: string, path: string): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const child = this.host(name).spawn(['curl', '-s', '-m', '5', `http://127.0.0.1:1107${path}`]);
    const pieces: Buffer[] = [];
    child.stdout?.on('data', (piece: Buffer) => pieces.push(piece));
    child.on('error', reject);
    child.on('close', () => resolve(Buffer.concat(pieces).toString('utf8')));
    return await promise;
  }

  /** Routes of the mesh, one a line. */
  routes(name: string): string[] {
    return this.#staticRoutes(name).filter((line) => !line.startsWith('unreachable'));
  }

  /** Where packets go nowhere while there is no device. */
  closed(name: string): string[] {
    return this.#staticRoutes(name).filter((line) => line.startsWith('unreachable'));
  }

  #staticRoutes(name: string): string[] {
    const text = this.host(name).ip('-4', 'route', 'show', 'table', 'all', 'proto', 'static');
    return text
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '')
      .toSorted();
  }

  /** All that a node's kernel has of the mesh. */
  kernel(name: string): string {
    const host = this.host(name);
    const filter = ['iptables-save', 'ip6tables-save'].map((program) => host.exec(program)).join('\n');
    const rules = host.ip('rule');
    const device = host.ip('addr', 'show').replace(/valid_lft.*/g, '');
    return [
      this.#staticRoutes(name).join('\n'),
      rules,
      device,
      filter.replace(/^#.*$|\[\d+:\d+\]/gm, ''),
    ].join('\n---\n');
  }

  /** Whether a pod of one node reaches a pod of another. */
  reaches(from: string, to: string): boolean {
    const [source, target] = [from, to].map((name) => NODES.find((node) => node.name === name));
    try {
      this.host(from).exec('ping', '-q', '-c', '1', '-W', '1', '-I', source?.pod ?? '', target?.pod ?? '');
      return true;
    } catch {
      return false;
    }
  }

  /** Who comes first thinks for a moment that it leads: until everybody knows of everybody, and pods reach each other. */
  async meshed(timeout = 40_000, addresses = '10.4.0.1/16,10.4.0.2/16,'): Promise<void> {
    const said = (): string => NODES.map(({ name }) => this.annotation(name, 'wireguard-ip')).join();
    await until('the leaders to be known', () => said() === addresses, timeout);
    await until(
      'every pod to reach every other',
      () => allPairs().every(([from, to]) => this.reaches(from, to)),
      timeout,
    );
  }

  /** Pings twenty times a second until stopped; answers how many were lost before the last that came back. */
  pinging(from: string, to: string): () => Promise<number> {
    const [source, target] = [from, to].map((name) => NODES.find((node) => node.name === name)?.pod ?? '');
    const child = this.host(from).spawn(['ping', '-i', '0.05', '-W', '1', '-I', source ?? '', target ?? '']);
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

  /** Everything the kernel of a node tells of changes until stopped. */
  watching(name: string): () => Promise<string> {
    const child = this.host(name).spawn(['ip', 'monitor', 'link', 'address', 'route', 'rule']);
    const pieces: Buffer[] = [];
    child.stdout?.on('data', (piece: Buffer) => pieces.push(piece));
    return async () => {
      await end(child, 'SIGINT');
      return Buffer.concat(pieces).toString('utf8');
    };
  }

  /** Pids of devices; they outlive their agents, so the end of a test is theirs too. */
  devices(): number[] {
    return [...this.hosts.values()].flatMap((host) => {
      const pids = run('ip', 'netns', 'pids', host.name)
        .split('\n')
        .map(Number)
        .filter((pid) => pid > 0);
      return pids.filter((pid) => readCommand(pid).includes('kilowire-wg'));
    });
  }

  async remove(): Promise<void> {
    await Promise.all([...this.agents.values()].map((agent) => end(agent, 'SIGKILL')));
    await Promise.all(this.foreign.map((device) => end(device)));
    for (const pid of this.devices()) process.kill(pid, 'SIGTERM');
    await until('the devices to end', () => this.devices().length === 0);
    await this.api.close().catch(() => {});
    for (const host of this.hosts.values()) host.remove();
    this.#router.remove();
    this.folder.remove();
  }
}

export const allPairs = (): (readonly [string, string])[] =>
  NODES.flatMap(({ name: from }) =>
    NODES.flatMap(({ name: to }) => (from === to ? [] : [[from, to] as const])),
  );

const readCommand = (pid: number): string => {
  try {
    return execFileSync('cat', [`/proc/${pid}/cmdline`], {
      encoding: 'latin1',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  } catch {
    return '';
  }
};
