/**
 * A host outside the cluster joins the mesh as a Peer, for as long as it runs: a small agent of one device. What it makes it
 * takes away again, however it ends; after a kill -9 the next one does.
 * Source: `kgctl connect` (flags, defaults, the Peer it makes, routes); its faults are not: nodes without an endpoint are
 * left out, changes are followed as they come, a Peer with another key is refused, and the end is clean.
 * @module
 */
import { setTimeout as delay } from 'node:timers/promises';
import { sentenceOf } from '../../agent/agent-error.ts';
import { DeviceProcess } from '../../agent/host/device-process.ts';
import { HostNames } from '../../agent/host-names.ts';
import type { KubernetesClient } from '../../agent/kubernetes/client.ts';
import type { Log } from '../../agent/log.ts';
import { openRouteSocket } from '../../linux/rtnetlink.ts';
import type { DeviceConfig } from '../../noise/device-config.ts';
import { type Address, type Cidr, contains, formatAddress, formatCidr } from '../../noise/ip.ts';
import { type OutsidePlan, outsidePlan } from '../../routing/outside.ts';
import { AdminError } from '../admin-error.ts';
import { readServices } from '../cluster-services.ts';
import { type GranularityFlag, meshOf, topologyFrom, withRanges } from '../mesh.ts';
import { ClusterCopy } from './cluster-copy.ts';
import type { DnsServer } from './dns-forwarder.ts';
import { HostLink } from './host-link.ts';
import { clearLeftovers } from './leftovers.ts';
import { checkPeer, createPeer, deletePeer, findPeer, type OwnPeer } from './own-peer.ts';
import { removeSession, type Session, startOf, writeSession } from './session-file.ts';
import { type DnsMode, SplitDns } from './split-dns.ts';

export interface ConnectionOptions {
  readonly client: KubernetesClient;
  readonly log: Log;
  readonly peer: OwnPeer;
  /** A secret; wiped at the end. */
  readonly privateKey: Uint8Array;
  readonly interfaceName: string;
  readonly mtu: number;
  /** Null: 51820, or any that is free. */
  readonly port: number | null;
  /** Further ranges behind the cluster; null: those of its services, as the API says. */
  readonly allowedIPs: readonly Cidr[] | null;
  readonly dns: {
    readonly mode: DnsMode;
    readonly domain: string;
    /** Who knows the names; null: the API says. */
    readonly servers: readonly Address[] | null;
    /** Of a resolver of ours. */
    readonly listen: DnsServer;
  };
  readonly cleanUp: boolean;
  readonly resyncMs: number;
  readonly granularity: GranularityFlag;
  readonly topologyLabel: string;
  /** Where the session and the device's log are. */
  readonly stateDirectory: string;
  readonly environment: NodeJS.ProcessEnv;
}

/** kg's and kgctl's default for --port. */
const PORT = 51_820;
const EADDRINUSE = 98;
const GATHER_MS = 50;
const CLEAN_UP_MS = 10_000;

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #link: HostLink;
  readonly #device: DeviceProcess;
  readonly #names: HostNames;
  readonly #copy: ClusterCopy;
  readonly #told = new Set<string>();
  #dns: SplitDns | null = null;
  #ranges: readonly Cidr[] = [];
  #session: Session | null = null;
  #wanted = Promise.withResolvers<void>();
  #port: number;
  #wasThere = false;
  #isNamed = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    const { interfaceName, stateDirectory, environment, client, topologyLabel, log } = options;
    this.#port = options.port ?? PORT;
    this.#link = new HostLink(openRouteSocket(), interfaceName);
    this.#device = new DeviceProcess({ interfaceName, stateDirectory, mayCreate: true, environment });
    this.#names = new HostNames(() => this.#want());
    this.#copy = new ClusterCopy({
      client,
      topologyLabel,
      onChange: () => this.#want(),
      onError: (error) => log.warn(sentenceOf(error), { component: 'k8s backend' }),
    });
  }

  /** Until the signal; everything that was made is gone when it resolves or rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { log, peer, resyncMs, privateKey } = this.#options;
    const over = new AbortController();
    const stop = (): void => over.abort();
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    const timer = setInterval(() => this.#want(), resyncMs);
    try {
      log.info('generated public key', { publicKey: peer.publicKey });
      await clearLeftovers(this.#options);
      await this.#begin();
      await Promise.all([this.#copy.run(over.signal), this.#follow(over.signal)]);
    } finally {
      stop();
      clearInterval(timer);
      await this.#end();
      privateKey.fill(0);
    }
  }

  async #begin(): Promise<void> {
    const { client, peer, interfaceName, mtu, stateDirectory, log } = this.#options;
    const found = await findPeer(client, peer.name);
    if (found !== null) checkPeer(found, peer);
    const link = this.#link.link;
    if (link !== undefined) {
      await this.#device.ensure(link);
      await this.#refuseForeign();
    }
    this.#session = {
      pid: process.pid,
      started: startOf(process.pid),
      interface: interfaceName,
      madeInterface: link === undefined,
      madePeer: found === null ? { name: peer.name, publicKey: peer.publicKey } : null,
    };
    writeSession(stateDirectory, this.#session);
    if (found === null) await createPeer(client, peer);
    await this.#device.ensure(link);
    this.#link.bringUp(peer.allowedIP, mtu);
    log.info('the device is up', { interface: interfaceName, address: formatCidr(peer.allowedIP) });
    await this.#findServices();
    this.#want();
  }

  /** A link with peers is in somebody's use: an agent's, most likely. */
  async #refuseForeign(): Promise<void> {
    const { interfaceName } = this.#options;
    const { peers } = await this.#device.control.read();
    if (peers.length === 0) return;
    throw new AdminError(
      'ERR_ADMIN_CONNECT',
      `${interfaceName} exists and has peers, so somebody else uses it: choose another name with --interface.`,
    );
  }

  /** Where the services are, and who knows their names. Whoever may not read Services does without. */
  async #findServices(): Promise<void> {
    const { client, allowedIPs, dns, interfaceName, log } = this.#options;
    const found = await readServices(client);
    this.#ranges = allowedIPs ?? found.ranges;
    if (dns.mode === 'none') return;
    const reached = found.dns.filter((address) => this.#ranges.some((range) => contains(range, address)));
    const servers = dns.servers ?? reached;
    if (servers.length > 0)
      this.#dns = new SplitDns({ ...dns, interfaceName, servers: servers.map(formatAddress), log });
    else if (allowedIPs?.length === 0) return;
    else if (found.dns.length > 0)
      log.warn("The cluster's resolver is not in --allowed-ips: names of the cluster are not resolved.");
    else
      log.info(
        'No Service kube-system/kube-dns is there for this account to read: names of the cluster are not resolved. --dns-server names a resolver.',
      );
  }

  #want(): void {
    this.#wanted.resolve();
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { log } = this.#options;
    signal.addEventListener('abort', () => this.#want(), { once: true });
    while (!signal.aborted) {
      await this.#wanted.promise;
      await delay(GATHER_MS);
      this.#wanted = Promise.withResolvers();
      if (signal.aborted) return;
      try {
        await this.#sync();
      } catch (error) {
        if (error instanceof AdminError && error.code === 'ERR_ADMIN_CONNECT') throw error;
        log.error(sentenceOf(error));
      }
    }
  }

  async #sync(): Promise<void> {
    const { snapshot } = this.#copy;
    const { peer, granularity, interfaceName, log } = this.#options;
    if (
      snapshot === null ||
      !this.#isThere(snapshot.peers.map(({ peer: { name, key } }) => `${name} ${key}`))
    )
      return;
    const mesh = withRanges(await meshOf(snapshot, { granularity, names: this.#names }), this.#ranges);
    const topology = topologyFrom(mesh);
    const own = this.#link.ownAddresses();
    const plan = outsidePlan(topology, peer.name, { device: interfaceName, own });
    this.#warn([
      ...plan.leftOut,
      ...[...mesh.unresolved].map(([name, why]) => `The endpoint ${name} does not resolve: ${why}.`),
    ]);
    const touched = await this.#configure(plan);
    const { changed, faults } = this.#link.keepRoutes(plan.routes);
    this.#warn(faults);
    if (touched + changed > 0)
      log.info('in the mesh', { nodes: topology.segments.length, peers: touched, routes: changed });
    if (this.#isNamed) return;
    // Who asks before there is a way to the resolver waits for seconds.
    this.#isNamed = true;
    await this.#dns?.start();
  }

  /** The Peer must have come by the watch; one that went was taken away by somebody. */
  #isThere(present: readonly string[]): boolean {
    const { peer } = this.#options;
    if (present.includes(`${peer.name} ${peer.publicKey}`)) {
      this.#wasThere = true;
      return true;
    }
    if (!this.#wasThere) return false;
    throw new AdminError(
      'ERR_ADMIN_CONNECT',
      `The Peer "${peer.name}" has been deleted or changed: the nodes no longer know this host. Connect again.`,
    );
  }

  async #configure({ peers }: OutsidePlan): Promise<number> {
    const { privateKey, port, log } = this.#options;
    const { control } = this.#device;
    const have = await control.read();
    const want = (listenPort: number): DeviceConfig => ({ privateKey, listenPort, peers });
    // A port that was taken is not asked for again.
    const listenPort = this.#port === 0 ? (have.listenPort ?? 0) : this.#port;
    try {
      return (await control.configure(have, want(listenPort))).peers;
    } catch (error) {
      if (port !== null || !sentenceOf(error).includes(`errno ${EADDRINUSE}`)) throw error;
      log.warn(`UDP port ${this.#port} is taken; another one is used.`);
      this.#port = 0;
      return (await control.configure(await control.read(), want(0))).peers;
    }
  }

  #warn(sentences: readonly string[]): void {
    for (const sentence of sentences) if (!this.#told.has(sentence)) this.#options.log.warn(sentence);
    this.#told.clear();
    for (const sentence of sentences) this.#told.add(sentence);
  }

  async #end(): Promise<void> {
    const { client, cleanUp, stateDirectory, interfaceName, log } = this.#options;
    const session = this.#session;
    if (session === null) return;
    await this.#dns?.stop(cleanUp);
    if (!cleanUp) {
      log.info('left as it is, as --clean-up=false says', { interface: interfaceName });
      return removeSession(stateDirectory, interfaceName);
    }
    log.info('cleaning up', { interface: interfaceName });
    const failures: string[] = [];
    try {
      this.#link.remove(session.madeInterface);
    } catch (error) {
      failures.push(sentenceOf(error));
    }
    if (session.madePeer !== null) {
      const patience = delay(CLEAN_UP_MS, undefined, { ref: false }).then(() => {
        throw new Error(`The Peer could not be deleted within ${CLEAN_UP_MS / 1000} s.`);
      });
      await Promise.race([deletePeer(client, session.madePeer), patience]).catch((error: unknown) => {
        failures.push(sentenceOf(error));
      });
    }
    // The next run tries again what failed.
    if (failures.length === 0) removeSession(stateDirectory, interfaceName);
    for (const failure of failures) log.error(failure);
  }
}
