/**
 * The mesh as plain JSON, for programs: who is grouped with whom, who leads, who has a tunnel with whom.
 * Keys are public ones; preshared keys never go in.
 * @module
 */

import { formatAddress, formatCidr } from '../noise/ip.ts';
import { formatMeshEndpoint } from './node.ts';
import { relayBetween } from './relays.ts';
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
  /** Pairs of leaders without a tunnel of their own, and who passes on what they send each other. */
  readonly relayed: readonly {
    readonly between: readonly [string, string];
    readonly relay: string;
    /** Unix seconds. */
    readonly since: number;
  }[];
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
  relayed: relayedPairs(topology),
  problems: topology.problems.map(({ code, subject, message }) => ({ code, subject: subject.name, message })),
});

export const relayedPairs = ({ apart }: Pick<Topology, 'apart'>): MeshJson['relayed'] =>
  apart.flatMap(({ ends: [a, b], relay, since }) =>
    relay === null ? [] : [{ between: [a.leader.name, b.leader.name], relay: relay.leader.name, since }],
  );

/** Pairs of segments that have a tunnel with each other. */
export const tunnelPairs = ({
  segments,
  apart,
}: Pick<Topology, 'segments' | 'apart'>): (readonly [Segment, Segment])[] => {
  const between = relayBetween(apart);
  return segments.flatMap((a, index) =>
    segments.slice(index + 1).flatMap((b) => (areCoLocated(a, b) || between(a, b) ? [] : [[a, b] as const])),
  );
};

const tunnelsOf = (topology: Topology): (readonly [string, string])[] => [
  ...tunnelPairs(topology).map(([a, b]) => [a.leader.name, b.leader.name] as const),
  ...topology.segments.flatMap(({ leader }) =>
    topology.peers.map(({ name }) => [leader.name, name] as const),
  ),
];
