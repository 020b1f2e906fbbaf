/**
 * Two homes behind NATs that give every destination another port and let nothing in but answers, and a cloud with public
 * addresses; a real agent on each node:
 *
 *     a 10.9.1.2 ── NAT 203.0.113.11 ──┐            ┌── c 203.0.113.31, 10.9.3.1
 *     (location one)                  wan ──────────┤   (location three)
 *     b 10.9.2.2 ── NAT 203.0.113.12 ──┘ API :8001  └── d 203.0.113.32, 10.9.3.2
 *     (location two)
 * @module
 */
import type { ChildProcess } from 'node:child_process';
import { createWriteStream, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiServer } from '../../src/agent/api-server/api-server.ts';
import { DeviceControl } from '../../src/agent/host/device-control.ts';
import { PEER_DEFINITION } from '../../src/agent/peer-definition.ts';
import { bindStream } from '../../src/lab/namespace-sockets.ts';
import { formatCidr } from '../../src/noise/ip.ts';
import { keyText } from '../../src/routing/key-text.ts';
import { agentCommand } from './agent-command.ts';
import { end, Folder, Host, root, run, until } from './host.ts';

const PREFIX = 'kwre';
const API = '203.0.113.1';
const PORT = 8001;
const KILO = 'kilo.squat.ai';

const NODES = [
  { name: 'a', location: 'one', addresses: ['10.9.1.2'], number: 1 },
  { name: 'b', location: 'two', addresses: ['10.9.2.2'], number: 2 },
  { name: 'c', location: 'three', addresses: ['203.0.113.31', '10.9.3.1'], number: 3 },
  { name: 'd', location: 'three', addresses: ['203.0.113.32', '10.9.3.2'], number: 4 },
] as const;
export type Name = (typeof NODES)[number]['name'];

const podOf = (name: Name): string => `10.42.${NODES.find((node) => node.name === name)?.number}.1`;

const CONFLIST = {
  cniVersion: '0.4.0',
  name: 'kilo',
  plugins: [{ name: 'kubernetes', type: 'bridge', bridge: 'kube-bridge', ipam: { type: 'host-local' } }],
};

/** A port of its own for every destination, and nothing in that nobody asked for. */
const NAT = `
table ip nat {
  chain prerouting { type nat hook prerouting priority -100; }
  chain postrouting { type nat hook postrouting priority 100; oifname "out" masquerade random,fully-random; }
}
table ip filter {
  chain input { type filter hook input priority 0; iifname "out" ct state new drop; }
  chain forward {
    type filter hook forward priority 0; policy drop;
    iifname "in" accept
    ct state established,related accept
  }
}`;

export class RelayWorld {
  readonly api = new ApiServer({ bookmarkMs: 2000 });
  readonly folder = new Folder();
  readonly #wan = new Host(`${PREFIX}-wan`);
  readonly #nats = new Map<string, Host>();
  readonly #hosts = new Map<Name, Host>();
  readonly #agents: ChildProcess[] = [];

  constructor() {
    this.#wan.ip('link', 'add', 'wan', 'type', 'bridge');
    this.#wan.ip('addr', 'add', `${API}/24`, 'dev', 'wan');
    this.#wan.ip('link', 'set', 'wan', 'up');
    for (const { name, location, addresses, number } of NODES) {
      const [first] = addresses;
      const host = new Host(`${PREFIX}-${name}`);
      this.#hosts.set(name, host);
      if (first.startsWith('10.')) this.#behindNat(name, number, first);
      else this.#onWan(host, 'eth0', first);
      for (const address of addresses) host.ip('addr', 'replace', `${address}/24`, 'dev', 'eth0');
      const gateway = first.startsWith('10.') ? first.replace(/\d+$/, '1') : API;
      host.ip('route', 'add', 'default', 'via', gateway);
      host.ip('link', 'add', 'kube-bridge', 'type', 'bridge');
      host.ip('addr', 'add', `${podOf(name)}/24`, 'dev', 'kube-bridge');
      host.ip('link', 'set', 'kube-bridge', 'up');
      host.exec('sysctl', '-qw', 'net.ipv4.ip_forward=1');
      mkdirSync(this.#directory(name), { recursive: true, mode: 0o700 });
      writeFileSync(join(this.#directory(name), '10-kilo.conflist'), JSON.stringify(CONFLIST));
      const annotations = {
        [`${KILO}/location`]: location,
        ...(this.#nats.has(name) ? { [`${KILO}/persistent-keepalive`]: '25' } : {}),
      };
      this.api.store.put('nodes', name, {
        apiVersion: 'v1',
        kind: 'Node',
        metadata: { name, uid: name, annotations },
        spec: { podCIDR: `10.42.${number}.0/24` },
      });
    }
    this.api.store.put('customresourcedefinitions.apiextensions.k8s.io', PEER_DEFINITION.metadata.name, {
      ...PEER_DEFINITION,
    });
  }

  #onWan(host: Host, link: string, address: string): void {
    const wire = `to-${address.replace(/.*\./, '')}`;
    const ends = ['type', 'veth', 'peer', 'name', wire, 'netns', this.#wan.name];
    run('ip', 'link', 'add', link, 'netns', host.name, ...ends);
    this.#wan.ip('link', 'set', wire, 'master', 'wan', 'up');
    host.ip('addr', 'add', `${address}/24`, 'dev', link);
    host.ip('link', 'set', link, 'up');
  }

  #behindNat(name: Name, number: number, address: string): void {
    const nat = new Host(`${PREFIX}-n${name}`);
    this.#nats.set(name, nat);
    this.#onWan(nat, 'out', `203.0.113.${10 + number}`);
    const host = this.host(name);
    run(
      'ip',
      'link',
      'add',
      'in',
      'netns',
      nat.name,
      'type',
      'veth',
      'peer',
      'name',
      'eth0',
      'netns',
      host.name,
    );
    nat.ip('addr', 'add', `${address.replace(/\d+$/, '1')}/24`, 'dev', 'in');
    nat.ip('link', 'set', 'in', 'up');
    host.ip('link', 'set', 'eth0', 'up');
    nat.exec('sysctl', '-qw', 'net.ipv4.ip_forward=1');
    nat.exec('nft', '-f', this.folder.write(`nat-${name}.nft`, NAT));
  }

  host(name: Name): Host {
    const host = this.#hosts.get(name);
    if (host === undefined) throw new Error(`there is no ${name}`);
    return host;
  }

  #directory(name: Name): string {
    return join(this.folder.path, name);
  }

  async start(): Promise<void> {
    await this.api.listenOn(bindStream(this.#wan.name, '0.0.0.0', PORT));
    for (const { name } of NODES) {
      const directory = this.#directory(name);
      const place = { name, directory, master: `http://${API}:${PORT}` };
      const args = agentCommand(place, '--encapsulate=crosssubnet');
      const agent = this.host(name).spawn(args, { KILOWIRE_UAPI_DIR: directory });
      const log = createWriteStream(join(directory, 'agent.log'), { flags: 'a' });
      agent.stdout?.pipe(log, { end: false });
      agent.stderr?.pipe(log, { end: false });
      this.#agents.push(agent);
    }
  }

  log(name: Name): string {
    const path = join(this.#directory(name), 'agent.log');
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  }

  /** A command of ours, with a kubeconfig, as an administrator on the wan. */
  async ask(...command: string[]): Promise<string> {
    const cluster = `{cluster: {server: "http://${API}:${PORT}"}, name: world}`;
    const kubeconfig = this.folder.write(
      'kubeconfig',
      `apiVersion: v1\nkind: Config\ncurrent-context: world\nclusters: [${cluster}]\ncontexts: [{context: {cluster: world, user: nobody}, name: world}]\nusers: [{name: nobody, user: {}}]\n`,
    );
    const args = [process.execPath, join(root, 'src/cli/main.ts'), ...command, '--kubeconfig', kubeconfig];
    const child = this.#wan.spawn(args);
    const pieces: Buffer[] = [];
    child.stdout?.on('data', (piece: Buffer) => pieces.push(piece));
    await new Promise((resolve) => child.once('close', resolve));
    return Buffer.concat(pieces).toString('utf8');
  }

  /** An annotation of ours. */
  own(name: Name, word: string): string {
    return this.api.store.get('nodes', name)?.metadata.annotations?.[`kilowire.dev/${word}`] ?? '';
  }

  /** What goes through the tunnel of one node with another; null: it has no such peer. */
  async tunnel(
    from: Name,
    to: Name,
  ): Promise<{ readonly ranges: string[]; readonly shookHands: boolean } | null> {
    const key = this.api.store.get('nodes', to)?.metadata.annotations?.[`${KILO}/key`];
    const { peers } = await new DeviceControl(join(this.#directory(from), 'kilo0.sock')).read();
    const peer = peers.find(({ publicKey }) => keyText(publicKey) === key);
    if (peer === undefined) return null;
    return { ranges: peer.allowedIps.map(formatCidr).toSorted(), shookHands: peer.lastHandshake.seconds > 0 };
  }

  /** Whether a pod of one node reaches a pod of another, with a packet of that size. */
  reaches(from: Name, to: Name, size = 56): boolean {
    const options = ['-q', '-c', '1', '-W', '1', '-M', 'do', '-s', String(size)];
    try {
      this.host(from).exec('ping', ...options, '-I', podOf(from), podOf(to));
      return true;
    } catch {
      return false;
    }
  }

  reached(patience: number, ...pairs: readonly (readonly [Name, Name])[]): Promise<void> {
    const words = pairs.map((pair) => pair.join(' to ')).join(', ');
    return until(words, () => pairs.every(([from, to]) => this.reaches(from, to)), patience);
  }

  /** Looks until it is so. */
  async seen(what: string, look: () => Promise<boolean>, patience = 60_000): Promise<void> {
    const deadline = Date.now() + patience;
    while (!(await look())) {
      if (Date.now() > deadline) throw new Error(`waited ${patience} ms in vain for: ${what}`);
      await sleep(250);
    }
  }

  /** Pings twenty times a second until stopped; answers how many were lost before the last that came back. */
  pinging(from: Name, to: Name): () => Promise<number> {
    const child = this.host(from).spawn(['ping', '-i', '0.05', '-W', '1', '-I', podOf(from), podOf(to)]);
    const pieces: Buffer[] = [];
    child.stdout?.on('data', (piece: Buffer) => pieces.push(piece));
    return async () => {
      await end(child, 'SIGINT');
      const text = Buffer.concat(pieces).toString('utf8');
      const heard = [...text.matchAll(/icmp_seq=(\d+) ttl/g)].map(([, number]) => Number(number));
      if (heard.length === 0) throw new Error(`no ping came back: ${text}`);
      return Math.max(...heard) - new Set(heard).size;
    };
  }

  unplug(name: Name): void {
    this.host(name).ip('link', 'set', 'eth0', 'down');
  }

  /** Its NAT forwards every UDP port to it: who dials it where anybody has heard it reaches it. */
  forwardPorts(name: 'a' | 'b'): void {
    const nat = this.#nats.get(name);
    const inside = NODES.find((node) => node.name === name)?.addresses[0] ?? '';
    const words = (text: string): string[] => text.split(' ');
    nat?.exec(
      'nft',
      ...words(`add rule ip nat prerouting iifname out udp dport 1024-65535 dnat to ${inside}:51820`),
    );
    nat?.exec('nft', ...words('add rule ip filter forward iifname out udp dport 51820 accept'));
  }

  async remove(): Promise<void> {
    await Promise.all(this.#agents.map((agent) => end(agent, 'SIGKILL')));
    const devices = () =>
      [...this.#hosts.values()]
        .flatMap((host) => run('ip', 'netns', 'pids', host.name).split('\n').map(Number))
        .filter((pid) => pid > 0);
    for (const pid of devices()) process.kill(pid, 'SIGTERM');
    await until('the devices to end', () => devices().length === 0);
    await this.api.close().catch(() => {});
    for (const host of [...this.#hosts.values(), ...this.#nats.values(), this.#wan]) host.remove();
    this.folder.remove();
  }
}
