/**
 * Whether a node's mesh is what the topology asks for, read back from its kernel and its device, not from its agent.
 * @module
 */
import { WIREGUARD_IP } from '../agent/annotations.ts';
import { readPlan } from '../agent/host/kernel-routes.ts';
import { hasAddress, readLinks } from '../agent/host/links.ts';
import type { NodeResource } from '../agent/kubernetes/resources.ts';
import type { DeviceConfig, DeviceStatus } from '../noise/device-config.ts';
import { formatCidr } from '../noise/ip.ts';
import { diffDevices, diffPlans } from '../routing/diff.ts';
import { keyText } from '../routing/key-text.ts';
import { desiredRoutes } from '../routing/routes.ts';
import type { Topology } from '../routing/topology.ts';
import { wireguardConfig } from '../routing/wireguard-config.ts';
import { deviceSocket, readDevice } from './device-client.ts';
import { Host } from './host.ts';
import { INTERFACE, type NodePlan } from './plan.ts';
import { UPLINK } from './underlay.ts';

const LINKS = { wireguard: INTERFACE, private: UPLINK, tunnel: 'tunl0' };

export const hasHandshake = (peer: DeviceStatus['peers'][number]): boolean => peer.lastHandshake.seconds > 0;

/** A peer that was heard is where it was heard, whatever anybody wrote. */
const whereHeard = (want: DeviceConfig, have: DeviceStatus): DeviceConfig => ({
  peers: want.peers.map((peer) => {
    const there = have.peers.find((each) => keyText(each.publicKey) === keyText(peer.publicKey));
    if (there?.endpoint === undefined || !hasHandshake(there)) return peer;
    return { ...peer, endpoint: there.endpoint };
  }),
});

const deviceFault = (topology: Topology, have: DeviceStatus): string | null => {
  const want = wireguardConfig(topology);
  if (want === null) return null; // no tunnels, so nobody cares
  const change = diffDevices(have, whereHeard(want, have));
  return change === null ? null : `${change.peers.length} peers of its device are not as they should be`;
};

const kernelFaults = (topology: Topology, netns: string): readonly string[] => {
  using host = new Host(netns);
  const links = readLinks(host.routes);
  const { wireguardCIDR } = topology;
  const want = desiredRoutes(topology, { links: LINKS, encapsulation: 'crosssubnet' });
  const { routes, rules } = diffPlans(readPlan(links, LINKS, want), want);
  const wrong = [routes, rules].flatMap(({ add, remove, replace }) => [...add, ...remove, ...replace]).length;
  return [
    ...(wireguardCIDR === null || hasAddress(links, wireguardCIDR.address)
      ? []
      : [`${INTERFACE} has not the address ${formatCidr(wireguardCIDR)}`]),
    ...(wrong === 0 ? [] : [`${wrong} of its routes are not as they should be`]),
  ];
};

/** What is not so (yet), in words; nothing when all is well. */
export async function meshFaults(
  node: NodePlan,
  topology: Topology,
  object: NodeResource | undefined,
  runDirectory: string,
): Promise<readonly string[]> {
  const { wireguardCIDR } = topology;
  const said = object?.metadata.annotations?.[WIREGUARD_IP] ?? '';
  const told = said === (wireguardCIDR === null ? '' : formatCidr(wireguardCIDR));
  const device = await readDevice(deviceSocket(runDirectory, node.name));
  return [
    ...(told ? [] : [`its Node says "${said}" of its address`]),
    ...[deviceFault(topology, device)].filter((fault) => fault !== null),
    ...kernelFaults(topology, node.netns),
  ];
}
