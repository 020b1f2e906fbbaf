/**
 * What a host outside the cluster needs to be in the mesh as one of its Peers: a tunnel with each segment and each other
 * Peer, and routes into them.
 * Source: `kgctl connect` (routes via the segment's mesh address, on-link; other Peers without gateway). A range that
 * would swallow the host's own addresses, its way out or a tunnel's own datagrams is left out, and told.
 * @module
 */

import type { PeerConfig } from '../noise/device-config.ts';
import { type Address, type Cidr, contains, formatCidr, sameAddress } from '../noise/ip.ts';
import { isKey, keyBytes } from './key-text.ts';
import type { MeshEndpoint } from './node.ts';
import { MAIN_TABLE, type Route } from './routes.ts';
import { RoutingError } from './routing-error.ts';
import type { MeshPeer, Segment, Topology } from './topology.ts';

export interface OutsideOptions {
  /** The WireGuard link. */
  readonly device: string;
  /** The host's own addresses and gateways: no route may take them. */
  readonly own: readonly Address[];
}

export interface OutsidePlan {
  readonly peers: readonly PeerConfig[];
  readonly routes: readonly Route[];
  /** Ranges that are not routed, with why, as sentences. */
  readonly leftOut: readonly string[];
}

export const outsidePlan = (topology: Topology, name: string, options: OutsideOptions): OutsidePlan => {
  const self = topology.peers.find((peer) => peer.name === name);
  if (self === undefined)
    throw new RoutingError('ERR_UNKNOWN_PEER', `did not find any peer named "${name}" in the cluster`);
  const { claims } = topology;
  const claimants = [...topology.segments, ...topology.peers.filter((peer) => peer !== self)].filter((each) =>
    claims.ownsKey(each),
  );
  const endpoints = claimants.flatMap(({ endpointInForce }) => endpointInForce?.address ?? []);
  const leftOut: string[] = [];
  const routes: Route[] = [];
  for (const claimant of claimants) {
    for (const destination of claims.networksOf(claimant)) {
      const isHost = destination.prefix === destination.address.length * 8;
      // The way to a tunnel's end is not through the tunnel.
      if (isHost && endpoints.some((address) => sameAddress(address, destination.address))) continue;
      const why = whyLeftOut(destination, endpoints, options.own);
      if (why === null) routes.push(routeTo(claimant, destination, options.device));
      else leftOut.push(`${formatCidr(destination)} is not routed into the mesh: ${why}.`);
    }
  }
  const peers = claimants.map((claimant) => peerConfig(claimant, self, claims.networksOf(claimant)));
  return { peers, routes, leftOut };
};

const whyLeftOut = (range: Cidr, endpoints: readonly Address[], own: readonly Address[]): string | null => {
  if (range.prefix === 0) return 'it would be the way to everything';
  if (own.some((address) => contains(range, address))) return "this host's own network lies in it";
  return endpoints.some((address) => contains(range, address)) ? 'the end of a tunnel lies in it' : null;
};

const routeTo = (claimant: Segment | MeshPeer, destination: Cidr, device: string): Route => {
  const base = { destination, device, table: MAIN_TABLE };
  if (!('wireguardIP' in claimant) || sameAddress(destination.address, claimant.wireguardIP))
    return { ...base, onlink: false };
  const via = claimant.wireguardIP;
  // A gateway of the other family is none.
  return via.length === destination.address.length
    ? { ...base, via, onlink: true }
    : { ...base, onlink: false };
};

/** A preshared key is between this Peer and the nodes. */
const peerConfig = (
  claimant: Segment | MeshPeer,
  self: MeshPeer,
  allowedIps: readonly Cidr[],
): PeerConfig => {
  const isSegment = 'leader' in claimant;
  const { presharedKey } = self;
  const endpoint = dialable(claimant.endpointInForce);
  return {
    publicKey: keyBytes(isSegment ? claimant.leader.key : claimant.key),
    ...(isSegment && presharedKey !== undefined && isKey(presharedKey)
      ? { presharedKey: keyBytes(presharedKey) }
      : {}),
    ...(endpoint === null ? {} : { endpoint }),
    persistentKeepalive: self.persistentKeepalive,
    allowedIps,
  };
};

const dialable = (endpoint: MeshEndpoint | undefined) =>
  endpoint?.address === undefined ? null : { address: endpoint.address, port: endpoint.port };
