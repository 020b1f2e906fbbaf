/**
 * Joins the laptop to the agents' mesh, and waits until every node is as the topology asks, which the lab computes for itself
 * from the plan and what the Nodes say: keys, and endpoints discovered through NAT.
 * Source: kilo.md §4.6 (discovered endpoints).
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { nodeRecord } from '../agent/annotations.ts';
import type { NodeResource } from '../agent/kubernetes/resources.ts';
import { newAddress } from '../linux/address.ts';
import { changeLink } from '../linux/link.ts';
import { replaceRoute } from '../linux/route.ts';
import { replaceWith } from '../noise/device-config.ts';
import { formatAddress, formatCidr } from '../noise/ip.ts';
import type { Node } from '../routing/node.ts';
import type { Topology } from '../routing/topology.ts';
import { type PingPair, pingAll } from './checks/ping.ts';
import type { ClusterReader } from './cluster-reader.ts';
import { type Discoveries, type PublicKeys, topologyOf, viewCluster } from './cluster-view.ts';
import { changeDevice, deviceSocket, readDevice } from './device-client.ts';
import { Host } from './host.ts';
import type { KeyPair } from './keys.ts';
import { hasIptables, programKiloNat } from './kilo-nat.ts';
import { LabError } from './lab-error.ts';
import { laptopConfig } from './laptop.ts';
import { hasHandshake, meshFaults } from './node-mesh.ts';
import { INTERFACE, type LabPlan, MTU, type NodePlan, nodesOf } from './plan.ts';

const MESH_PATIENCE_MS = 60_000;
const SETTLE_PATIENCE_MS = 12_000;
const LOOK_INTERVAL_MS = 50;
const FIRST_CONTACT = { count: 1, intervalMs: 0, patienceMs: 6000 } as const;

export interface MeshContext {
  readonly plan: LabPlan;
  readonly runDirectory: string;
  readonly reader: ClusterReader;
  readonly publicKeys: PublicKeys;
  readonly signal: AbortSignal | undefined;
}

/** The mesh from every node's point of view. */
interface Views {
  readonly objects: ReadonlyMap<string, NodeResource>;
  readonly discoveries: Discoveries;
  readonly topologies: ReadonlyMap<string, Topology>;
}

const now = (): number => Math.floor(Date.now() / 1000);

const sayingOf = ([name, { abilities, leaderClaim, unreached }]: readonly [string, Node]) =>
  [
    name,
    {
      ...(abilities && { abilities }),
      ...(leaderClaim && { leaderClaim }),
      ...(unreached && { unreached }),
    },
  ] as const;

const readViews = async ({ plan, reader, publicKeys }: MeshContext): Promise<Views> => {
  const objects = await reader.nodes();
  const records = [...objects].map(([name, object]) => [name, nodeRecord(object).node] as const);
  const discoveries = new Map(records.map(([name, node]) => [name, node.discoveredEndpoints]));
  const view = viewCluster(plan, publicKeys, discoveries, now(), new Map(records.map(sayingOf)));
  const topologies = new Map(nodesOf(plan).map(({ name }) => [name, topologyOf(plan, view, name)]));
  return { objects, discoveries, topologies };
};

const bringUp = (host: Host, address: string): void => {
  const link = host.index(INTERFACE);
  host.routes.batch([changeLink(link, { mtu: MTU, up: true }), newAddress({ link, address })]);
};

const joinLaptop = async (
  context: MeshContext,
  topology: Topology,
  { privateKey }: KeyPair,
): Promise<void> => {
  const { laptop } = context.plan;
  const config = laptopConfig(context.plan, topology, privateKey);
  using host = new Host(laptop.netns);
  bringUp(host, `${laptop.ip}/32`);
  const link = host.index(INTERFACE);
  host.routes.batch(
    config.peers
      .flatMap(({ allowedIps }) => allowedIps)
      .map((range) => replaceRoute({ destination: formatCidr(range), link, source: laptop.ip })),
  );
  await changeDevice(deviceSocket(context.runDirectory, laptop.name), replaceWith(config));
};

interface Roamer {
  readonly name: string;
  readonly key: string;
}

/** Those that others can only find by having heard from them, when there are such among the leaders. */
const roamersOf = (context: MeshContext, topology: Topology): readonly Roamer[] => {
  const leaders = topology.segments
    .map(({ leader }) => leader)
    .filter((leader) => leader.persistentKeepalive > 0);
  if (leaders.length === 0) return [];
  const laptop = { name: context.plan.laptop.name, key: context.publicKeys[context.plan.laptop.name] ?? '' };
  return [...leaders.map(({ name, key }) => ({ name, key })), laptop];
};

interface Fault {
  readonly node: string;
  readonly why: string;
}

const faultsOf = async (
  context: MeshContext,
  { objects, topologies }: Views,
  nodes: readonly NodePlan[],
): Promise<readonly Fault[]> => {
  const found = await Promise.all(
    nodes.map(async (node) => {
      const topology = topologies.get(node.name);
      if (topology === undefined) return [];
      const faults = await meshFaults(node, topology, objects.get(node.name), context.runDirectory);
      return faults.map((why) => ({ node: node.name, why }));
    }),
  );
  return found.flat();
};

/** Those of some nodes whose mesh is not as it should be after a while, each with why. */
export async function findMeshFaults(
  context: MeshContext,
  nodes: readonly NodePlan[],
  patienceMs: number,
): Promise<readonly Fault[]> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    context.signal?.throwIfAborted();
    const faults = await faultsOf(context, await readViews(context), nodes);
    if (faults.length === 0 || performance.now() > deadline) return faults;
    await sleep(LOOK_INTERVAL_MS);
  }
}

/** Waits until every node's mesh is as computed, and those behind NAT have been heard. */
const meshed = async (
  context: MeshContext,
  note: (text: string) => void,
  requireAgents: () => void,
): Promise<ReadonlyMap<string, Topology>> => {
  const nodes = nodesOf(context.plan);
  const deadline = performance.now() + MESH_PATIENCE_MS;
  for (;;) {
    context.signal?.throwIfAborted();
    const views = await readViews(context);
    const faults = await faultsOf(context, views, nodes);
    const heard = [...views.discoveries.values()];
    const unheard = roamersOf(context, firstOf(views.topologies)).filter(
      ({ key }) => !heard.some((endpoints) => endpoints.has(key)),
    );
    const [fault] = faults;
    if (fault === undefined && unheard.length === 0) return views.topologies;
    const done = nodes.length - new Set(faults.map(({ node }) => node)).size;
    const missing = unheard.map(({ name }) => name).join(', ');
    note(
      fault === undefined
        ? `waiting for ${missing} to be heard through NAT`
        : `${done} of ${nodes.length} nodes as computed`,
    );
    requireAgents();
    if (performance.now() > deadline)
      throw new LabError(
        'ERR_LAB_MESH',
        fault === undefined
          ? `No node has heard from ${missing} through its NAT.`
          : `The mesh of ${fault.node} is not as computed: ${fault.why}.`,
      );
    await sleep(LOOK_INTERVAL_MS);
  }
};

/** Waits until those that keep a tunnel open have it with everybody they can reach; a tunnel that is missing is the checks' matter. */
const settle = async (context: MeshContext, roamers: readonly Roamer[]): Promise<void> => {
  const deadline = performance.now() + SETTLE_PATIENCE_MS;
  while (performance.now() < deadline) {
    context.signal?.throwIfAborted();
    const devices = await Promise.all(
      roamers.map(({ name }) => readDevice(deviceSocket(context.runDirectory, name))),
    );
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

/** All agents must have published their keys. */
export async function joinMesh(
  context: MeshContext,
  laptopKeys: KeyPair,
  note: (text: string) => void,
  requireAgents: () => void,
): Promise<Mesh> {
  await joinLaptop(context, firstOf((await readViews(context)).topologies), laptopKeys);
  const topologies = await meshed(context, note, requireAgents);
  const topology = firstOf(topologies);
  if (!hasIptables())
    for (const node of nodesOf(context.plan)) {
      using host = new Host(node.netns);
      programKiloNat(host, topologies.get(node.name) ?? topology);
    }
  const roamers = roamersOf(context, topology);
  if (roamers.length > 0) {
    note('tunnels between nodes behind NAT');
    await settle(context, roamers);
  }
  note('first contact');
  await firstContact(context, topology);
  return { topology, wireguardIPs: wireguardIPsOf(topology) };
}
