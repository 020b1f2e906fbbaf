/**
 * How long the mesh takes to compute: the topology and everything a host is programmed with, nothing programmed.
 * @module
 */
import { cidr } from '../../src/noise/ip.ts';
import { desiredFilter } from '../../src/routing/nat.ts';
import type { Granularity } from '../../src/routing/node.ts';
import { desiredRoutes } from '../../src/routing/routes.ts';
import { buildTopology } from '../../src/routing/topology.ts';
import { wireguardConfig } from '../../src/routing/wireguard-config.ts';
import { type ClusterSize, nodes } from './cluster.ts';

const NOW = 1_800_000_000;
const LINKS = { wireguard: 'kilo0', private: 'eth0', tunnel: 'tunl0' };

/** Milliseconds of each of `rounds` computations, after three that do not count. */
export const computeTimes = (size: ClusterSize, granularity: Granularity, rounds: number): number[] => {
  const view = { nodes: nodes(size, NOW), peers: [], now: NOW };
  const subnet = cidr('10.4.0.0/16');
  const times: number[] = [];
  for (let round = -3; round < rounds; round++) {
    const started = performance.now();
    const topology = buildTopology(view, { granularity, subnet, hostname: 'node-00000' });
    wireguardConfig(topology, new Uint8Array(32));
    desiredRoutes(topology, { links: LINKS });
    desiredFilter(topology);
    if (round >= 0) times.push(performance.now() - started);
  }
  return times;
};
