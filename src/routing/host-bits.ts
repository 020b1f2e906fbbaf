/**
 * Ranges that were written with bits behind their prefix, such as 192.168.1.7/24: meant is either the host or its network.
 * Source: kernels refuse routes with them (EINVAL), which made Kilo's agent fail at every pass; wg(8) takes the network.
 * @module
 */

import { type Cidr, formatCidr, network, sameAddress } from '../noise/ip.ts';
import type { ReadyNode } from './node.ts';
import type { Peer } from './peer.ts';
import type { Problem } from './problem.ts';

export const hostBits = (nodes: readonly ReadyNode[], peers: readonly Peer[]): Problem[] => [
  ...nodes.flatMap(({ name, allowedLocationIPs }) => tell('node', name, allowedLocationIPs)),
  ...peers.flatMap(({ name, allowedIPs }) => tell('peer', name, allowedIPs)),
];

const tell = (kind: 'node' | 'peer', name: string, ranges: readonly Cidr[]): Problem[] =>
  ranges
    .filter((cidr) => !sameAddress(network(cidr).address, cidr.address))
    .map((cidr) => ({
      code: 'range-has-host-bits',
      subject: { kind, name },
      message: `${formatCidr(cidr)} of ${kind === 'peer' ? 'Peer' : 'node'} "${name}" is taken as ${formatCidr(network(cidr))}: only a network can be routed.`,
    }));
