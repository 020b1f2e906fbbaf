/**
 * What is outside of a cluster: a laptop, and who resolves names in the world, where one name is known.
 * @module
 */
import { join } from 'node:path';
import { expect } from 'vitest';
import { root } from '../netns/host.ts';
import type { SystemdResolved } from '../netns/systemd-resolved.ts';
import type { KubeCluster } from './cluster.ts';
import { paths } from './layout.ts';
import type { Machine } from './machine.ts';

const RESOLVER = `
const { answerQuery } = await import(process.argv[1]);
const socket = (await import('node:dgram')).createSocket('udp4');
socket.on('message', (query, { port, address }) => {
  const answer = answerQuery(query, new Map([['www.example.org', '192.0.2.1']]), 'org');
  if (answer !== null) socket.send(answer, port, address);
});
socket.bind(53);
`;

const kilowire = join(root, 'bin/kilowire');
export const page = 'http://web.default.svc.cluster.local/cgi-bin/name';

export class Outside {
  readonly #cluster: KubeCluster;
  readonly #internet: Machine;
  readonly #laptop: Machine;
  readonly #environment: readonly string[];

  private constructor(cluster: KubeCluster, internet: Machine, laptop: Machine, resolved?: SystemdResolved) {
    this.#cluster = cluster;
    this.#internet = internet;
    this.#laptop = laptop;
    this.#environment = Object.entries(resolved?.environment ?? {}).map(([name, text]) => `${name}=${text}`);
  }

  /** Nodes resolve names there from now on. */
  static async make(cluster: KubeCluster, resolved?: SystemdResolved): Promise<Outside> {
    const internet = await cluster.addGuest('internet');
    const answers = join(root, 'src/lab/dns-message.ts');
    internet.start('dns', process.execPath, '--input-type=module', '-e', RESOLVER, answers);
    const outside = new Outside(cluster, internet, await cluster.addGuest('laptop'), resolved);
    for (const { machine } of cluster.nodes) await resolvBy(machine, internet.address);
    return outside;
  }

  /** As `kilowire connect --dns local` says. */
  async resolveByLoopback(): Promise<void> {
    await resolvBy(this.#laptop, '127.0.0.1', this.#internet.address);
  }

  async resolveBy(resolved: SystemdResolved): Promise<void> {
    this.#laptop.start('resolved', 'env', ...this.#environment, ...resolved.command());
    const isTold = async (): Promise<boolean> =>
      (await this.onLaptop('resolvectl', 'dns', 'eth0', this.#internet.address)) === '';
    await this.#cluster.until('systemd-resolved', isTold);
  }

  /** A CoreDNS of the laptop's own, while something is done; names it is not told of go out. */
  async withOwn(coreDns: string, corefile: string, done: () => Promise<void>): Promise<void> {
    const others = `. {\n    forward . ${this.#internet.address}\n}\n`;
    await this.onLaptop('sh', '-c', 'printf %s "$1" > /run/Corefile', 'sh', `${corefile}\n${others}`);
    this.#laptop.start('coredns', coreDns, '-conf', '/run/Corefile');
    await done().finally(() => this.#laptop.end('coredns'));
  }

  onLaptop(...command: readonly string[]): Promise<string> {
    return this.#laptop.exec('env', ...this.#environment, ...command);
  }

  /** `kilowire …` with the administrator's kubeconfig. */
  kilowire(...words: readonly string[]): Promise<string> {
    return this.onLaptop(kilowire, ...words, '--kubeconfig', paths.adminKubeconfig);
  }

  wgQuick(...words: readonly string[]): Promise<string> {
    return this.onLaptop('env', `WG_QUICK_USERSPACE_IMPLEMENTATION=${kilowire}-wg`, 'wg-quick', ...words);
  }

  connect(...flags: readonly string[]): void {
    const command = [kilowire, 'connect', 'laptop', '--kubeconfig', paths.adminKubeconfig, ...flags];
    this.#laptop.start('connect', 'env', ...this.#environment, ...command);
  }

  /** Everything that every connection said. */
  get log(): string {
    return this.#laptop.log('connect');
  }

  /** By a signal, such as INT. */
  async disconnect(signal: string): Promise<void> {
    await this.#laptop.end('connect', signal);
  }

  /** The page of pods on n1 is opened by its name, short and long; other names go where they went. */
  async expectNames(): Promise<void> {
    const isOpen = async (): Promise<boolean> => (await this.#open(page)).startsWith('n1-');
    await this.#cluster.until('the page', isOpen).catch((error: unknown) => {
      console.log(this.log);
      throw error;
    });
    expect(await this.#open('http://web.default/cgi-bin/name')).toMatch(/^n1-/);
    expect(await this.#addressOf('kubernetes.default.svc.cluster.local')).toBe('10.43.0.1');
    expect(await this.#addressOf('none.default.svc.cluster.local')).toBe('');
    expect(await this.#addressOf('www.example.org')).toBe('192.0.2.1');
  }

  async expectNoNames(): Promise<void> {
    expect(await this.onLaptop('ip', '-br', 'link')).not.toMatch(/kilo0|phone/);
    expect(await this.#addressOf('web.default.svc.cluster.local')).toBe('');
    expect(await this.#addressOf('www.example.org')).toBe('192.0.2.1');
  }

  #open(url: string): Promise<string> {
    return this.onLaptop('curl', '-s', '-m', '5', url);
  }

  /** '' when there is no such name. */
  async #addressOf(name: string): Promise<string> {
    return (await this.onLaptop('getent', 'ahostsv4', name).catch(() => '')).split(' ')[0] ?? '';
  }
}

const resolvBy = (machine: Machine, ...servers: readonly string[]): Promise<string> => {
  const lines = [...servers.map((address) => `nameserver ${address}`), 'search svc.cluster.local'];
  return machine.exec('sh', '-c', 'printf "%s\\n" "$@" > /etc/resolv.conf', 'sh', ...lines);
};
