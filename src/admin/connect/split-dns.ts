/**
 * Names of the cluster on a connected host, and nothing else: by systemd-resolved where it runs, which binds them to the
 * link and forgets them with it; else by a resolver of ours on loopback, which whoever wants it puts into resolv.conf.
 * Source: resolvectl(1) (dns, domain; "~" routes a domain without searching it); resolv.conf(5).
 * @module
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import type { Log } from '../../agent/log.ts';
import { DnsForwarder, type DnsServer } from './dns-forwarder.ts';

/** `auto`: systemd-resolved where it runs, else a resolver of ours. */
export type DnsMode = 'auto' | 'resolved' | 'local' | 'none';

export interface SplitDnsOptions {
  readonly mode: DnsMode;
  readonly interfaceName: string;
  readonly domain: string;
  readonly servers: readonly string[];
  /** Of a resolver of ours. */
  readonly listen: DnsServer;
  readonly log: Log;
}

const DNS_PORT = 53;
const RESOLV_CONF = '/etc/resolv.conf';
const RESOLVED = '/run/systemd/resolve';
const RESOLVED_STUBS = ['127.0.0.53', '127.0.0.54'];
const PATIENCE_MS = 5000;

export class SplitDns {
  readonly #options: SplitDnsOptions;
  #forwarder: DnsForwarder | null = null;
  #onLink = false;

  constructor(options: SplitDnsOptions) {
    this.#options = options;
  }

  /** What cannot be had is told and left out: the mesh itself does not need names. */
  async start(): Promise<void> {
    const { mode, log } = this.#options;
    if (mode === 'none') return;
    if (mode === 'resolved' || (mode === 'auto' && existsSync(RESOLVED))) {
      const why = await this.#toldResolved();
      if (why === null) return;
      log.warn(`systemd-resolved was not told of the cluster's names: ${why}.`);
      if (mode === 'resolved') return;
    }
    await this.#startOwn();
  }

  /** Null when it worked, else why not. */
  async #toldResolved(): Promise<string | null> {
    const { interfaceName, domain, servers, log } = this.#options;
    const why =
      (await run('resolvectl', 'dns', interfaceName, ...servers)) ??
      (await run('resolvectl', 'domain', interfaceName, `~${domain}`, `svc.${domain}`));
    if (why !== null) return why;
    this.#onLink = true;
    log.info('names of the cluster are resolved', {
      by: 'systemd-resolved',
      domain,
      servers: servers.join(' '),
    });
    if (!isResolvedAsked())
      log.warn(
        'Programs here do not ask systemd-resolved: ln -sf /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf',
      );
    return null;
  }

  async #startOwn(): Promise<void> {
    const { domain, servers, listen, log } = this.#options;
    const before = nameservers(RESOLV_CONF).filter((address) => address !== listen.address);
    const forwarder = new DnsForwarder({
      domains: [domain],
      clusterServers: servers.map((address) => ({ address, port: DNS_PORT })),
      otherServers: before.map((address) => ({ address, port: DNS_PORT })),
      listen,
    });
    try {
      const { address, port } = await forwarder.start();
      this.#forwarder = forwarder;
      log.info('names of the cluster are resolved', { by: `${address}:${port}`, domain });
      log.info(
        `To use them, put a line before the others in ${RESOLV_CONF}: nameserver ${address} (and for short names: search svc.${domain}). Other names still go to ${before.join(', ') || 'nobody: there was no server'}; while nothing is connected the next line answers.`,
      );
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const why = code === 'EADDRINUSE' ? 'somebody else answers there' : message;
      log.warn(
        `No resolver was started on ${listen.address}:${listen.port}: ${why}; choose another place with --dns-listen.`,
      );
    }
  }

  /** `cleanUp` false: what the link was told stays with it. */
  async stop(cleanUp: boolean): Promise<void> {
    this.#forwarder?.close();
    this.#forwarder = null;
    if (this.#onLink && cleanUp) await revertLink(this.#options.interfaceName);
    this.#onLink = false;
  }
}

/** The link as it is when nobody has told systemd-resolved anything; for one that was killed too. */
export const revertLink = async (interfaceName: string): Promise<void> => {
  if (existsSync(RESOLVED)) await run('resolvectl', 'revert', interfaceName);
};

/** Addresses only, in order. */
export const nameservers = (path: string): readonly string[] =>
  textOf(path)
    .split('\n')
    .flatMap((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? [])
    .filter((address) => isIP(address) !== 0);

/** By its address, or by glibc's own way to it. */
const isResolvedAsked = (): boolean =>
  nameservers(RESOLV_CONF).some((address) => RESOLVED_STUBS.includes(address)) ||
  /^\s*hosts:.*\bresolve\b/m.test(textOf('/etc/nsswitch.conf'));

/** '' when it cannot be read. */
const textOf = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};

const run = (program: string, ...args: readonly string[]): Promise<string | null> =>
  new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'], timeout: PATIENCE_MS });
    const said: Buffer[] = [];
    child.stderr.on('data', (piece: Buffer) => said.push(piece));
    child.on('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code === 'ENOENT' ? `${program} is not installed` : error.message),
    );
    child.on('close', (status) => {
      const last = Buffer.concat(said).toString('utf8').trim().split('\n').at(-1) ?? '';
      resolve(status === 0 ? null : last.replace(/\.$/, '') || `${program} failed`);
    });
  });
