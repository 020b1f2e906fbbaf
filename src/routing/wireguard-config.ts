/**
 * What a leader's WireGuard device shall be.
 * Source: Kilo's configuration of its device (one peer per other segment, then one per Peer resource; the
 * keepalive is always the viewer's own), wg(8).
 * @module
 */

import type { DeviceConfig, PeerConfig } from '../noise/device-config.ts';
import type { Cidr, Endpoint } from '../noise/ip.ts';
import { hasTunnel } from './claims.ts';
import { isKey, keyBytes, keyText } from './key-text.ts';
import { standBysOf } from './leader.ts';
import type { MeshEndpoint, ReadyNode } from './node.ts';
import { isDoubted, RELAY_KEEPALIVE } from './relays.ts';
import { areCoLocated, type MeshPeer, type Segment, type Topology } from './topology.ts';

/**
 * Null for a node that does not lead: it has no tunnel. Allowed IPs are as a device would report them,
 * without host bits and each with one holder, so that a device that is right compares equal.
 */
export const wireguardConfig = (
  topology: Topology,
  privateKey?: Uint8Array,
  secretWith: SecretWith = () => undefined,
): DeviceConfig | null => {
  if (!topology.isLeader) return null;
  const { self } = topology;
  const peers: PeerConfig[] = [];
  const add = (claimant: Segment | MeshPeer, key: string, presharedKey?: Uint8Array): void => {
    if (!hasTunnel(topology, claimant)) return;
    const endpoint = dialable(claimant.endpointInForce);
    peers.push({
      publicKey: keyBytes(key),
      ...(presharedKey === undefined ? {} : { presharedKey }),
      ...(endpoint === null ? {} : { endpoint }),
      persistentKeepalive: keepaliveWith(topology, claimant),
      allowedIps: tunnelNetworks(topology, claimant),
    });
  };
  const secret = (node: ReadyNode, key: string) => secretWith(self.key, node, key);
  for (const segment of tunnelledSegments(topology))
    add(segment, segment.leader.key, secret(segment.leader, segment.leader.key));
  for (const peer of topology.peers) add(peer, peer.key, presharedKeyOf(peer));
  if (topology.claimsCount) peers.push(...prepared(topology, peers, secret));
  peers.push(...coming(topology, peers, secret));
  const config = { listenPort: self.endpoint.port, peers };
  return privateKey === undefined ? config : { privateKey, ...config };
};

/** What goes through the tunnel with a member: its own networks, unless a relay has them, and those that it passes on. */
export const tunnelNetworks = (
  { claims, relays }: Topology,
  claimant: Segment | MeshPeer,
): readonly Cidr[] => {
  const own = claims.networksOf(claimant);
  if (relays.size === 0 || !('leader' in claimant)) return own;
  const passedOn = [...relays].flatMap(([segment, relay]) =>
    relay === claimant ? claims.networksOf(segment) : [],
  );
  return relays.has(claimant) ? passedOn : [...own, ...passedOn];
};

/** Both ends of a tunnel that does not come about go on trying, and the way back from a relay stays open. */
export const keepaliveWith = ({ self, segment, relays }: Topology, claimant: Segment | MeshPeer): number => {
  if (self.persistentKeepalive > 0 || !('leader' in claimant)) return self.persistentKeepalive;
  const isNeeded = isDoubted(segment, claimant) || [...relays.values()].includes(claimant);
  return isNeeded ? RELAY_KEEPALIVE : 0;
};

/** The preshared key of a node with the key `own` and another with `key`; undefined: none. A secret. */
export type SecretWith = (own: string, node: ReadyNode, key: string) => Uint8Array | undefined;
type Secret = (node: ReadyNode, key: string) => Uint8Array | undefined;

const presharedKeyOf = ({ presharedKey }: MeshPeer): Uint8Array | undefined =>
  presharedKey !== undefined && isKey(presharedKey) ? keyBytes(presharedKey) : undefined;

/**
 * Tunnels without ranges, for those that may take over a segment: who does dials before it says so, and a device does not
 * answer one that it does not know.
 */
const prepared = (topology: Topology, peers: readonly PeerConfig[], secret: Secret): PeerConfig[] => {
  const taken = new Set([topology.self.key, ...peers.map(({ publicKey }) => keyText(publicKey))]);
  const fresh: PeerConfig[] = [];
  for (const node of tunnelledSegments(topology).flatMap(standBysOf)) {
    const { key } = node;
    if (taken.has(key)) continue;
    taken.add(key);
    const presharedKey = secret(node, key);
    fresh.push({
      publicKey: keyBytes(key),
      ...(presharedKey === undefined ? {} : { presharedKey }),
      persistentKeepalive: 0,
      allowedIps: [],
    });
  }
  return fresh;
};

/** Tunnels without ranges, for keys that leaders are about to turn to: they get the ranges once they are heard. */
const coming = (topology: Topology, peers: readonly PeerConfig[], secret: Secret): PeerConfig[] => {
  const taken = new Set([topology.self.key, ...peers.map(({ publicKey }) => keyText(publicKey))]);
  return tunnelledSegments(topology).flatMap(({ leader, endpointInForce }) => {
    const { nextKey } = leader;
    if (nextKey === undefined || taken.has(nextKey)) return [];
    taken.add(nextKey);
    const endpoint = dialable(endpointInForce);
    const presharedKey = secret(leader, nextKey);
    return [
      {
        publicKey: keyBytes(nextKey),
        ...(presharedKey === undefined ? {} : { presharedKey }),
        ...(endpoint === null ? {} : { endpoint }),
        persistentKeepalive: 0,
        allowedIps: [],
      },
    ];
  });
};

/** The segments a leader has a tunnel to; neighbours are reached on their private network. */
export const tunnelledSegments = (topology: Topology): Segment[] =>
  topology.segments.filter(
    (segment) => segment !== topology.segment && !areCoLocated(segment, topology.segment),
  );

/** A name that did not resolve is no endpoint yet; the peer stays, and is dialled once it does. */
const dialable = (endpoint: MeshEndpoint | undefined): Endpoint | null =>
  endpoint?.address === undefined ? null : { address: endpoint.address, port: endpoint.port };
