/**
 * A small mesh for tests: two nodes in two clouds and a laptop.
 * @module
 */
import type { MapNode, MapTunnel, MeshSnapshot } from '../../../src/ui/mesh-snapshot.ts';

export const aNode = (more: Partial<MapNode> = {}): MapNode => ({
  location: 'eu',
  role: 'leader',
  state: 'well',
  why: 'alone',
  meshAddress: '10.4.0.1',
  leads: 1,
  endpoint: '192.0.2.1:51820',
  discovered: false,
  internalIP: '10.1.0.1/24',
  podCIDRs: ['10.42.0.0/24'],
  keepalive: 0,
  lastSeen: 1_800_000_000,
  silentSince: null,
  ...more,
});

export const aTunnel = (a: string, b: string, more: Partial<MapTunnel> = {}): MapTunnel => ({
  a,
  b,
  toPeer: false,
  relay: null,
  measured: true,
  lastHandshake: 1_800_000_000,
  roundTripMs: 12.3,
  rateAB: 1000,
  rateBA: 10,
  lossAB: 0,
  lossBA: null,
  mtu: 1500,
  endpointA: '192.0.2.1:51820',
  endpointB: '198.51.100.1:51820',
  ...more,
});

/** Twenty seconds after the last handshake. */
export const aSnapshot = (more: Partial<MeshSnapshot> = {}): MeshSnapshot => ({
  at: 1_800_000_020_000,
  trouble: null,
  granularity: 'location',
  subnet: '10.4.0.0/16',
  nodes: { 'eu-1': aNode(), 'us-1': aNode({ location: 'us' }) },
  peers: { laptop: { ready: true, allowedIPs: ['10.5.0.1/32'], endpoint: null, keepalive: 25 } },
  tunnels: {
    'eu-1|us-1': aTunnel('eu-1', 'us-1'),
    'eu-1|laptop': aTunnel('eu-1', 'laptop', { toPeer: true, lastHandshake: null }),
  },
  problems: [],
  ...more,
});
