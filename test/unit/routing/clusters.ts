/**
 * Clusters the tests look at: Kilo's own fixture and the worked examples, and texts of what comes out.
 * @module
 */

import { type Cidr, cidr, formatAddress, formatCidr, parseAddress } from '../../../src/noise/ip.ts';
import type { Granularity, MeshEndpoint, Node } from '../../../src/routing/node.ts';
import type { Peer } from '../../../src/routing/peer.ts';
import type { Plan, Route, Rule } from '../../../src/routing/routes.ts';
import { buildTopology, type ClusterView, type Topology } from '../../../src/routing/topology.ts';

/** Base64 of a key whose bytes begin with `name` and go on with zeros: distinct, and not itself zero. */
export const keyOf = (name: string): string => {
  const bytes = Buffer.alloc(32);
  bytes.write(name);
  return bytes.toString('base64');
};

export const endpoint = (text: string): MeshEndpoint => {
  const colon = text.lastIndexOf(':');
  const host = text.slice(0, colon).replace(/^\[|\]$/g, '');
  const port = Number(text.slice(colon + 1));
  const address = parseAddress(host);
  return address === null ? { dns: host, port } : { address, port };
};

export interface NodeText {
  name: string;
  location?: string;
  key?: string;
  endpoint?: string;
  internalIP?: string;
  podCIDR?: string;
  leader?: boolean;
  keepalive?: number;
  allowedLocationIPs?: string[];
  discovered?: Record<string, string>;
}

export const node = (text: NodeText): Node => ({
  name: text.name,
  location: text.location ?? '',
  key: text.key ?? keyOf(text.name),
  podCIDRs: text.podCIDR === undefined ? [] : [cidr(text.podCIDR)],
  leader: text.leader ?? false,
  persistentKeepalive: text.keepalive ?? 0,
  allowedLocationIPs: (text.allowedLocationIPs ?? []).map(cidr),
  discoveredEndpoints: new Map(
    Object.entries(text.discovered ?? {}).map(([key, value]) => [key, endpoint(value)]),
  ),
  lastSeen: NOW,
  ...(text.endpoint === undefined ? {} : { endpoint: endpoint(text.endpoint) }),
  ...(text.internalIP === undefined ? {} : { internalIP: cidr(text.internalIP) }),
});

export const peer = (name: string, allowedIPs: string[], more: Partial<Peer> = {}): Peer => ({
  name,
  key: keyOf(name),
  persistentKeepalive: 0,
  allowedIPs: allowedIPs.map(cidr),
  ...more,
});

export const NOW = 1_795_233_627;

export const SUBNET: Cidr = cidr('10.4.0.0/16');

export const lookFrom = (
  hostname: string,
  granularity: Granularity,
  cluster: { nodes: readonly Node[]; peers?: readonly Peer[] },
): Topology => {
  const view: ClusterView = { nodes: cluster.nodes, peers: cluster.peers ?? [], now: NOW };
  return buildTopology(view, { granularity, subnet: SUBNET, hostname });
};

/** As `ip route` writes it, "onlink" before "table". */
export const routeText = (route: Route): string =>
  [
    formatCidr(route.destination),
    ...(route.via === undefined ? [] : [`via ${formatAddress(route.via)}`]),
    `dev ${route.device}`,
    ...(route.source === undefined ? [] : [`src ${formatAddress(route.source)}`]),
    ...(route.onlink ? ['onlink'] : []),
    ...(route.table === 254 ? [] : [`table ${route.table}`]),
  ].join(' ');

/** As the examples write it. */
export const ruleText = (rule: Rule): string =>
  [
    'rule',
    ...(rule.from === undefined ? [] : [`from ${formatCidr(rule.from)}`]),
    `to ${formatCidr(rule.to)}`,
    ...(rule.inputDevice === undefined ? [] : [`iif ${rule.inputDevice}`]),
    `lookup ${rule.table}`,
  ].join(' ');

export const planText = (plan: Plan): string[] => [
  ...plan.routes.map(routeText),
  ...plan.rules.map(ruleText),
];

/** The lines of a text block, each one's runs of blanks made one. */
export const lines = (block: string): string[] =>
  block
    .split('\n')
    .map((line) => line.trim().replace(/ +/g, ' '))
    .filter((line) => line !== '');

/** Kilo's own test fixture. */
export const fixture = {
  nodes: [
    node({
      name: 'a',
      location: '1',
      key: keyOf('key1'),
      endpoint: '10.1.0.1:51820',
      internalIP: '192.168.0.1/32',
      podCIDR: '10.2.1.0/24',
    }),
    node({
      name: 'b',
      location: '2',
      key: keyOf('key2'),
      endpoint: '10.1.0.2:51820',
      internalIP: '192.168.0.1/32',
      podCIDR: '10.2.2.0/24',
      allowedLocationIPs: ['192.168.178.3/32'],
    }),
    node({
      name: 'c',
      location: '2',
      key: keyOf('key3'),
      endpoint: '10.1.0.3:51820',
      internalIP: '192.168.0.2/32',
      podCIDR: '10.2.3.0/24',
    }),
    node({
      name: 'd',
      location: '1',
      key: keyOf('key4'),
      endpoint: '10.1.0.4:51820',
      podCIDR: '10.2.4.0/24',
    }),
  ],
  peers: [
    peer('a', ['10.5.0.1/24', '10.5.0.2/24'], { key: keyOf('key4') }),
    peer('b', ['10.5.0.3/24'], { key: keyOf('key5'), endpoint: endpoint('192.168.0.1:51820') }),
  ],
};

/** One node in each of four clouds. */
export const fourClouds = {
  nodes: [
    node({
      name: 'ali-1',
      location: 'aliyun',
      endpoint: '47.88.0.4:51820',
      internalIP: '172.16.0.4/24',
      podCIDR: '10.42.0.0/24',
    }),
    node({
      name: 'aws-1',
      location: 'aws',
      endpoint: '3.120.0.1:51820',
      internalIP: '10.0.1.10/24',
      podCIDR: '10.42.1.0/24',
    }),
    node({
      name: 'az-1',
      location: 'azure',
      endpoint: '20.50.0.2:51820',
      internalIP: '10.1.0.4/24',
      podCIDR: '10.42.2.0/24',
    }),
    node({
      name: 'gcp-1',
      location: 'gcp',
      endpoint: '34.90.0.3:51820',
      internalIP: '10.132.0.2/32',
      podCIDR: '10.42.3.0/24',
    }),
  ],
};

/** Two regions of three nodes; only the first of each has a public endpoint. */
export const twoRegions = {
  nodes: [
    node({
      name: 'eu-1',
      location: 'eu',
      endpoint: '203.0.113.1:51820',
      internalIP: '10.1.0.1/24',
      podCIDR: '10.42.0.0/24',
    }),
    node({
      name: 'eu-2',
      location: 'eu',
      endpoint: '10.1.0.2:51820',
      internalIP: '10.1.0.2/24',
      podCIDR: '10.42.1.0/24',
    }),
    node({
      name: 'eu-3',
      location: 'eu',
      endpoint: '10.1.0.3:51820',
      internalIP: '10.1.0.3/24',
      podCIDR: '10.42.2.0/24',
    }),
    node({
      name: 'us-1',
      location: 'us',
      endpoint: '198.51.100.1:51820',
      internalIP: '10.2.0.1/24',
      podCIDR: '10.42.3.0/24',
    }),
    node({
      name: 'us-2',
      location: 'us',
      endpoint: '10.2.0.2:51820',
      internalIP: '10.2.0.2/24',
      podCIDR: '10.42.4.0/24',
    }),
    node({
      name: 'us-3',
      location: 'us',
      endpoint: '10.2.0.3:51820',
      internalIP: '10.2.0.3/24',
      podCIDR: '10.42.5.0/24',
    }),
  ],
};

/** A cloud group, a bare-metal node with no private address, a node at home behind NAT, a laptop. */
export const hybrid = {
  nodes: [
    node({
      name: 'gcp-1',
      location: 'gcp',
      endpoint: '34.90.0.3:51820',
      internalIP: '10.132.0.2/24',
      podCIDR: '10.42.0.0/24',
    }),
    node({
      name: 'gcp-2',
      location: 'gcp',
      endpoint: '10.132.0.3:51820',
      internalIP: '10.132.0.3/24',
      podCIDR: '10.42.1.0/24',
    }),
    node({ name: 'metal-1', location: 'metal-1', endpoint: '198.51.100.7:51820', podCIDR: '10.42.2.0/24' }),
    node({
      name: 'home-1',
      location: 'home',
      endpoint: '192.168.1.10:51820',
      internalIP: '192.168.1.10/24',
      podCIDR: '10.42.3.0/24',
      keepalive: 25,
      allowedLocationIPs: ['192.168.1.0/24'],
    }),
  ],
  peers: [peer('laptop', ['10.5.0.1/32'])],
};
