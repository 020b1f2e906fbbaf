/**
 * Packet filter and address translation a host needs, as values: Kilo's chains, rules and comments.
 * Source: Kilo's iptables rules (texts are literal, "WireGuared" included: a migrated node must recognise what
 * Kilo left behind), iptables(8), iptables-extensions(8).
 * @module
 */

import { type Cidr, formatAddress, formatCidr, hostCidr, isIpv6, network } from '../noise/ip.ts';
import { networkKey } from './ip-prefix.ts';
import type { Encapsulation, Encapsulator } from './links.ts';
import { privateAddressOf } from './node.ts';
import { boundRules } from './peer-bounds.ts';
import { relayedSegments } from './relays.ts';
import type { Topology } from './topology.ts';

export type Family = 4 | 6;
export type Verdict = 'ACCEPT' | 'DROP' | 'RETURN' | 'MASQUERADE' | OwnChain;
export type OwnChain = 'KILO-NAT' | 'KILO-IPIP' | 'KILO-ALLOW';

/** A chain to make, or to empty when it is there. */
export interface FilterChain {
  readonly kind: 'chain';
  readonly family: Family;
  readonly table: 'filter' | 'nat';
  readonly chain: OwnChain;
}

export interface FilterRule {
  readonly kind: 'rule';
  readonly family: Family;
  readonly table: 'filter' | 'nat';
  readonly chain: OwnChain | 'INPUT' | 'FORWARD' | 'POSTROUTING';
  /** IPPROTO_IPIP (4), which the protocols database calls so. */
  readonly protocol?: 'ipencap';
  readonly source?: Cidr;
  readonly destination?: Cidr;
  readonly inInterface?: string;
  /** Where its connection was first sent to, before any translation. */
  readonly originalDestination?: Cidr;
  /** Packets that answer. */
  readonly direction?: 'REPLY';
  readonly comment: string;
  readonly verdict: Verdict;
}

export interface Filter {
  /** In order, at the end of their chains. */
  readonly append: readonly (FilterChain | FilterRule)[];
  /** Each at the head of its chain, one after the other: a listing shows them the other way round. */
  readonly prepend: readonly FilterRule[];
}

export interface FilterOptions {
  /** Destinations whose packets keep their source, such as 10.43.0.0/16. */
  readonly serviceCIDRs?: readonly Cidr[];
  /** Pods are ours to translate; false when another network plugin does it. Default true. */
  readonly cni?: boolean;
  /** Accept the mesh's packets in FORWARD, for hosts that drop there. Default false. */
  readonly forwardRules?: boolean;
  readonly local?: boolean;
  readonly encapsulation?: Encapsulation;
  readonly encapsulator?: Encapsulator;
  /** Name of the WireGuard link; default kilo0. */
  readonly wireguard?: string;
}

export const desiredFilter = (topology: Topology, options: FilterOptions = {}): Filter => {
  const wrapped = wrappedSources(topology, options);
  const append: (FilterChain | FilterRule)[] = [];
  const prepend: FilterRule[] = [];
  if (wrapped !== null) {
    append.push(...bothFamilies(ipipChain));
    append.push(...bothFamilies((family) => ipip(family, 'Kilo: jump to IPIP chain', 'KILO-IPIP')));
    append.push(...bothFamilies((family) => ipip(family, 'Kilo: reject other IPIP traffic', 'DROP')));
    for (const source of wrapped) {
      const comment = 'Kilo: allow IPIP traffic';
      prepend.push(rule(source, { table: 'filter', chain: 'KILO-IPIP', source, comment, verdict: 'ACCEPT' }));
    }
  }
  append.push(...bothFamilies(natChain));
  for (const cidr of options.serviceCIDRs ?? [])
    append.push(exempt(cidr, 'Kilo: do not NAT packets destined for service CIDRs'));
  append.push(...bothFamilies(masquerade));

  if (options.cni ?? true) {
    for (const pods of topology.self.podCIDRs)
      prepend.push(toNat({ source: pods }, 'Kilo: jump to KILO-NAT chain'));
    if (options.forwardRules === true) prepend.push(...forwardRules(topology));
  }
  for (const segment of topology.segments) {
    const wireguardIP = hostCidr(segment.wireguardIP);
    prepend.push(exempt(wireguardIP, 'Kilo: do not NAT packets destined for WireGuared IPs'));
    for (const cidr of segment.allowedIPs)
      prepend.push(exempt(cidr, 'Kilo: do not NAT packets destined for known IPs'));
    if (segment !== topology.segment) continue;
    for (const cidr of segment.allowedLocationIPs)
      prepend.push(toNat({ destination: cidr }, 'Kilo: jump to NAT chain'));
  }
  for (const peer of topology.peers) {
    for (const cidr of topology.claims.networksOf(peer)) {
      // A Peer that may send from anywhere must not turn every packet of the host into its own.
      if (cidr.prefix === 0) continue;
      prepend.push(toNat({ source: cidr }, 'Kilo: jump to NAT chain'));
      prepend.push(exempt(cidr, 'Kilo: do not NAT packets destined for peers'));
    }
  }
  const bounds = boundRules(topology, options.wireguard ?? 'kilo0');
  return { append: [...append, ...bounds.append], prepend: [...once(prepend), ...bounds.prepend] };
};

/** The words after `-A` or `-I`, in the order Kilo gives them. */
export const iptablesArguments = (rule: FilterRule): string[] => {
  const match = [
    ...(rule.protocol === undefined ? [] : ['-p', rule.protocol]),
    ...(rule.source === undefined ? [] : ['-s', formatCidr(rule.source)]),
    ...(rule.destination === undefined ? [] : ['-d', formatCidr(rule.destination)]),
    ...(rule.inInterface === undefined ? [] : ['-i', rule.inInterface]),
    ...connectionWords(rule),
  ];
  const comment = ['-m', 'comment', '--comment', rule.comment];
  const words = rule.chain === 'FORWARD' ? [...comment, ...match] : [...match, ...comment];
  return [rule.chain, ...words, '-j', rule.verdict];
};

/** As iptables-save prints them: a host without its prefix length. */
export const connectionWords = ({ originalDestination, direction }: FilterRule): string[] => {
  if (direction !== undefined) return ['-m', 'conntrack', '--ctdir', direction];
  if (originalDestination === undefined) return [];
  const { address, prefix } = originalDestination;
  const text = prefix === address.length * 8 ? formatAddress(address) : formatCidr(originalDestination);
  return ['-m', 'conntrack', '--ctorigdst', text];
};

/**
 * Who may send wrapped packets to this host; null when wrapping is not its business. Kilo also drops all of
 * them in a full mesh, where it lets nobody in: other users of IPIP would lose it for nothing.
 */
const wrappedSources = (topology: Topology, options: FilterOptions): Cidr[] | null => {
  const { local = true, encapsulation = 'always', encapsulator = 'ipip' } = options;
  if (!local || encapsulation === 'never' || encapsulator === 'flannel') return null;
  const { self, segment, segments } = topology;
  const location = segment.nodeLocation;
  if (self.internalIP === undefined || !location.startsWith('location:')) return null;
  return segments
    .filter((candidate) => candidate.nodeLocation === location)
    .flatMap((candidate) => candidate.members)
    .flatMap((member) => (member.internalIP === undefined ? [] : [hostCidr(member.internalIP.address)]));
};

/** A leader forwards for its whole location, anyone else for its own pods. */
const forwardRules = (topology: Topology): FilterRule[] => {
  if (!topology.isLeader) {
    return topology.self.podCIDRs.flatMap((pods) =>
      forward(network(pods), (way) => `Kilo: forward packets ${way} the node's pod subnet`),
    );
  }
  const { members, allowedLocationIPs } = topology.segment;
  return [
    ...members
      .flatMap(({ podCIDRs }) => podCIDRs)
      .flatMap((pods) => forward(network(pods), (way) => `Kilo: forward packets ${way} the pod subnet`)),
    ...allowedLocationIPs.flatMap((cidr) =>
      forward(network(cidr), (way) => `Kilo: forward packets ${way} allowed location IPs`),
    ),
    ...members.flatMap((member) => {
      const address = privateAddressOf(member);
      if (address === null) return [];
      return forward(hostCidr(address), (way) => `Kilo: forward packets ${way} private IPs`);
    }),
    ...[...relayedSegments(topology)]
      .flatMap((segment) => topology.claims.networksOf(segment))
      .flatMap((cidr) => forward(cidr, (way) => `Kilo: forward packets ${way} relayed segments`)),
  ];
};

const forward = (cidr: Cidr, comment: (way: 'from' | 'to') => string): FilterRule[] => {
  const base = { table: 'filter', chain: 'FORWARD', verdict: 'ACCEPT' } as const;
  return [
    rule(cidr, { ...base, source: cidr, comment: comment('from') }),
    rule(cidr, { ...base, destination: cidr, comment: comment('to') }),
  ];
};

const exempt = (cidr: Cidr, comment: string): FilterRule => {
  const destination = network(cidr);
  return rule(cidr, { table: 'nat', chain: 'KILO-NAT', destination, comment, verdict: 'RETURN' });
};

const toNat = (match: { source: Cidr } | { destination: Cidr }, comment: string): FilterRule => {
  const base = { table: 'nat', chain: 'POSTROUTING', comment, verdict: 'KILO-NAT' } as const;
  if ('source' in match) return rule(match.source, { ...base, source: network(match.source) });
  return rule(match.destination, { ...base, destination: network(match.destination) });
};

const rule = (cidr: Cidr, fields: Omit<FilterRule, 'kind' | 'family'>): FilterRule => ({
  kind: 'rule',
  family: isIpv6(cidr.address) ? 6 : 4,
  ...fields,
});

const bothFamilies = <Item>(make: (family: Family) => Item): Item[] => [make(4), make(6)];

const natChain = (family: Family): FilterChain => ({
  kind: 'chain',
  family,
  table: 'nat',
  chain: 'KILO-NAT',
});

const ipipChain = (family: Family): FilterChain => ({
  kind: 'chain',
  family,
  table: 'filter',
  chain: 'KILO-IPIP',
});

const ipip = (family: Family, comment: string, verdict: Verdict): FilterRule => ({
  kind: 'rule',
  family,
  table: 'filter',
  chain: 'INPUT',
  protocol: 'ipencap',
  comment,
  verdict,
});

const masquerade = (family: Family): FilterRule => ({
  kind: 'rule',
  family,
  table: 'nat',
  chain: 'KILO-NAT',
  comment: 'Kilo: NAT remaining packets',
  verdict: 'MASQUERADE',
});

/** Rules that say the same stand once: two members may claim one network. */
const once = (rules: readonly FilterRule[]): FilterRule[] => {
  const byContent = new Map<string, FilterRule>();
  for (const rule of rules) {
    const networks = [rule.source, rule.destination].map((cidr) =>
      cidr === undefined ? '' : networkKey(cidr),
    );
    const key = [rule.chain, rule.comment, ...networks].join('\n');
    if (!byContent.has(key)) byContent.set(key, rule);
  }
  return [...byContent.values()];
};
