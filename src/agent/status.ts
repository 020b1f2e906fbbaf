/**
 * An agent's state for people and programs: who leads, which tunnels live, what is wrong.
 * @module
 */
import type { DeviceStatus } from '../noise/device-config.ts';
import { formatAddress, formatCidr, formatEndpoint } from '../noise/ip.ts';
import { keyText } from '../routing/key-text.ts';
import { whyLeads } from '../routing/leader.ts';
import { formatMeshEndpoint } from '../routing/node.ts';
import type { Topology } from '../routing/topology.ts';
import type { Fault } from './faults.ts';

export interface StatusParts {
  readonly hostname: string;
  readonly version: string;
  readonly topology: Topology | null;
  readonly device: DeviceStatus | null;
  readonly faults: readonly Fault[];
  /** Seconds. */
  readonly apiSilence: number;
  readonly passes: number;
}

/** No secrets: keys are public ones. */
export const statusOf = ({
  hostname,
  version,
  topology,
  device,
  faults,
  apiSilence,
  passes,
}: StatusParts): unknown => ({
  node: hostname,
  version,
  apiSilenceSeconds: Number.isFinite(apiSilence) ? apiSilence : null,
  passes,
  isLeader: topology?.isLeader ?? null,
  wireguardIP:
    topology === null || topology.wireguardCIDR === null ? null : formatCidr(topology.wireguardCIDR),
  granularity: topology?.granularity ?? null,
  /** Whether leaders that fail are replaced: all agents must know how. */
  leaderFailover: topology?.claimsCount ?? null,
  segments: (topology?.segments ?? []).map((segment) => {
    const { location, leader, claim, members, wireguardIP, endpointInForce } = segment;
    return {
      location,
      leader: leader.name,
      why: whyLeads(leader, members, claim),
      leadsSince: claim?.since ?? null,
      members: members.map(({ name }) => name),
      wireguardIP: formatAddress(wireguardIP),
      endpoint: formatMeshEndpoint(endpointInForce),
      /** The leader who passes on what is for it; null: its own tunnel does. */
      relay: topology?.relays.get(segment)?.leader.name ?? null,
      tunnel: tunnelOf(device, leader.key),
    };
  }),
  peers: (topology?.peers ?? []).map(({ name, key, endpointInForce }) => ({
    name,
    endpoint: endpointInForce === undefined ? null : formatMeshEndpoint(endpointInForce),
    tunnel: tunnelOf(device, key),
  })),
  faults,
});

const tunnelOf = (device: DeviceStatus | null, key: string) => {
  const peer = device?.peers.find(({ publicKey }) => keyText(publicKey) === key);
  if (peer === undefined) return null;
  return {
    endpoint: peer.endpoint === undefined ? null : formatEndpoint(peer.endpoint),
    lastHandshake: peer.lastHandshake.seconds === 0 ? null : peer.lastHandshake.seconds,
    receivedBytes: peer.rxBytes,
    sentBytes: peer.txBytes,
    roundTripMs: peer.roundTrip ?? null,
    pathMtu: peer.pathMtu ?? null,
  };
};
