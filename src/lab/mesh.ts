/**
 * Plays the agents' part: computes the mesh from each node's point of view and programs what it asks for, then reads the
 * devices for endpoints discovered through NAT and does it again, as agents do at their next check-in.
 * Source: kilo.md §4.6 (discovered endpoints), §5.1 (routes), §5.7 (order: address, WireGuard, link up, routes).
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { newAddress } from '../linux/address.ts';
import { changeLink } from '../linux/link.ts';
import { replaceRoute } from '../linux/route.ts';
import type { DeviceChange, DeviceConfig, DeviceStatus, PeerChange } from '../noise/device-config.ts';
import { replaceWith } from '../noise/device-config.ts';
import { type Endpoint, formatAddress, formatCidr, sameEndpoint } from '../noise/ip.ts';
import { keyText } from '../routing/key-text.ts';
import type { MeshEndpoint } from '../routing/node.ts';
import { desiredRoutes, type Route } from '../routing/routes.ts';
import type { Topology } from '../routing/topology.ts';
import { wireguardConfig } from '../routing/wireguard-config.ts';
import { type PingPair, pingAll } from './checks/ping.ts';
import { type Discoveries, type PublicKeys, topologyOf, viewCluster } from './cluster-view.ts';
import { changeDevice, deviceSocket, readDevice } from './device-client.ts';
import { Host } from './host.ts';
import type { KeyPair } from './keys.ts';
import { programKiloNat } from './kilo-nat.ts';
import { LabError } from './lab-error.ts';
import { laptopConfig } from './laptop.ts';
import { INTERFACE, type LabPlan, MTU, type NodePlan, nodesOf } from './plan.ts';
import { UPLINK } from './underlay.ts';

const DISCOVERY_PATIENCE_MS = 15_000;
const SETTLE_PATIENCE_MS = 12_000;
const LOOK_INTERVAL_MS = 50;
const FIRST_CONTACT = { count: 1, intervalMs: 0, patienceMs: 6000 } as const;
const LINKS = { wireguard: INTERFACE, private: UPLINK, tunnel: 'tunl0' };

export interface MeshContext {
  readonly plan: LabPlan;
  readonly runDirectory: string;
  readonly keys: ReadonlyMap<string, KeyPair>;
  readonly publicKeys: PublicKeys;
  readonly signal: AbortSignal | undefined;
}

const now = (): number => Math.floor(Date.now() / 1000);

const socketOf = (context: MeshContext, name: string): string => deviceSocket(context.runDirectory, name);

const privateKeyOf = (context: MeshContext, name: string): Uint8Array => {
  const pair = context.keys.get(name);
  if (pair === undefined) throw new LabError('ERR_LAB_MESH', `There is no key for ${name}.`);
  return pair.privateKey;
};

/** The mesh from every node's point of view, by node name. */
const topologies = (context: MeshContext, discoveries: Discoveries): ReadonlyMap<string, Topology> => {
  const view = viewCluster(context.plan, context.publicKeys, discoveries, now());
  return new Map(nodesOf(context.plan).map(({ name }) => [name, topologyOf(context.plan, view, name)]));
};

const routeRequest = (host: Host, { destination, via, device, source, onlink, table }: Route) =>
  replaceRoute({
    destination: formatCidr(destination),
    link: host.index(device),
    onlink,
    table,
    protocol: 4,
    ...(via === undefined ? {} : { gateway: formatAddress(via) }),
    ...(source === undefined ? {} : { source: formatAddress(source) }),
  });

/** Routes of what lies in one subnet need no wrapping, and every cloud of the lab is one subnet. */
const program = (host: Host, topology: Topology): void => {
  const { routes } = desiredRoutes(topology, { links: LINKS, encapsulation: 'crosssubnet' });
  host.routes.batch(routes.map((route) => routeRequest(host, route)));
  programKiloNat(host, topology);
};

const bringUp = (host: Host, address: string): void => {
  const link = host.index(INTERFACE);
  host.routes.batch([changeLink(link, { mtu: MTU, up: true }), newAddress({ link, address })]);
};

const joinNode = async (context: MeshContext, node: NodePlan, topology: Topology): Promise<void> => {
  const privateKey = privateKeyOf(context, node.name);
  // A node that does not lead has no tunnels; its device only knows its key, and its link stays down.
  const config: DeviceConfig = wireguardConfig(topology, privateKey) ?? { privateKey, peers: [] };
  using host = new Host(node.netns);
  // Routes over kilo0 need it up, and the first keepalive goes out when the configuration arrives.
  if (topology.wireguardCIDR !== null) bringUp(host, formatCidr(topology.wireguardCIDR));
  program(host, topology);
  await changeDevice(socketOf(context, node.name), replaceWith(config));
};

const joinLaptop = async (context: MeshContext, topology: Topology): Promise<void> => {
  const { laptop } = context.plan;
  const config = laptopConfig(context.plan, topology, privateKeyOf(context, laptop.name));
  using host = new Host(laptop.netns);
  bringUp(host, `${laptop.ip}/32`);
  const link = host.index(INTERFACE);
  host.routes.batch(
    config.peers
      .flatMap(({ allowedIps }) => allowedIps)
      .map((range) => replaceRoute({ destination: formatCidr(range), link, source: laptop.ip })),
  );
  await changeDevice(socketOf(context, laptop.name), replaceWith(config));
};

const hasHandshake = (peer: DeviceStatus['peers'][number]): boolean => peer.lastHandshake.seconds > 0;

/** What the agent of a node would publish: where it hears the roaming ones from (kilo.md §4.6). */
const discoveredBy = (device: DeviceStatus, roaming: ReadonlySet<string>): Map<string, MeshEndpoint> => {
  const found = new Map<string, MeshEndpoint>();
  for (const peer of device.peers) {
    const key = keyText(peer.publicKey);
    if (peer.endpoint !== undefined && hasHandshake(peer) && roaming.has(key)) found.set(key, peer.endpoint);
  }
  return found;
};

interface Roamer {
  readonly name: string;
  readonly key: string;
}

/** Waits until each of them has been heard by some node, then answers what every node has heard. */
const discover = async (context: MeshContext, roamers: readonly Roamer[]): Promise<Discoveries> => {
  const keys = new Set(roamers.map(({ key }) => key));
  const deadline = performance.now() + DISCOVERY_PATIENCE_MS;
  for (;;) {
    context.signal?.throwIfAborted();
    const devices = await Promise.all(
      nodesOf(context.plan).map(
        async ({ name }) => [name, await readDevice(socketOf(context, name))] as const,
      ),
    );
    const found = new Map(devices.map(([name, device]) => [name, discoveredBy(device, keys)]));
    const missing = roamers.filter(({ key }) => ![...found.values()].some((heard) => heard.has(key)));
    if (missing.length === 0) return found;
    if (performance.now() > deadline)
      throw new LabError(
        'ERR_LAB_MESH',
        `No node has heard from ${missing.map(({ name }) => name).join(', ')} through its NAT.`,
      );
    await sleep(LOOK_INTERVAL_MS);
  }
};

const changed = (a: Endpoint | undefined, b: Endpoint | undefined): boolean =>
  b !== undefined && (a === undefined || !sameEndpoint(a, b));

/**
 * The change from what a device has to what it shall have. Only endpoints differ after a discovery; a peer that has no
 * session yet is made anew, since a device dials a new peer at once and an old one only at its next retry.
 */
export function endpointChange(have: DeviceStatus, want: DeviceConfig): DeviceChange {
  const peers: PeerChange[] = [];
  for (const peer of want.peers) {
    const existing = have.peers.find((each) => keyText(each.publicKey) === keyText(peer.publicKey));
    if (!changed(existing?.endpoint, peer.endpoint)) continue;
    if (existing !== undefined && hasHandshake(existing)) {
      const { publicKey, endpoint } = peer;
      peers.push({ publicKey, updateOnly: true, ...(endpoint === undefined ? {} : { endpoint }) });
    } else {
      if (existing !== undefined) peers.push({ publicKey: peer.publicKey, remove: true });
      peers.push({ ...peer, replaceAllowedIps: true });
    }
  }
  return { peers };
}

const updateNode = async (context: MeshContext, node: NodePlan, topology: Topology): Promise<void> => {
  const config = wireguardConfig(topology);
  if (config === null) return;
  const socket = socketOf(context, node.name);
  const change = endpointChange(await readDevice(socket), config);
  if (change.peers.length > 0) await changeDevice(socket, change);
  using host = new Host(node.netns);
  program(host, topology);
};

/** Those that others can only find by having heard from them. */
const roamersOf = (context: MeshContext, topology: Topology): readonly Roamer[] => {
  const leaders = topology.segments
    .map(({ leader }) => leader)
    .filter((leader) => leader.persistentKeepalive > 0);
  if (leaders.length === 0) return [];
  const laptop = { name: context.plan.laptop.name, key: context.publicKeys[context.plan.laptop.name] ?? '' };
  return [...leaders.map(({ name, key }) => ({ name, key })), laptop];
};

/** Waits until those that keep a tunnel open have it with everybody they can reach; a tunnel that is missing is the checks' matter. */
const settle = async (context: MeshContext, roamers: readonly Roamer[]): Promise<void> => {
  const deadline = performance.now() + SETTLE_PATIENCE_MS;
  while (performance.now() < deadline) {
    context.signal?.throwIfAborted();
    const devices = await Promise.all(roamers.map(({ name }) => readDevice(socketOf(context, name))));
    if (devices.every(({ peers }) => peers.every(hasHandshake))) return;
    await sleep(LOOK_INTERVAL_MS);
  }
};

/**
 * One packet over each tunnel, from one side only: tunnels are made when first used, and when both sides begin at the same
 * moment a handshake may be lost and take its retry time. Who does not answer is the checks' matter.
 */
const firstContact = async (context: MeshContext, { segments }: Topology): Promise<void> => {
  const leaders = segments.flatMap(({ leader, wireguardIP }) => {
    const node = nodesOf(context.plan).find(({ name }) => name === leader.name);
    return node === undefined ? [] : [{ ...node, ip: formatAddress(wireguardIP) }];
  });
  const pairs = leaders.flatMap((from, index) =>
    leaders
      .slice(index + 1)
      .map((to): PingPair => ({ from: from.name, netns: from.netns, to: to.name, ip: to.ip })),
  );
  await pingAll(pairs, { ...FIRST_CONTACT, signal: context.signal });
};

const firstOf = (all: ReadonlyMap<string, Topology>): Topology => {
  const [first] = all.values();
  if (first === undefined) throw new LabError('ERR_LAB_MESH', 'The plan has no node.');
  return first;
};

/** The addresses of the leaders, by node name. */
const wireguardIPsOf = ({ segments }: Topology): Record<string, string> =>
  Object.fromEntries(segments.map(({ leader, wireguardIP }) => [leader.name, formatAddress(wireguardIP)]));

export interface Mesh {
  readonly topology: Topology;
  readonly wireguardIPs: Readonly<Record<string, string>>;
}

/** Joins all nodes and the laptop; the devices must be running. */
export async function joinMesh(context: MeshContext, note: (text: string) => void): Promise<Mesh> {
  // Those that can be called come before those that call: who finds nobody at home tries again only after five seconds.
  const nodes = nodesOf(context.plan).toSorted((a, b) => a.keepalive - b.keepalive);
  const first = topologies(context, new Map());
  for (const node of nodes) {
    context.signal?.throwIfAborted();
    const topology = first.get(node.name);
    if (topology !== undefined) await joinNode(context, node, topology);
  }
  await joinLaptop(context, firstOf(first));
  const roamers = roamersOf(context, firstOf(first));
  if (roamers.length === 0) {
    note('first contact');
    await firstContact(context, firstOf(first));
    return { topology: firstOf(first), wireguardIPs: wireguardIPsOf(firstOf(first)) };
  }

  note('waiting for the nodes behind NAT to be heard');
  const second = topologies(context, await discover(context, roamers));
  note('tunnels between nodes behind NAT');
  for (const node of nodes) {
    context.signal?.throwIfAborted();
    const topology = second.get(node.name);
    if (topology !== undefined) await updateNode(context, node, topology);
  }
  await settle(context, roamers);
  note('first contact');
  await firstContact(context, firstOf(second));
  return { topology: firstOf(second), wireguardIPs: wireguardIPsOf(firstOf(second)) };
}
