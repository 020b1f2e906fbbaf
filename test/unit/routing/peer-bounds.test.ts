/**
 * Bounds of Peers, as iptables-save(8) prints them.
 * @module
 */

import { describe, expect, test } from 'vitest';
import { wantedRules } from '../../../src/agent/host/iptables-text.ts';
import { cidr } from '../../../src/noise/ip.ts';
import { desiredFilter } from '../../../src/routing/nat.ts';
import { withoutBounded } from '../../../src/routing/peer-bounds.ts';
import type { Topology } from '../../../src/routing/topology.ts';
import { wireguardConfig } from '../../../src/routing/wireguard-config.ts';
import { hybrid, lines, lookFrom, peer } from './clusters.ts';

const filterTable = (topology: Topology, family: 4 | 6, chain: string): string[] => {
  const wanted = wantedRules(desiredFilter(topology, { wireguard: 'kilo0' }), family);
  const { head, tail } = wanted.get(`filter ${chain}`) ?? { head: [], tail: [] };
  return [...head, ...tail].filter((line) => /KILO-ALLOW/.test(line) || chain === 'KILO-ALLOW');
};

const bound = (name: string, ranges: string[], allow: string[]) =>
  peer(name, ranges, { allow: allow.map(cidr) });

describe('a bounded Peer', () => {
  const peers = [
    bound('guest', ['10.5.0.1/32', 'fd05::1/128'], ['10.43.0.10/32', '10.42.0.0/16', 'fd43::/64']),
    peer('laptop', ['10.5.0.2/32']),
  ];
  const leader = lookFrom('gcp-1', 'location', { ...hybrid, peers });

  test('is judged where its tunnel ends, by where it meant to go', () => {
    for (const chain of ['INPUT', 'FORWARD'])
      expect(filterTable(leader, 4, chain)).toEqual([
        '-s 10.5.0.1/32 -i kilo0 -m comment --comment "Kilo: jump to ALLOW chain" -j KILO-ALLOW',
      ]);
    expect(filterTable(leader, 4, 'KILO-ALLOW')).toEqual(
      lines(`
        -m conntrack --ctdir REPLY -m comment --comment "Kilo: answers of peers" -j RETURN
        -s 10.5.0.1/32 -m conntrack --ctorigdst 10.43.0.10 -m comment --comment "Kilo: allow to peer" -j RETURN
        -s 10.5.0.1/32 -m conntrack --ctorigdst 10.42.0.0/16 -m comment --comment "Kilo: allow to peer" -j RETURN
        -s 10.5.0.1/32 -m comment --comment "Kilo: nothing else" -j DROP`),
    );
    expect(filterTable(leader, 6, 'KILO-ALLOW')).toEqual(
      lines(`
        -m conntrack --ctdir REPLY -m comment --comment "Kilo: answers of peers" -j RETURN
        -s fd05::1/128 -m conntrack --ctorigdst fd43::/64 -m comment --comment "Kilo: allow to peer" -j RETURN
        -s fd05::1/128 -m comment --comment "Kilo: nothing else" -j DROP`),
    );
  });

  test('costs nothing where it has no tunnel, and where nobody is bounded', () => {
    const member = lookFrom('gcp-2', 'location', { ...hybrid, peers });
    expect(member.isLeader).toBe(false);
    const free = lookFrom('gcp-1', 'location', { ...hybrid, peers: peers.slice(1) });
    for (const topology of [member, free])
      for (const chain of ['INPUT', 'FORWARD', 'KILO-ALLOW'])
        expect(filterTable(topology, 4, chain)).toEqual([]);
  });

  test('is the one of the longest prefix, as for WireGuard', () => {
    const nested = [
      bound('office', ['10.5.0.0/24'], []),
      bound('boss', ['10.5.0.7/32'], ['10.42.0.0/16']),
      peer('guard', ['10.5.0.9/32']),
    ];
    expect(filterTable(lookFrom('gcp-1', 'location', { ...hybrid, peers: nested }), 4, 'KILO-ALLOW')).toEqual(
      lines(`
        -m conntrack --ctdir REPLY -m comment --comment "Kilo: answers of peers" -j RETURN
        -s 10.5.0.7/32 -m conntrack --ctorigdst 10.42.0.0/16 -m comment --comment "Kilo: allow to peer" -j RETURN
        -s 10.5.0.7/32 -m comment --comment "Kilo: nothing else" -j DROP
        -s 10.5.0.9/32 -m comment --comment "Kilo: peer without a bound" -j RETURN
        -s 10.5.0.0/24 -m comment --comment "Kilo: nothing else" -j DROP`),
    );
  });

  test('has no tunnel with a host that cannot filter', () => {
    expect(wireguardConfig(withoutBounded(leader))?.peers.length).toBe(
      (wireguardConfig(leader)?.peers.length ?? 0) - 1,
    );
  });

  test('that may send from anywhere is left out', () => {
    const exit = lookFrom('gcp-1', 'location', { ...hybrid, peers: [bound('exit', ['0.0.0.0/0'], [])] });
    expect(exit.peers).toEqual([]);
    expect(exit.problems.map(({ code, subject }) => [code, subject.name])).toContainEqual([
      'peer-not-ready',
      'exit',
    ]);
  });
});
