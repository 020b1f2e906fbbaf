/**
 * Two clouds with dual stack pods and a real agent each, over an underlay of IPv4, of IPv6 or of both, whose middle may carry
 * less than its ends:
 *
 *     pod-a ─ kube-bridge (node a) ─ eth0 ── r ══ s ── eth0 ─ (node b) kube-bridge ─ pod-b
 *                                        API :8001
 *
 * With a neighbour there is a third node, c, beside b.
 * @module
 */
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sys } from '#sys';
import { ApiServer } from '../../src/agent/api-server/api-server.ts';
import { PEER_DEFINITION } from '../../src/agent/peer-definition.ts';
import { enterNamespace, namespacePath } from '../../src/linux/namespaces.ts';
import { MessageWriter } from '../../src/linux/netlink-message.ts';
import { writeSocketAddress } from '../../src/linux/socket-address.ts';
import { AF_INET6, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM } from '../../src/linux/sys.ts';
import { agentCommand } from './agent-command.ts';
import { end, Folder, Host, run, until } from './host.ts';

export type Underlay = 'IPv4' | 'IPv6' | 'both';

const PORT = 8001;
const KILO = 'kilo.squat.ai';

const ALL = [
  { name: 'a', number: 1, cloud: 1 },
  { name: 'b', number: 2, cloud: 2 },
  { name: 'c', number: 3, cloud: 2 },
] as const;
type StackNode = (typeof ALL)[number];
type Name = StackNode['name'];

export interface StackOptions {
  /** MTU between the routers. */
  readonly middle?: number;
  readonly hasNeighbour?: boolean;
  /** Of the underlay's IPv6; Kilo takes fd00::/16 for private, and all other of fd00::/8 for public. */
  readonly ipv6?: 'fd09' | 'fd00:9';
}

export const podAddress = (name: Name, family: 4 | 6): string => {
  const { number } = ALL.find((node) => node.name === name) ?? ALL[0];
  return family === 4 ? `10.42.${number}.2` : `fd42:0:0:${number}::2`;
};

const CONFLIST = {
  cniVersion: '0.4.0',
  name: 'kilo',
  plugins: [{ name: 'kubernetes', type: 'bridge', bridge: 'kube-bridge', ipam: { type: 'host-local' } }],
};

/** On all addresses of both families. */
const listener = (namespace: string): number => {
  const fd = enterNamespace(namespacePath(namespace), () =>
    sys.socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
  );
  const w = new MessageWriter();
  writeSocketAddress(w, { address: new Uint8Array(16), port: PORT, scope: 0 });
  sys.bind(fd, w.bytes);
  return fd;
};

export class StackWorld {
  readonly api = new ApiServer({ bookmarkMs: 2000 });
  readonly folder = new Folder();
  readonly nodes: readonly StackNode[];
  readonly #underlay: Underlay;
  readonly #ipv6: string;
  readonly #routers: readonly [Host, Host];
  readonly #hosts = new Map<string, Host>();
  readonly #agents: ChildProcess[] = [];

  constructor(underlay: Underlay, { middle = 1500, hasNeighbour = false, ipv6 = 'fd09' }: StackOptions = {}) {
    this.#underlay = underlay;
    this.#ipv6 = ipv6;
    this.nodes = ALL.filter(({ name }) => hasNeighbour || name !== 'c');
    this.#routers = [new Host('kwmk-r'), new Host('kwmk-s')];
    const [r, s] = this.#routers;
    this.#wire(r, 'middle', s, 'middle');
    for (const [at, router] of this.#routers.entries()) {
      this.#address(router, 'middle', `10.9.9.${at + 1}/24`, `${ipv6}:9::${at + 1}/64`);
      router.ip('link', 'set', 'middle', 'mtu', String(middle));
      router.ip('link', 'add', 'cloud', 'type', 'bridge');
      router.ip('link', 'set', 'cloud', 'up');
      this.#address(router, 'cloud', `10.9.${at + 1}.1/24`, `${ipv6}:${at + 1}::1/64`);
      this.#forward(router);
    }
    for (const node of this.nodes) this.#addNode(node);
    const route = (router: Host, to: number, by: number): void => {
      if (underlay !== 'IPv6') router.ip('route', 'add', `10.9.${to}.0/24`, 'via', `10.9.9.${by}`);
      if (underlay !== 'IPv4')
        router.ip('-6', 'route', 'add', `${ipv6}:${to}::/64`, 'via', `${ipv6}:9::${by}`);
    };
    route(r, 2, 2);
    route(s, 1, 1);
  }

  #wire(a: Host, link: string, b: Host, other: string): void {
    run(
      ...(['ip', 'link', 'add', link, 'netns', a.name, 'type', 'veth'] as const),
      'peer',
      'name',
      other,
      'netns',
      b.name,
    );
    a.ip('link', 'set', link, 'up');
    b.ip('link', 'set', other, 'up');
  }

  #address(host: Host, link: string, four: string, six: string): void {
    if (this.#underlay !== 'IPv6') host.ip('addr', 'add', four, 'dev', link);
    if (this.#underlay !== 'IPv4') host.ip('addr', 'add', six, 'dev', link, 'nodad');
  }

  #forward(host: Host): void {
    host.exec('sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
  }

  #addNode({ name, number, cloud }: StackNode): void {
    const [host, pod] = [new Host(`kwmk-${name}`), new Host(`kwmk-pod-${name}`)];
    this.#hosts.set(name, host).set(`pod-${name}`, pod);
    const router = this.#routers[cloud - 1] as Host;
    const ipv6 = this.#ipv6;
    this.#wire(host, 'eth0', router, `to-${name}`);
    router.ip('link', 'set', `to-${name}`, 'master', 'cloud');
    const own = name === 'c' ? 3 : 2;
    this.#address(host, 'eth0', `10.9.${cloud}.${own}/24`, `${ipv6}:${cloud}::${own}/64`);
    this.#forward(host);
    if (this.#underlay !== 'IPv6') host.ip('route', 'add', 'default', 'via', `10.9.${cloud}.1`);
    if (this.#underlay !== 'IPv4') host.ip('-6', 'route', 'add', 'default', 'via', `${ipv6}:${cloud}::1`);
    host.ip('link', 'add', 'kube-bridge', 'type', 'bridge');
    this.#wire(host, 'veth-pod', pod, 'eth0');
    host.ip('link', 'set', 'veth-pod', 'master', 'kube-bridge');
    host.ip('addr', 'add', `10.42.${number}.1/24`, 'dev', 'kube-bridge');
    host.ip('addr', 'add', `fd42:0:0:${number}::1/64`, 'dev', 'kube-bridge', 'nodad');
    host.ip('link', 'set', 'kube-bridge', 'up');
    pod.ip('addr', 'add', `${podAddress(name, 4)}/24`, 'dev', 'eth0');
    pod.ip('addr', 'add', `${podAddress(name, 6)}/64`, 'dev', 'eth0', 'nodad');
    pod.ip('route', 'add', 'default', 'via', `10.42.${number}.1`);
    pod.ip('-6', 'route', 'add', 'default', 'via', `fd42:0:0:${number}::1`);
    mkdirSync(this.#directory(name), { recursive: true, mode: 0o700 });
    writeFileSync(join(this.#directory(name), '10-kilo.conflist'), JSON.stringify(CONFLIST));
    const podCIDRs = [`10.42.${number}.0/24`, `fd42:0:0:${number}::/64`];
    this.api.store.put('nodes', name, {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name, uid: name, annotations: { [`${KILO}/location`]: `cloud-${cloud}` } },
      spec: { podCIDR: podCIDRs[0], podCIDRs },
    });
  }

  host(name: string): Host {
    const host = this.#hosts.get(name);
    if (host === undefined) throw new Error(`there is no ${name}`);
    return host;
  }

  #directory(name: string): string {
    return join(this.folder.path, name);
  }

  async start(): Promise<void> {
    const [router] = this.#routers;
    const isSix = this.#underlay === 'IPv6';
    this.api.store.put('customresourcedefinitions.apiextensions.k8s.io', PEER_DEFINITION.metadata.name, {
      ...PEER_DEFINITION,
    });
    await this.api.listenOn(listener(router.name));
    const master = isSix ? `http://[${this.#ipv6}:1::1]:${PORT}` : `http://10.9.1.1:${PORT}`;
    for (const { name } of this.nodes) {
      const directory = this.#directory(name);
      const args = agentCommand({ name, directory, master }, '--encapsulate=never');
      const agent = this.host(name).spawn(args, { KILOWIRE_UAPI_DIR: directory });
      const log = join(directory, 'agent.log');
      for (const stream of [agent.stdout, agent.stderr])
        stream?.on('data', (piece: Buffer) => writeFileSync(log, piece, { flag: 'a' }));
      this.#agents.push(agent);
    }
  }

  log(name: Name): string {
    const path = join(this.#directory(name), 'agent.log');
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  }

  conflist(name: Name): string {
    return readFileSync(join(this.#directory(name), '10-kilo.conflist'), 'utf8');
  }

  annotation(name: Name, what: string): string | undefined {
    return this.api.store.get('nodes', name)?.metadata.annotations?.[`${KILO}/${what}`];
  }

  /** Pings `to`'s pod from `from`'s pod, or from the node itself. */
  reaches(from: string, to: Name, family: 4 | 6, size = 56): boolean {
    const options = ['-q', '-c', '1', '-W', '2', '-s', String(size)];
    try {
      this.host(from).exec('ping', ...options, podAddress(to, family));
      return true;
    } catch {
      return false;
    }
  }

  #pairs(): [Name, Name][] {
    return this.nodes.flatMap(({ name: from }) =>
      this.nodes.flatMap(({ name: to }): [Name, Name][] => (from === to ? [] : [[from, to]])),
    );
  }

  async meshed(): Promise<void> {
    try {
      await until(
        'pods to reach each other by both families',
        () =>
          this.#pairs().every(([from, to]) =>
            ([4, 6] as const).every((family) => this.reaches(`pod-${from}`, to, family)),
          ),
        40_000,
      );
    } catch (error) {
      for (const { name } of this.nodes) process.stderr.write(`${name}:\n${this.log(name)}\n`);
      throw error;
    }
  }

  async remove(): Promise<void> {
    await Promise.all(this.#agents.map((agent) => end(agent, 'SIGKILL')));
    for (const { name } of this.nodes) {
      const pids = run('ip', 'netns', 'pids', this.host(name).name).split('\n').map(Number);
      for (const pid of pids.filter((each) => each > 0)) process.kill(pid, 'SIGKILL');
    }
    await this.api.close().catch(() => {});
    for (const host of [...this.#hosts.values(), ...this.#routers]) host.remove();
    this.folder.remove();
  }
}
