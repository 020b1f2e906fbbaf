/**
 * Pods of both families: what goes into the tunnel, to neighbours and through a leader, over underlays of one family or both.
 * Expected values are rtnetlink's rules: a gateway and a source are of the destination's family, but IPv4 may go by IPv6.
 * @module
 */
import { describe, expect, it } from 'vitest';
import { cidr, formatCidr, parseAddress } from '../../../src/noise/ip.ts';
import { desiredFilter, iptablesArguments } from '../../../src/routing/nat.ts';
import type { Node } from '../../../src/routing/node.ts';
import { desiredRoutes, type Route } from '../../../src/routing/routes.ts';
import { buildTopology, type Topology } from '../../../src/routing/topology.ts';
import { wireguardConfig } from '../../../src/routing/wireguard-config.ts';
import { NOW, node, routeText } from './clusters.ts';

const dual = (number: number, location: string, internalIP: string, ipv6?: string): Node => {
  const host = internalIP.split('/')[0] ?? '';
  const endpoint = host.includes(':') ? `[${host}]:51820` : `${host}:51820`;
  const address = ipv6 === undefined ? null : parseAddress(ipv6);
  return {
    ...node({ name: `n${number}`, location, endpoint, internalIP }),
    podCIDRs: [cidr(`10.42.${number}.0/24`), cidr(`fd42:0:0:${number}::/64`)],
    ...(address === null ? {} : { internalIPv6: address }),
  };
};

const seenBy = (hostname: string, nodes: readonly Node[], granularity: 'full' | 'location'): Topology =>
  buildTopology({ nodes, peers: [], now: NOW }, { granularity, subnet: cidr('10.4.0.0/16'), hostname });

const routesOf = (topology: Topology, encapsulation: 'always' | 'never' = 'never'): string[] =>
  desiredRoutes(topology, {
    links: { wireguard: 'kilo0', private: 'eth0', tunnel: 'tunl0' },
    encapsulation,
  }).routes.map((route: Route) => routeText(route));

describe('a full mesh of dual stack pods', () => {
  it('over IPv4: IPv6 pods are routed to the device without gateway and source', () => {
    const topology = seenBy('n1', [dual(1, 'a', '10.1.0.1/24'), dual(2, 'b', '10.2.0.1/24')], 'full');
    expect(wireguardConfig(topology)?.peers[0]?.allowedIps.map(formatCidr)).toEqual([
      '10.42.2.0/24',
      '10.2.0.1/32',
      'fd42:0:0:2::/64',
      '10.4.0.2/32',
    ]);
    expect(routesOf(topology)).toEqual([
      '10.42.2.0/24 via 10.4.0.2 dev kilo0 src 10.1.0.1 onlink',
      'fd42:0:0:2::/64 dev kilo0',
    ]);
    expect(topology.problems).toEqual([]);
  });

  it('over IPv6: the private address is no source of IPv4', () => {
    const nodes = [dual(1, 'a', 'fd00::1/64'), dual(2, 'b', 'fd00:2::1/64')];
    expect(routesOf(seenBy('n1', nodes, 'full'))).toEqual([
      '10.42.2.0/24 via 10.4.0.2 dev kilo0 onlink',
      'fd42:0:0:2::/64 dev kilo0 src fd00::1',
    ]);
  });

  it('masquerades and exempts each family', () => {
    const nodes = [dual(1, 'a', '10.1.0.1/24'), dual(2, 'b', '10.2.0.1/24')];
    const { prepend } = desiredFilter(seenBy('n1', nodes, 'full'));
    const six = prepend.filter(({ family }) => family === 6).map((rule) => iptablesArguments(rule).join(' '));
    expect(six).toEqual([
      'POSTROUTING -s fd42:0:0:1::/64 -m comment --comment Kilo: jump to KILO-NAT chain -j KILO-NAT',
      'KILO-NAT -d fd42:0:0:1::/64 -m comment --comment Kilo: do not NAT packets destined for known IPs -j RETURN',
      'KILO-NAT -d fd42:0:0:2::/64 -m comment --comment Kilo: do not NAT packets destined for known IPs -j RETURN',
    ]);
  });
});

describe('a location of dual stack pods', () => {
  const far = dual(3, 'b', '10.2.0.1/24');

  it('whose nodes have addresses of both families hands each over by its own, and wraps what IPIP can', () => {
    const nodes = [dual(1, 'a', '10.1.0.1/24', 'fd01::1'), dual(2, 'a', '10.1.0.2/24', 'fd01::2'), far];
    expect(routesOf(seenBy('n1', nodes, 'location'), 'always')).toEqual([
      '10.42.2.0/24 via 10.1.0.2 dev tunl0 src 10.1.0.1 onlink',
      'fd42:0:0:2::/64 via fd01::2 dev eth0 onlink',
      '10.1.0.2/32 via 10.1.0.2 dev tunl0 src 10.1.0.1 onlink table 1107',
      '10.42.3.0/24 via 10.4.0.2 dev kilo0 src 10.1.0.1 onlink',
      'fd42:0:0:3::/64 dev kilo0',
    ]);
    const follower = routesOf(seenBy('n2', nodes, 'location'));
    expect(follower).toContain('fd42:0:0:3::/64 via fd01::1 dev eth0 onlink');
    expect(follower).toContain('fd42:0:0:1::/64 via fd01::1 dev eth0 onlink');
  });

  it('whose nodes have IPv6 only hands IPv4 over by IPv6', () => {
    const nodes = [dual(1, 'a', 'fd00::1/64'), dual(2, 'a', 'fd00::2/64'), dual(3, 'b', 'fd00:3::1/64')];
    expect(routesOf(seenBy('n2', nodes, 'location'), 'always')).toEqual([
      '10.4.0.1/32 via fd00::1 dev eth0 onlink',
      '10.42.1.0/24 via fd00::1 dev eth0 onlink',
      'fd42:0:0:1::/64 via fd00::1 dev eth0 onlink',
      '10.4.0.2/32 via fd00::1 dev eth0 onlink',
      '10.42.3.0/24 via fd00::1 dev eth0 onlink',
      'fd42:0:0:3::/64 via fd00::1 dev eth0 onlink',
      'fd00:3::1/128 via fd00::1 dev eth0 onlink',
    ]);
  });

  it('whose nodes have IPv4 only says which pods are not reached, and routes the rest', () => {
    const nodes = [dual(1, 'a', '10.1.0.1/24'), dual(2, 'a', '10.1.0.2/24'), far];
    const topology = seenBy('n1', nodes, 'location');
    expect(topology.problems.map(({ code, subject }) => `${code} ${subject.name}`)).toEqual([
      'ipv6-pods-unreached n1',
      'ipv6-pods-unreached n2',
    ]);
    expect(routesOf(topology)).toEqual([
      '10.42.2.0/24 via 10.1.0.2 dev eth0 onlink',
      '10.42.3.0/24 via 10.4.0.2 dev kilo0 src 10.1.0.1 onlink',
      'fd42:0:0:3::/64 dev kilo0',
    ]);
  });
});
