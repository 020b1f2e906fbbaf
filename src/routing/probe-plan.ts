/**
 * Whom a node watches, and through whom: the leaders of other locations and what lies behind them, or, for those that would
 * take over, the leader of the own location and what lies beyond it. Only where there is somebody to take over; in a full mesh
 * nobody watches anybody.
 *
 * Everybody computes the same plan from the same topology, so it is known who would have said something.
 * @module
 */

import { formatAddress } from '../noise/ip.ts';
import { byRank, standBysOf } from './leader.ts';
import { privateAddressOf, type ReadyNode } from './node.ts';
import { relayBetween } from './relays.ts';
import type { Segment, Topology } from './topology.ts';
import { tunnelledSegments } from './wireguard-config.ts';

/** Leaders of so many other segments watch each: their number does not grow with the cluster. */
const OBSERVERS = 5;
/** What lies behind a leader, or beyond, in as many places. */
const BEYOND = 3;

/** What a leader sees of another segment. */
export interface OutsideWatch {
  readonly segment: string;
  readonly leader: string;
  /** The segment's mesh address: whoever leads answers. */
  readonly direct: string;
  /** Private addresses of its other members: an answer has been passed on twice. */
  readonly through: readonly string[];
}

/** What a member sees of its own leader; those that would take over look beyond it too. */
export interface InsideWatch {
  readonly segment: string;
  readonly leader: string;
  readonly near: string;
  /** Mesh addresses of other segments, reached through the leader. */
  readonly beyond: readonly string[];
  /** Whether it is one of those. */
  readonly isStandBy: boolean;
  /** Those who would rather take over, in order. */
  readonly ahead: readonly { readonly name: string; readonly address: string }[];
  /** Whose word counts: leaders of other segments. */
  readonly observers: readonly string[];
}

export interface ProbePlan {
  readonly outside: readonly OutsideWatch[];
  readonly inside: InsideWatch | null;
}

const NOTHING: ProbePlan = { outside: [], inside: null };

export const probePlan = (topology: Topology): ProbePlan => {
  if (!topology.claimsCount) return NOTHING;
  const { segment: own, isLeader } = topology;
  if (!isLeader) return { outside: [], inside: insideWatch(topology) };
  const outside = tunnelledSegments(topology)
    .filter((segment) => standBysOf(segment).length > 0)
    .filter((segment) => observersOf(topology, segment).includes(own))
    .flatMap((segment) => outsideWatch(segment));
  return { outside, inside: null };
};

/** The segments that come next in order, round the corner; who is reached through a third would blame the second for it. */
const observersOf = (topology: Topology, segment: Segment, count = OBSERVERS): readonly Segment[] => {
  const { segments, apart } = topology;
  const between = relayBetween(apart);
  const at = segments.indexOf(segment);
  return [...segments.slice(at + 1), ...segments.slice(0, at)]
    .filter((other) => between(segment, other) === undefined)
    .slice(0, count);
};

/** Echo requests of IPv4 are all we send. */
export const probedAddressOf = (node: ReadyNode): string | undefined => {
  const address = privateAddressOf(node);
  return address?.length === 4 ? formatAddress(address) : undefined;
};

const outsideWatch = (segment: Segment): OutsideWatch[] => {
  if (segment.wireguardIP.length !== 4) return [];
  const through = byRank(segment.members)
    .filter((member) => member !== segment.leader)
    .flatMap((member) => probedAddressOf(member) ?? []);
  return [
    {
      segment: segment.location,
      leader: segment.leader.name,
      direct: formatAddress(segment.wireguardIP),
      through: through.slice(0, BEYOND),
    },
  ];
};

const insideWatch = (topology: Topology): InsideWatch | null => {
  const { self, segment } = topology;
  const standBys = standBysOf(segment);
  const at = standBys.indexOf(self);
  const near = probedAddressOf(segment.leader);
  const observers = observersOf(topology, segment);
  if (near === undefined || observers.length === 0) return null;
  const isStandBy = at >= 0;
  return {
    segment: segment.location,
    leader: segment.leader.name,
    near,
    isStandBy,
    beyond: (isStandBy ? observers : [])
      .filter(({ wireguardIP }) => wireguardIP.length === 4)
      .map(({ wireguardIP }) => formatAddress(wireguardIP))
      .slice(0, BEYOND),
    ahead: (isStandBy ? standBys.slice(0, at) : standBys).flatMap((member) => {
      const address = probedAddressOf(member);
      return address === undefined ? [] : [{ name: member.name, address }];
    }),
    observers: observers.map(({ leader }) => leader.name),
  };
};
