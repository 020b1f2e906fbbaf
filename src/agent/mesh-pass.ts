/**
 * One pass: what the API says and what the host is, made into the mesh as this node sees it, put onto the host, and told
 * in the node's own annotations.
 * Source: Kilo's order of a reconcile; its rules for discovered endpoints.
 * @module
 */
import type { DeviceStatus } from '../noise/device-config.ts';
import type { Address } from '../noise/ip.ts';
import type { Verdict } from '../routing/fail-over.ts';
import { withInferred } from '../routing/inferred-leaders.ts';
import { keyText } from '../routing/key-text.ts';
import { type Ability, isReadyNode, type MeshEndpoint, type Node } from '../routing/node.ts';
import type { Peer } from '../routing/peer.ts';
import { publishedUnreached, type UnreachedSegments } from '../routing/relays.ts';
import type { Topology } from '../routing/topology.ts';
import { wireguardConfig } from '../routing/wireguard-config.ts';
import { AgentError, sentenceOf } from './agent-error.ts';
import { annotationsOf, DISCOVERED_ENDPOINTS, formatDiscovered } from './annotations.ts';
import type { Cluster, OwnNode } from './cluster.ts';
import { type Fault, ofProblem } from './faults.ts';
import { BRIDGE } from './host/cni-conflist.ts';
import type { HostProgrammer } from './host/host-programmer.ts';
import { type HostLinks, hasAddress, ipv6Beside } from './host/links.ts';
import { type OwnAddresses, ownAddresses } from './host/own-addresses.ts';
import type { HostNames } from './host-names.ts';
import type { NodeKey } from './key-file.ts';
import { awaitedKeys, type OwnRotation, withKeysInUse } from './key-rotation.ts';
import { KnownTopology, problemsAt } from './known-topology.ts';
import type { AgentOptions } from './options.ts';
import {
  FAILING_LEADERS,
  failingLeadersText,
  LEADS,
  leaderClaimText,
  PSK_KEY,
  STABLE_ADDRESS,
  stableAddressText,
  UNREACHED,
  unreachedText,
} from './own-annotations.ts';
import { discoveredBy, type OwnEndpoint, ownEndpoint, ownInternalIP } from './own-node.ts';
import type { RelayWatch } from './relay-watch.ts';
import type { MeshDevice } from './surroundings.ts';

const TUNNEL = 'tunl0';
/** Whoever was heard of this lately has tunnels with others. */
const KNOWN_SECONDS = 180;

export interface MeshPassContext {
  readonly options: AgentOptions;
  readonly cluster: Cluster;
  readonly names: HostNames;
  readonly links: () => HostLinks;
  readonly device: MeshDevice;
  readonly host: Pick<HostProgrammer, 'apply'>;
  readonly key: NodeKey;
  readonly rotation: OwnRotation;
  /** Base64. */
  readonly pskKey: string | undefined;
  /** What the hostname resolves to. */
  readonly ofHostname: () => Promise<readonly Address[]>;
  readonly onDeviceStarted: () => void;
  readonly abilities: ReadonlySet<Ability>;
  /** What this node says of leaders, itself and others. */
  readonly verdict: () => Verdict;
  readonly relays: RelayWatch;
}

export interface PassOutcome {
  readonly topology: Topology;
  readonly device: DeviceStatus | null;
  readonly faults: readonly Fault[];
  /** Some of the faults are of the host: what was wanted is not in place. */
  readonly failed: boolean;
  /** What the own Node shall say. */
  readonly annotations: Readonly<Record<string, string>>;
  /** Somebody who can only be found by having been heard has not been heard here yet. */
  readonly awaits: boolean;
  /** Keys that others are about to turn to. */
  readonly awaitedKeys: readonly string[];
}

export class MeshPass {
  readonly #context: MeshPassContext;
  /** After the last pass. */
  #led = true;
  #last: Topology | null = null;
  readonly #topology: KnownTopology;

  constructor(context: MeshPassContext) {
    this.#context = context;
    const { granularity, subnet, hostname } = context.options;
    this.#topology = new KnownTopology({ granularity, subnet, hostname });
  }

  /**
   * @param time Unix seconds to judge heart-beats by.
   * @param now Unix seconds.
   * @throws AgentError, RoutingError when this node cannot take part; the host stays as it is.
   */
  async run(time: number, now: number): Promise<PassOutcome> {
    const { options, cluster, host } = this.#context;
    const { hostname, granularity } = options;
    const own = cluster.own;
    if (own === undefined) {
      throw new AgentError(
        'ERR_AGENT_HOSTNAME',
        `There is no Node "${hostname}" in the cluster: give --hostname the Node's name.`,
      );
    }
    const faults: Fault[] = [...cluster.faults];
    const links = this.#context.links();
    const { status: device, started } = await this.#readDevice(links, faults);
    // A device that was started a moment ago has brought its link.
    const present = started ? this.#context.links() : links;
    const addresses = ownAddresses(links, {
      ofHostname: await this.#context.ofHostname(),
      ignoredLinks: [options.interfaceName, BRIDGE, TUNNEL],
      internalCIDRs: options.internalCIDRs,
    });
    const turned = this.#turn(own, faults);
    const told = ownEndpoint(own, addresses, options);
    const self = this.#selfOf(own, told, addresses, links);
    const others = withKeysInUse(cluster.others, device);
    const { nodes, peers } = await this.#resolved([...others, self], cluster.peersAt(now), faults);
    const discovered = discoveries(device, nodes, peers, time);
    const view = {
      nodes: withInferred(nodes, this.#context.verdict().inferred).map((each) =>
        each.name === hostname ? { ...each, discoveredEndpoints: discovered, lastSeen: time } : each,
      ),
      peers,
      now: time,
    };
    const topology = this.#topology.of(view);
    faults.push(...problemsAt(view, topology).map(ofProblem));
    const failures = await host.apply(topology, present, device);
    const isKnown = started && now - own.record.node.lastSeen < KNOWN_SECONDS;
    if (isKnown || turned || (topology.isLeader && !this.#led)) await this.#greet(topology);
    this.#led = topology.isLeader;
    this.#context.relays.after(topology, device);
    this.#last = topology;
    const coming = awaitedKeys(topology);
    const annotations = annotationsOf({
      endpoint: self.endpoint,
      detectedEndpoint: told.detected,
      internalIP: self.internalIP ?? null,
      internalIPv6: self.internalIPv6 ?? null,
      key: self.key,
      lastSeen: now,
      wireguardIP: topology.wireguardCIDR,
      discoveredEndpoints: discovered,
      granularity,
      cniCompatibilityIP: self.cniCompatibilityIP ?? null,
    });
    const { location, wireguardIP } = topology.segment;
    return {
      topology,
      device,
      faults: [...faults, ...failures],
      failed: failures.length > 0,
      annotations: {
        ...annotations,
        ...this.#context.rotation.annotations(own, failures.length === 0 ? coming : []),
        ...said(own, PSK_KEY, this.#context.pskKey ?? ''),
        ...said(own, LEADS, leaderClaimText(self.leaderClaim ?? null)),
        ...said(own, FAILING_LEADERS, failingLeadersText(self.failingLeaders)),
        ...said(own, UNREACHED, unreachedWords(publishedUnreached(topology, this.#context.relays.unreached))),
        ...(options.stableAddresses
          ? { [STABLE_ADDRESS]: stableAddressText({ segment: location, address: wireguardIP }) }
          : {}),
      },
      awaits: topology.isLeader && roamersOf(topology).some((key) => !discovered.has(key)),
      awaitedKeys: coming,
    };
  }

  /** There will be no other. */
  end(): void {
    this.#context.relays.end();
  }

  /** Whether this node has another key now than a moment ago. */
  #turn(own: OwnNode, faults: Fault[]): boolean {
    const { key, rotation, cluster, options } = this.#context;
    const before = key.publicKey;
    try {
      rotation.advance(own, cluster.others, this.#last);
    } catch (error) {
      const subject = { kind: 'host', name: options.hostname } as const;
      faults.push({ code: 'key', subject, message: sentenceOf(error) });
    }
    return key.publicKey !== before;
  }

  /** Whether the device hears from somewhere else than the last pass said; a look that changes nothing. */
  async hearsAnew({ topology, annotations }: PassOutcome, time: number): Promise<boolean> {
    const { cluster, device } = this.#context;
    const heard = discoveries(await device.control.read(), cluster.others, topology.peers, time);
    return formatDiscovered(heard) !== annotations[DISCOVERED_ENDPOINTS];
  }

  /** The others still hold sessions with the device that was here before, or with the leader that was. */
  async #greet(topology: Topology): Promise<void> {
    const config = wireguardConfig(topology);
    if (config !== null) await this.#context.device.control.greet(config);
  }

  async #readDevice(
    links: HostLinks,
    faults: Fault[],
  ): Promise<{ readonly status: DeviceStatus | null; readonly started: boolean }> {
    const { options, device, onDeviceStarted } = this.#context;
    try {
      const how = await device.ensure(links.byName.get(options.interfaceName));
      if (how === 'started') onDeviceStarted();
      return { status: await device.control.read(), started: how === 'started' };
    } catch (error) {
      const subject = { kind: 'host', name: options.hostname } as const;
      faults.push({ code: 'device', subject, message: sentenceOf(error) });
      return { status: null, started: false };
    }
  }

  /** This node as the view shall have it: what the API says, and what it will say when our next words have arrived. */
  #selfOf(own: OwnNode, { endpoint }: OwnEndpoint, addresses: OwnAddresses, links: HostLinks) {
    const { options, key, abilities } = this.#context;
    const { claim, failing } = this.#context.verdict();
    if (endpoint === null) {
      throw new AgentError(
        'ERR_AGENT_ADDRESS',
        'no valid IP was found: this host has no address that others could dial; set the annotation kilo.squat.ai/force-endpoint.',
      );
    }
    const internalIP = ownInternalIP(own, addresses, (address) => hasAddress(links, address));
    const cilium = options.encapsulator === 'cilium' ? links.byName.get('cilium_host') : undefined;
    const overlay = links.addresses.find(
      ({ link, cidr }) => link === cilium?.index && cidr.address.length === 4,
    );
    const internalIPv6 = internalIP === null ? null : ipv6Beside(links, internalIP.address);
    const {
      internalIP: _internal,
      internalIPv6: _v6,
      cniCompatibilityIP: _overlay,
      leaderClaim: _claim,
      ...rest
    } = own.record.node;
    return {
      ...rest,
      key: key.publicKey,
      abilities,
      ...(claim === null ? {} : { leaderClaim: claim }),
      failingLeaders: failing,
      endpoint,
      ...(internalIP === null ? {} : { internalIP }),
      ...(internalIPv6 === null || rest.podCIDRs.length < 2 ? {} : { internalIPv6 }),
      ...(overlay === undefined ? {} : { cniCompatibilityIP: overlay.cidr }),
    } satisfies Node;
  }

  /** With addresses for names; a name without one is told, and its owner waits. */
  async #resolved(nodes: readonly Node[], peers: readonly Peer[], faults: Fault[]) {
    const { names } = this.#context;
    const owners = [
      ...nodes.map(({ name, endpoint }) => ({ kind: 'node' as const, name, dns: endpoint?.dns })),
      ...peers.map(({ name, endpoint }) => ({ kind: 'peer' as const, name, dns: endpoint?.dns })),
    ];
    await names.prepare(new Set(owners.flatMap(({ dns }) => dns ?? [])));
    for (const { kind, name, dns } of owners) {
      const why = dns === undefined ? null : names.fault(dns);
      if (why === null) continue;
      const message = `The endpoint ${dns} of ${kind} "${name}" does not resolve: ${why}.`;
      faults.push({ code: 'endpoint-unresolved', subject: { kind, name }, message });
    }
    const withAddress = <Item extends { readonly endpoint?: MeshEndpoint }>(item: Item): Item =>
      item.endpoint?.dns === undefined ? item : { ...item, endpoint: names.withAddress(item.endpoint) };
    return { nodes: nodes.map(withAddress), peers: peers.map(withAddress) };
  }
}

/** What most nodes never have to say is not said emptily. */
const said = ({ annotations }: OwnNode, name: string, text: string): Readonly<Record<string, string>> =>
  text === '' && (annotations[name] ?? '') === '' ? {} : { [name]: text };

const unreachedWords = (unreached: UnreachedSegments | null): string =>
  unreached === null ? '' : unreachedText(unreached);

/** Keys of those whose endpoint is where they were last heard. */
const roamersOf = ({ segments, segment, peers }: Topology): readonly string[] => [
  ...segments
    .filter((other) => other !== segment && other.leader.persistentKeepalive > 0)
    .map(({ leader }) => leader.key),
  ...peers.filter(({ endpoint }) => endpoint === undefined).map(({ key }) => key),
];

const discoveries = (
  device: DeviceStatus | null,
  nodes: readonly Node[],
  peers: readonly Pick<Peer, 'key'>[],
  time: number,
): ReadonlyMap<string, MeshEndpoint> => {
  const roaming = nodes.filter((node) => node.persistentKeepalive > 0 && isReadyNode(node, time));
  if (roaming.length === 0 && peers.length === 0) return new Map();
  const heard = (device?.peers ?? []).flatMap(({ publicKey, endpoint, lastHandshake }) => {
    // A zone means something on this host only.
    if (lastHandshake.seconds === 0 || endpoint === undefined || endpoint.zone !== undefined) return [];
    return [{ key: keyText(publicKey), endpoint, heard: true }];
  });
  return discoveredBy({ peers: heard }, roaming, peers);
};
