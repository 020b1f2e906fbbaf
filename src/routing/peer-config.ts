/**
 * Configurations to print: a node's own, what an outside Peer shall load, and a member seen as a Peer.
 * Source: `kgctl showconf` (keys, their order and blank lines observed), wg(8) "CONFIGURATION FILE FORMAT".
 * These keep Kilo's texts: host bits and overlaps are shown as they were declared.
 * @module
 */

import { type Cidr, formatCidr } from '../noise/ip.ts';
import { formatMeshEndpoint, type MeshEndpoint } from './node.ts';
import type { Peer } from './peer.ts';
import { RoutingError } from './routing-error.ts';
import type { MeshPeer, Segment, Topology } from './topology.ts';
import { keepaliveWith, tunnelledSegments } from './wireguard-config.ts';

/** One `[Peer]` section. Keys are base64. */
export interface PrintedPeer {
  readonly allowedIPs: readonly Cidr[];
  readonly endpoint?: MeshEndpoint;
  /** Seconds. */
  readonly persistentKeepalive: number;
  readonly presharedKey?: string;
  readonly publicKey: string;
}

/** What the viewer's own device has; null when it does not lead and so has none. */
export const showNode = (topology: Topology, listenPort = topology.self.endpoint.port): string | null => {
  const peers = peersOfNode(topology);
  if (peers === null) return null;
  return [`[Interface]\nListenPort = ${listenPort}\n`, ...peers.map(formatPrintedPeer)].join('\n');
};

/** The sections of `showNode` as values, segments in order first. */
export const peersOfNode = (topology: Topology): PrintedPeer[] | null => {
  if (!topology.isLeader) return null;
  const { relays, self } = topology;
  const { persistentKeepalive } = self;
  return [
    ...tunnelledSegments(topology).map((segment) => {
      const passedOn = [...relays].flatMap(([other, relay]) => (relay === segment ? [other] : []));
      const allowedIPs = [...(relays.has(segment) ? [] : [segment]), ...passedOn].flatMap(declaredBy);
      return { ...ofSegment(segment, keepaliveWith(topology, segment)), allowedIPs };
    }),
    ...topology.peers.map((peer) => ofPeer(peer, persistentKeepalive, peer.presharedKey)),
  ];
};

/** What an outside Peer shall load: every segment, then every other Peer. It brings its own `[Interface]`. */
export const showPeer = (topology: Topology, name: string): string =>
  peersOfPeer(topology, name).map(formatPrintedPeer).join('\n');

/** The sections of `showPeer` as values, segments in order first. */
export const peersOfPeer = (topology: Topology, name: string): PrintedPeer[] => {
  const self = findPeer(topology, name);
  return [
    ...topology.segments.map((segment) => ofSegment(segment, self.persistentKeepalive, self.presharedKey)),
    // A preshared key is between this Peer and the nodes; other Peers do not know it.
    ...topology.peers
      .filter((other) => other !== self)
      .map((other) => ofPeer(other, self.persistentKeepalive)),
  ];
};

/** The viewer's segment as another cluster would declare it; never with ranges it only relays for others. */
export const nodeAsPeer = (topology: Topology, extra: readonly Cidr[] = []): PrintedPeer => ({
  allowedIPs: union(topology.segment.allowedIPs, extra),
  endpoint: topology.segment.leader.endpoint,
  persistentKeepalive: 0,
  publicKey: topology.segment.leader.key,
});

/** A Peer as another cluster would declare it. */
export const peerAsPeer = (topology: Topology, name: string, extra: readonly Cidr[] = []): PrintedPeer => {
  const peer = findPeer(topology, name);
  return {
    allowedIPs: union(peer.allowedIPs, extra),
    ...(peer.endpoint === undefined ? {} : { endpoint: peer.endpoint }),
    persistentKeepalive: peer.persistentKeepalive,
    ...(peer.presharedKey === undefined ? {} : { presharedKey: peer.presharedKey }),
    publicKey: peer.key,
  };
};

/** Keys in Kilo's order; the keepalive is always printed. */
export const formatPrintedPeer = (peer: PrintedPeer): string => {
  const lines = ['[Peer]'];
  if (peer.allowedIPs.length > 0) lines.push(`AllowedIPs = ${peer.allowedIPs.map(formatCidr).join(', ')}`);
  if (peer.endpoint !== undefined) lines.push(`Endpoint = ${formatMeshEndpoint(peer.endpoint)}`);
  lines.push(`PersistentKeepalive = ${peer.persistentKeepalive}`);
  if (peer.presharedKey !== undefined) lines.push(`PresharedKey = ${peer.presharedKey}`);
  lines.push(`PublicKey = ${peer.publicKey}`, '');
  return lines.join('\n');
};

const declaredBy = ({ allowedIPs, allowedLocationIPs }: Segment): readonly Cidr[] => [
  ...allowedIPs,
  ...allowedLocationIPs,
];

const ofSegment = (segment: Segment, persistentKeepalive: number, presharedKey?: string): PrintedPeer => ({
  allowedIPs: declaredBy(segment),
  endpoint: segment.endpointInForce,
  persistentKeepalive,
  ...(presharedKey === undefined ? {} : { presharedKey }),
  publicKey: segment.leader.key,
});

const ofPeer = (peer: MeshPeer, persistentKeepalive: number, presharedKey?: string): PrintedPeer => ({
  allowedIPs: peer.allowedIPs,
  ...(peer.endpointInForce === undefined ? {} : { endpoint: peer.endpointInForce }),
  persistentKeepalive,
  ...(presharedKey === undefined ? {} : { presharedKey }),
  publicKey: peer.key,
});

const union = (own: readonly Cidr[], extra: readonly Cidr[]): Cidr[] => [
  ...new Map([...own, ...extra].map((cidr) => [formatCidr(cidr), cidr])).values(),
];

const findPeer = (topology: Topology, name: string): Peer => {
  const peer = topology.peers.find((candidate) => candidate.name === name);
  if (peer !== undefined) return peer;
  throw new RoutingError('ERR_UNKNOWN_PEER', `did not find any peer named "${name}" in the cluster`);
};
