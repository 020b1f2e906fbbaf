/**
 * Bounds of Peers as packet filter rules: what one of them may send to, and nothing else.
 *
 *     filter INPUT, FORWARD   -i kilo0 -s PEER → KILO-ALLOW
 *     filter KILO-ALLOW       --ctdir REPLY → RETURN                    what the cluster asked the Peer for
 *                             -s PEER --ctorigdst RANGE → RETURN        as often as it has ranges
 *                             -s PEER → DROP
 *
 * A packet counts by where its sender meant it to go: for a Service kube-proxy has put a pod's address there before any
 * filter sees it, and only the connection remembers. That a packet with a Peer's address came in through the tunnel is
 * WireGuard's word (cryptokey routing), so the leader that has the tunnel judges, and nobody behind it has to.
 * Source: iptables-extensions(8), conntrack; WireGuard paper §2.
 * @module
 */

import { type Cidr, isIpv6, network } from '../noise/ip.ts';
import { overlaps } from './ip-prefix.ts';
import type { Filter, FilterRule } from './nat.ts';
import type { MeshPeer, Topology } from './topology.ts';

type Bounded = MeshPeer & { readonly allow: readonly Cidr[] };

const isBounded = (peer: MeshPeer): peer is Bounded => peer.allow !== undefined;

/** The mesh as a host may have it that cannot filter: Peers without a bound only. */
export const withoutBounded = (topology: Topology): Topology => ({
  ...topology,
  peers: topology.peers.filter((peer) => !isBounded(peer)),
});

export const hasBounds = ({ isLeader, peers }: Topology): boolean => isLeader && peers.some(isBounded);

export const boundRules = (topology: Topology, wireguard: string): Filter => {
  if (!hasBounds(topology)) return { append: [], prepend: [] };
  const { peers, claims } = topology;
  const sources = peers.flatMap((peer) => claims.networksOf(peer).map((source) => ({ peer, source })));
  const bounded = sources.filter(({ peer }) => isBounded(peer));
  const prepend = bounded.flatMap(({ source }) =>
    (['INPUT', 'FORWARD'] as const).map(
      (chain): FilterRule => ({
        kind: 'rule',
        family: familyOf(source),
        table: 'filter',
        chain,
        source: network(source),
        inInterface: wireguard,
        comment: 'Kilo: jump to ALLOW chain',
        verdict: 'KILO-ALLOW',
      }),
    ),
  );
  const rules = sources
    // One without a bound inside the network of one that has: it must not be taken for the other.
    .filter(({ peer, source }) => isBounded(peer) || bounded.some((other) => overlaps(other.source, source)))
    // The longest prefix is who sent it.
    .toSorted((a, b) => b.source.prefix - a.source.prefix)
    .flatMap(({ peer, source }) => rulesOf(peer, network(source)));
  const families = new Set(bounded.map(({ source }) => familyOf(source)));
  const frame = [...families].flatMap((family) => [
    { kind: 'chain', family, table: 'filter', chain: 'KILO-ALLOW' } as const,
    {
      kind: 'rule',
      family,
      table: 'filter',
      chain: 'KILO-ALLOW',
      direction: 'REPLY',
      comment: 'Kilo: answers of peers',
      verdict: 'RETURN',
    } as const,
  ]);
  return { append: [...frame, ...rules], prepend };
};

const rulesOf = (peer: MeshPeer, source: Cidr): FilterRule[] => {
  const base = {
    kind: 'rule',
    family: familyOf(source),
    table: 'filter',
    chain: 'KILO-ALLOW',
    source,
  } as const;
  if (!isBounded(peer)) return [{ ...base, comment: 'Kilo: peer without a bound', verdict: 'RETURN' }];
  return [
    ...peer.allow
      .filter((range) => familyOf(range) === base.family)
      .map(
        (range): FilterRule => ({
          ...base,
          originalDestination: network(range),
          comment: 'Kilo: allow to peer',
          verdict: 'RETURN',
        }),
      ),
    { ...base, comment: 'Kilo: nothing else', verdict: 'DROP' },
  ];
};

const familyOf = ({ address }: Cidr): 4 | 6 => (isIpv6(address) ? 6 : 4);
