/**
 * Kilo's iptables rules, word for word and in order.
 * @module
 */

import { describe, expect, test } from 'vitest';
import { cidr } from '../../../src/noise/ip.ts';
import {
  desiredFilter,
  type FilterChain,
  type FilterOptions,
  type FilterRule,
  iptablesArguments,
} from '../../../src/routing/nat.ts';
import type { Topology } from '../../../src/routing/topology.ts';
import { fourClouds, hybrid, lines, lookFrom, peer, twoRegions } from './clusters.ts';

const text = (item: FilterChain | FilterRule): string => {
  const words =
    item.kind === 'chain'
      ? ['chain', item.chain]
      : iptablesArguments(item).map((word) => (word.includes(' ') ? `"${word}"` : word));
  return [`v${item.family}`, item.table, ...words].join(' ');
};

const filter = (topology: Topology, options: FilterOptions = {}) => {
  const { append, prepend } = desiredFilter(topology, options);
  return { append: append.map(text), prepend: prepend.map(text) };
};

const serviceCIDRs = [cidr('10.43.0.0/16')];

const natAppend = `
  v4 nat chain KILO-NAT
  v6 nat chain KILO-NAT
  v4 nat KILO-NAT -d 10.43.0.0/16 -m comment --comment "Kilo: do not NAT packets destined for service CIDRs" -j RETURN
  v4 nat KILO-NAT -m comment --comment "Kilo: NAT remaining packets" -j MASQUERADE
  v6 nat KILO-NAT -m comment --comment "Kilo: NAT remaining packets" -j MASQUERADE`;

const ipipAppend = `
  v4 filter chain KILO-IPIP
  v6 filter chain KILO-IPIP
  v4 filter INPUT -p ipencap -m comment --comment "Kilo: jump to IPIP chain" -j KILO-IPIP
  v6 filter INPUT -p ipencap -m comment --comment "Kilo: jump to IPIP chain" -j KILO-IPIP
  v4 filter INPUT -p ipencap -m comment --comment "Kilo: reject other IPIP traffic" -j DROP
  v6 filter INPUT -p ipencap -m comment --comment "Kilo: reject other IPIP traffic" -j DROP`;

describe('a leader with members', () => {
  test('appends the IPIP chain, then the NAT chain', () => {
    expect(filter(lookFrom('gcp-1', 'location', hybrid), { serviceCIDRs }).append).toEqual(
      lines(ipipAppend + natAppend),
    );
  });

  test('prepends who may send to it, its pods, the mesh and the Peers', () => {
    expect(filter(lookFrom('gcp-1', 'location', hybrid)).prepend).toEqual(
      lines(`
        v4 filter KILO-IPIP -s 10.132.0.2/32 -m comment --comment "Kilo: allow IPIP traffic" -j ACCEPT
        v4 filter KILO-IPIP -s 10.132.0.3/32 -m comment --comment "Kilo: allow IPIP traffic" -j ACCEPT
        v4 nat POSTROUTING -s 10.42.0.0/24 -m comment --comment "Kilo: jump to KILO-NAT chain" -j KILO-NAT
        v4 nat KILO-NAT -d 10.4.0.1/32 -m comment --comment "Kilo: do not NAT packets destined for WireGuared IPs" -j RETURN
        v4 nat KILO-NAT -d 10.42.0.0/24 -m comment --comment "Kilo: do not NAT packets destined for known IPs" -j RETURN
        v4 nat KILO-NAT -d 10.132.0.2/32 -m comment --comment "Kilo: do not NAT packets destined for known IPs" -j RETURN
        v4 nat KILO-NAT -d 10.42.1.0/24 -m comment --comment "Kilo: do not NAT packets destined for known IPs" -j RETURN
        v4 nat KILO-NAT -d 10.132.0.3/32 -m comment --comment "Kilo: do not NAT packets destined for known IPs" -j RETURN
        v4 nat KILO-NAT -d 10.4.0.1/32 -m comment --comment "Kilo: do not NAT packets destined for known IPs" -j RETURN
        v4 nat KILO-NAT -d 10.4.0.2/32 -m comment --comment "Kilo: do not NAT packets destined for WireGuared IPs" -j RETURN
        v4 nat KILO-NAT -d 10.42.3.0/24 -m comment --comment "Kilo: do not NAT packets destined for known IPs" -j RETURN
        v4 nat KILO-NAT -d 192.168.1.10/32 -m comment --comment "Kilo: do not NAT packets destined for known IPs" -j RETURN
        v4 nat KILO-NAT -d 10.4.0.2/32 -m comment --comment "Kilo: do not NAT packets destined for known IPs" -j RETURN
        v4 nat KILO-NAT -d 10.4.0.3/32 -m comment --comment "Kilo: do not NAT packets destined for WireGuared IPs" -j RETURN
        v4 nat KILO-NAT -d 10.42.2.0/24 -m comment --comment "Kilo: do not NAT packets destined for known IPs" -j RETURN
        v4 nat KILO-NAT -d 10.4.0.3/32 -m comment --comment "Kilo: do not NAT packets destined for known IPs" -j RETURN
        v4 nat POSTROUTING -s 10.5.0.1/32 -m comment --comment "Kilo: jump to NAT chain" -j KILO-NAT
        v4 nat KILO-NAT -d 10.5.0.1/32 -m comment --comment "Kilo: do not NAT packets destined for peers" -j RETURN`),
    );
  });

  test('translates towards the ranges of its own location', () => {
    const jump =
      'v4 nat POSTROUTING -d 192.168.1.0/24 -m comment --comment "Kilo: jump to NAT chain" -j KILO-NAT';
    expect(filter(lookFrom('home-1', 'location', hybrid)).prepend).toContain(jump);
    expect(filter(lookFrom('gcp-1', 'location', hybrid)).prepend).not.toContain(jump);
  });

  test('forwards for its whole location when told to', () => {
    const forward = filter(lookFrom('home-1', 'location', hybrid), { forwardRules: true }).prepend.filter(
      (rule) => rule.includes('FORWARD'),
    );
    expect(forward).toEqual(
      lines(`
        v4 filter FORWARD -m comment --comment "Kilo: forward packets from the pod subnet" -s 10.42.3.0/24 -j ACCEPT
        v4 filter FORWARD -m comment --comment "Kilo: forward packets to the pod subnet" -d 10.42.3.0/24 -j ACCEPT
        v4 filter FORWARD -m comment --comment "Kilo: forward packets from allowed location IPs" -s 192.168.1.0/24 -j ACCEPT
        v4 filter FORWARD -m comment --comment "Kilo: forward packets to allowed location IPs" -d 192.168.1.0/24 -j ACCEPT
        v4 filter FORWARD -m comment --comment "Kilo: forward packets from private IPs" -s 192.168.1.10/32 -j ACCEPT
        v4 filter FORWARD -m comment --comment "Kilo: forward packets to private IPs" -d 192.168.1.10/32 -j ACCEPT`),
    );
  });
});

describe('a node that does not lead', () => {
  test('forwards for its own pods only', () => {
    const forward = filter(lookFrom('gcp-2', 'location', hybrid), { forwardRules: true }).prepend.filter(
      (rule) => rule.includes('FORWARD'),
    );
    expect(forward).toEqual(
      lines(`
        v4 filter FORWARD -m comment --comment "Kilo: forward packets from the node's pod subnet" -s 10.42.1.0/24 -j ACCEPT
        v4 filter FORWARD -m comment --comment "Kilo: forward packets to the node's pod subnet" -d 10.42.1.0/24 -j ACCEPT`),
    );
  });
});

describe('where nothing is wrapped', () => {
  const topology = lookFrom('gcp-1', 'location', hybrid);
  test.each<[string, Topology, FilterOptions]>([
    ['--encapsulate=never', topology, { encapsulation: 'never' }],
    ['--local=false', topology, { local: false }],
    ['--compatibility=flannel', topology, { encapsulator: 'flannel' }],
    ['a full mesh', lookFrom('ali-1', 'full', fourClouds), {}],
    ['a node without a private address', lookFrom('metal-1', 'location', hybrid), {}],
  ])('%s: no IPIP rules, so that other users of IPIP keep theirs', (_, from, options) => {
    const { append, prepend } = filter(from, { ...options, serviceCIDRs });
    expect(append).toEqual(lines(natAppend));
    expect(prepend.filter((rule) => rule.includes('IPIP'))).toEqual([]);
  });

  test('a cross mesh lets its neighbours in', () => {
    const accepts = filter(lookFrom('eu-2', 'cross', twoRegions)).prepend.filter((rule) =>
      rule.includes('KILO-IPIP'),
    );
    expect(accepts.map((rule) => rule.split(' ')[4])).toEqual(['10.1.0.1/32', '10.1.0.2/32', '10.1.0.3/32']);
  });
});

describe('families and switches', () => {
  test('an IPv6 Peer has its rules in the IPv6 tables', () => {
    const phone = peer('phone', ['fd00:5::1/128', '10.5.0.9/24']);
    const { prepend } = filter(lookFrom('ali-1', 'full', { ...fourClouds, peers: [phone] }));
    expect(prepend.slice(-4)).toEqual(
      lines(`
        v6 nat POSTROUTING -s fd00:5::1/128 -m comment --comment "Kilo: jump to NAT chain" -j KILO-NAT
        v6 nat KILO-NAT -d fd00:5::1/128 -m comment --comment "Kilo: do not NAT packets destined for peers" -j RETURN
        v4 nat POSTROUTING -s 10.5.0.0/24 -m comment --comment "Kilo: jump to NAT chain" -j KILO-NAT
        v4 nat KILO-NAT -d 10.5.0.0/24 -m comment --comment "Kilo: do not NAT packets destined for peers" -j RETURN`),
    );
  });

  test('without --cni the pods and FORWARD are left alone', () => {
    const { prepend } = filter(lookFrom('ali-1', 'full', fourClouds), { cni: false, forwardRules: true });
    expect(prepend.filter((rule) => /POSTROUTING|FORWARD/.test(rule))).toEqual([]);
  });
});
