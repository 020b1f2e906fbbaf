/**
 * The mesh as plain JSON, for programs: who is grouped with whom, who leads, who has a tunnel with whom.
 * Keys are public ones; preshared keys never go in.
 * @module
 */

import { formatAddress, formatCidr } from '../noise/ip.ts';
import { formatMeshEndpoint } from './node.ts';
import { areCoLocated, type Segment, type Topology } from './topology.ts';

export interface MeshJson {
  readonly subnet: string;
  readonly granularity: string;
  readonly segments: readonly {
    readonly location: string;
    readonly nodeLocation: string;
    readonly leader: string;
    readonly wireguardIP: string;
    readonly endpoint: string;
    readonly publicKey: string;
    readonly allowedIPs: readonly string[];
    readonly allowedLocationIPs: readonly string[];
    readonly members: readonly {
      readonly name: string;
      readonly location: string;
      readonly podCIDRs: readonly string[];
      readonly internalIP: string | null;
      readonly endpoint: string;
    }[];
  }[];
  readonly peers: readonly {
    readonly name: string;
    readonly allowedIPs: readonly string[];
    readonly endpoint: string | null;
    readonly persistentKeepalive: number;
    readonly publicKey: string;
  }[];
  /** Pairs of names: leaders with each other, then every leader with every Peer. */
  readonly tunnels: readonly (readonly [string, string])[];
  readonly problems: readonly { readonly code: string; readonly subject: string; readonly message: string }[];
}

export const meshJson = (topology: Topology): MeshJson => ({
  subnet: formatCidr(topology.subnet),
  granularity: topology.granularity,
  segments: topology.segments.map((segment) => ({
    location: segment.location,
    nodeLocation: segment.nodeLocation,
    leader: segment.leader.name,
    wireguardIP: formatAddress(segment.wireguardIP),
    endpoint: formatMeshEndpoint(segment.endpointInForce),
    publicKey: segment.leader.key,
    allowedIPs: segment.allowedIPs.map(formatCidr),
    allowedLocationIPs: segment.allowedLocationIPs.map(formatCidr),
    members: segment.members.map((member) => ({
      name: member.name,
      location: member.location,
      podCIDRs: member.podCIDRs.map(formatCidr),
      internalIP: member.internalIP === undefined ? null : formatCidr(member.internalIP),
      endpoint: formatMeshEndpoint(member.endpoint),
    })),
  })),
  peers: topology.peers.map((peer) => ({
    name: peer.name,
    allowedIPs: peer.allowedIPs.map(formatCidr),
    endpoint: peer.endpointInForce === undefined ? null : formatMeshEndpoint(peer.endpointInForce),
    persistentKeepalive: peer.persistentKeepalive,
    publicKey: peer.key,
  })),
  tunnels: tunnelsOf(topology),
  problems: topology.problems.map(({ code, subject, message }) => ({ code, subject: subject.name, message })),
});

/** Pairs of segments that have a tunnel with each other. */
export const tunnelPairs = (segments: readonly Segment[]): (readonly [Segment, Segment])[] =>
  segments.flatMap((a, index) =>
    segments.slice(index + 1).flatMap((b) => (areCoLocated(a, b) ? [] : [[a, b] as const])),
  );

const tunnelsOf = ({ segments, peers }: Topology): (readonly [string, string])[] => [
  ...tunnelPairs(segments).map(([a, b]) => [a.leader.name, b.leader.name] as const),
  ...segments.flatMap(({ leader }) => peers.map(({ name }) => [leader.name, name] as const)),
];
