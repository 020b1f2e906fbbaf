/**
 * The cluster at one moment, as an administrator reads it: Nodes and Peers, each with what is wrong in it.
 * Source: `kgctl` (what it lists, and whom it leaves out); Kilo's annotations and Peer resource.
 * @module
 */
import { nodeRecord } from '../agent/annotations.ts';
import type { KubernetesClient } from '../agent/kubernetes/client.ts';
import { isKubernetesError } from '../agent/kubernetes/kubernetes-error.ts';
import { NODES, type NodeResource, PEERS, type PeerResource } from '../agent/kubernetes/resources.ts';
import { type LeaseTimes, readLeases } from '../agent/leases.ts';
import { peerOf, whyPeerInvalid } from '../agent/peer-resource.ts';
import { type PeerTerms, peerTerms } from '../agent/peer-terms.ts';
import type { Node } from '../routing/node.ts';
import type { Peer } from '../routing/peer.ts';
import { compareText } from '../routing/text-order.ts';

export interface NodeEntry {
  readonly resource: NodeResource;
  readonly node: Node;
  /** Annotations that could not be read, as sentences. */
  readonly faults: readonly string[];
}

export interface PeerEntry {
  readonly resource: PeerResource;
  readonly peer: Peer;
  /** The rule it breaks; null when it takes part. */
  readonly invalid: string | null;
  /** One that is disabled or has expired takes no part either. */
  readonly terms: PeerTerms;
}

export interface ClusterSnapshot {
  /** By name. */
  readonly nodes: readonly NodeEntry[];
  /** By name. */
  readonly peers: readonly PeerEntry[];
  /** False where the Peer resource was never defined. */
  readonly definesPeers: boolean;
  /** Unix seconds by the API's clock: an administrator's own may be wrong. */
  readonly now: number;
  /** Heart-beats that are Leases; they are in the nodes already. */
  readonly leases?: LeaseTimes;
}

export interface SnapshotParts {
  readonly nodes: readonly NodeResource[];
  /** Null: there is no such kind. */
  readonly peers: readonly PeerResource[] | null;
  readonly now: number;
  readonly topologyLabel: string;
  /** Heart-beats that are Leases; default none. */
  readonly leases?: LeaseTimes;
}

const NO_LEASES: LeaseTimes = new Map();

export const snapshotOf = ({
  nodes,
  peers,
  now,
  topologyLabel,
  leases = NO_LEASES,
}: SnapshotParts): ClusterSnapshot => ({
  nodes: nodes.toSorted(byResourceName).map((resource) => {
    const { node, faults } = nodeRecord(resource, topologyLabel);
    const lastSeen = Math.max(node.lastSeen, leases.get(node.name) ?? 0);
    return { resource, node: { ...node, lastSeen }, faults };
  }),
  peers: (peers ?? []).toSorted(byResourceName).map((resource) => ({
    resource,
    peer: peerOf(resource),
    invalid: whyPeerInvalid(resource),
    terms: peerTerms(resource),
  })),
  definesPeers: peers !== null,
  now,
  leases,
});

const byResourceName = (
  a: { readonly metadata: { readonly name: string } },
  b: { readonly metadata: { readonly name: string } },
): number => compareText(a.metadata.name, b.metadata.name);

/** @throws KubernetesError when the API cannot be reached, or refuses. */
export const readCluster = async (
  client: KubernetesClient,
  topologyLabel: string,
  signal?: AbortSignal,
): Promise<ClusterSnapshot> => {
  const [nodes, peers] = await Promise.all([
    client.list(NODES, {}, signal).then(({ items }) => items),
    client
      .list(PEERS, {}, signal)
      .then(({ items }) => items)
      .catch((error: unknown) => {
        if (isKubernetesError(error, 'ERR_KUBERNETES_NOT_FOUND')) return null;
        throw error;
      }),
  ]);
  const now = client.serverTime ?? Math.floor(Date.now() / 1000);
  const leases = await readLeases(client, nodes, signal);
  return snapshotOf({ nodes, peers, now, topologyLabel, leases });
};
