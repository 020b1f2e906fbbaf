/**
 * The mesh behind a snapshot: which granularity and pool its agents use, and the topology from any node's point of view.
 * Source: `kgctl` (granularity and pool are read from annotations). Where kgctl asks one node by chance, most nodes decide
 * here; endpoints given by name are resolved as the agents do it, so that the same leaders are found.
 * @module
 */
import { HostNames } from '../agent/host-names.ts';
import { isInForce } from '../agent/peer-terms.ts';
import { type Cidr, cidr, formatCidr, network } from '../noise/ip.ts';
import { type Granularity, isReadyNode, type MeshEndpoint } from '../routing/node.ts';
import { compareText } from '../routing/text-order.ts';
import { buildTopology, type ClusterView, type Topology } from '../routing/topology.ts';
import { AdminError } from './admin-error.ts';
import type { ClusterSnapshot } from './cluster-snapshot.ts';

/** Kilo's default for --subnet. */
const DEFAULT_SUBNET = '10.4.0.0/16';

export type GranularityFlag = Granularity | 'auto';

export interface Mesh {
  readonly snapshot: ClusterSnapshot;
  readonly view: ClusterView;
  readonly granularity: Granularity;
  readonly subnet: Cidr;
  /** Names that did not resolve, with why. */
  readonly unresolved: ReadonlyMap<string, string>;
}

export interface MeshOptions {
  readonly granularity: GranularityFlag;
  /** Asked for endpoints that are given by name. */
  readonly names?: HostNames;
}

export const meshOf = async (snapshot: ClusterSnapshot, options: MeshOptions): Promise<Mesh> => {
  const granularity = options.granularity === 'auto' ? granularityOf(snapshot) : options.granularity;
  const subnet = subnetOf(snapshot);
  const { view, unresolved } = await resolvedView(snapshot, options.names ?? new HostNames(() => {}));
  return { snapshot, view, granularity, subnet, unresolved };
};

/** @throws RoutingError when the node cannot take part; without a name the first ready one looks. */
export const topologyFrom = ({ view, granularity, subnet }: Mesh, hostname?: string): Topology =>
  buildTopology(view, { granularity, subnet, ...(hostname === undefined ? {} : { hostname }) });

/**
 * With ranges behind the cluster as a whole, such as its services. The first node by name gets them, as with kgctl; the
 * overlap filter judges them like any location's.
 */
export const withRanges = (mesh: Mesh, ranges: readonly Cidr[]): Mesh => {
  if (ranges.length === 0) return mesh;
  const first = topologyFrom(mesh).self;
  const nodes = mesh.view.nodes.map((node) =>
    node.name === first.name
      ? { ...node, allowedLocationIPs: [...node.allowedLocationIPs, ...ranges] }
      : node,
  );
  return { ...mesh, view: { ...mesh.view, nodes } };
};

const granularityOf = ({ nodes, now }: ClusterSnapshot): Granularity => {
  if (nodes.length === 0) throw new AdminError('ERR_ADMIN_CLUSTER', 'could not get any nodes');
  const ready = nodes.filter(({ node }) => isReadyNode(node, now));
  const said = (ready.length > 0 ? ready : nodes).flatMap(({ node }) => node.granularity ?? []);
  const most = mostFrequent(said);
  if (most !== undefined) return most;
  throw new AdminError(
    'ERR_ADMIN_GRANULARITY',
    'failed to determine granularity: no Node has the annotation kilo.squat.ai/granularity; are agents running? Or say it with --mesh-granularity.',
  );
};

/** Every agent writes its own mesh address with the pool's prefix. */
const subnetOf = ({ nodes }: ClusterSnapshot): Cidr => {
  const said = nodes.flatMap(({ node }) =>
    node.wireguardIP === undefined ? [] : [formatCidr(network(node.wireguardIP))],
  );
  return cidr(mostFrequent(said) ?? DEFAULT_SUBNET);
};

const mostFrequent = <Text extends string>(texts: readonly Text[]): Text | undefined => {
  const counts = new Map<Text, number>();
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  return [...counts].toSorted(([a, m], [b, n]) => n - m || compareText(a, b))[0]?.[0];
};

const resolvedView = async (snapshot: ClusterSnapshot, names: HostNames) => {
  const nodes = snapshot.nodes.map(({ node }) => node);
  const peers = snapshot.peers.flatMap(({ peer, invalid, terms }) =>
    invalid === null && isInForce(terms, snapshot.now) ? [peer] : [],
  );
  const wanted = new Set([...nodes, ...peers].flatMap(({ endpoint }) => endpoint?.dns ?? []));
  await names.prepare(wanted);
  const withAddress = <Item extends { readonly endpoint?: MeshEndpoint }>(item: Item): Item =>
    item.endpoint?.dns === undefined ? item : { ...item, endpoint: names.withAddress(item.endpoint) };
  const unresolved = new Map<string, string>();
  for (const name of wanted) {
    const why = names.fault(name);
    if (why !== null) unresolved.set(name, why);
  }
  const view: ClusterView = {
    nodes: nodes.map(withAddress),
    peers: peers.map(withAddress),
    now: snapshot.now,
  };
  return { view, unresolved };
};
