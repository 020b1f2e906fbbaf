/**
 * The laptop's WireGuard configuration: a [Peer] for each segment, with the leader's mesh address, its cloud's private
 * network and the pods behind it, and the service network by way of aws.
 * Source: the article "How to Build a Multi-Cloud k3s Cluster with WireGuard and Kilo CNI", its client's configuration.
 * @module
 */
import type { DeviceConfig, PeerConfig } from '../noise/device-config.ts';
import { type Cidr, cidr, hostCidr, parseEndpoint } from '../noise/ip.ts';
import { keyBytes } from '../routing/key-text.ts';
import { podCIDROf } from '../routing/node.ts';
import type { Segment, Topology } from '../routing/topology.ts';
import { type LabPlan, LISTEN_PORT, NAT_KEEPALIVE, type NodePlan, nodesOf, SERVICE_CIDR } from './plan.ts';

/** The cloud through which the laptop reaches services. */
export const SERVICE_CLOUD = 'aws';

const isFirstOfCloud = (plan: LabPlan, node: NodePlan): boolean =>
  plan.clouds.some(({ nodes }) => nodes[0] === node);

const allowedIps = (plan: LabPlan, segment: Segment, leader: NodePlan): readonly Cidr[] => {
  const cloud = plan.clouds.find(({ name }) => name === leader.cloud);
  const entry = isFirstOfCloud(plan, leader);
  return [
    hostCidr(segment.wireguardIP),
    ...(entry && cloud !== undefined ? [cidr(cloud.lan.cidr)] : []),
    ...segment.members.map(podCIDROf),
    ...(entry && leader.cloud === SERVICE_CLOUD ? [cidr(SERVICE_CIDR)] : []),
  ];
};

const peerOf = (plan: LabPlan, segment: Segment): PeerConfig => {
  const leader = nodesOf(plan).find(({ name }) => name === segment.leader.name);
  if (leader === undefined) throw new RangeError(`no node is called ${segment.leader.name}`);
  // A node behind NAT cannot be dialled; it dials the laptop, and its address is learnt from that.
  const endpoint = leader.publicIP === null ? null : parseEndpoint(`${leader.publicIP}:${LISTEN_PORT}`);
  return {
    publicKey: keyBytes(segment.leader.key),
    ...(endpoint === null ? {} : { endpoint }),
    persistentKeepalive: NAT_KEEPALIVE,
    allowedIps: allowedIps(plan, segment, leader),
  };
};

export const laptopConfig = (plan: LabPlan, topology: Topology, privateKey: Uint8Array): DeviceConfig => ({
  privateKey,
  listenPort: LISTEN_PORT,
  peers: topology.segments.map((segment) => peerOf(plan, segment)),
});
