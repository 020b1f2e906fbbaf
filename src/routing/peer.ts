/**
 * A Peer: a laptop, a phone or another cluster's node, declared by the cluster-wide Peer resource.
 * Source: Kilo's Peer CRD (kilo.squat.ai/v1alpha1) and how its agent reads it.
 * @module
 */

import { type Cidr, formatCidr } from '../noise/ip.ts';
import { isKey } from './key-text.ts';
import type { MeshEndpoint } from './node.ts';
import { byName, compareText } from './text-order.ts';

export interface Peer {
  readonly name: string;
  /** Base64 of the WireGuard public key. */
  readonly key: string;
  /** Base64; a secret. */
  readonly presharedKey?: string;
  readonly endpoint?: MeshEndpoint;
  /** Seconds; non-zero marks the endpoint as roaming. Nodes do not send keepalives because of it. */
  readonly persistentKeepalive: number;
  readonly allowedIPs: readonly Cidr[];
  /** Unix seconds: from then on whoever makes a view leaves it out. */
  readonly expires?: number;
  /** It may send to these only, which leaders see to in their packet filter; without it there is no bound. */
  readonly allow?: readonly Cidr[];
}

/** Why a Peer is left out; null when it takes part. An endpoint is not needed. */
export const whyPeerNotReady = (peer: Peer): string | null => {
  if (!isKey(peer.key)) return 'its publicKey is not a WireGuard key';
  if (peer.allowedIPs.length === 0) return 'it has no allowedIPs';
  if (peer.allow !== undefined && peer.allowedIPs.some(({ prefix }) => prefix === 0))
    return 'it is bound to what kilowire.dev/allow says, and a sender of everything cannot be told from others: take the default route out of its allowedIPs';
  return null;
};

export const isReadyPeer = (peer: Peer): boolean => whyPeerNotReady(peer) === null;

/** By name, and by key where two hands gave one name, so that input order never shows. */
export const sortPeers = (peers: readonly Peer[]): Peer[] =>
  peers.toSorted((a, b) => byName(a, b) || compareText(a.key, b.key));

/**
 * Takes from later peers the allowed IPs that an earlier one holds already. Compares text, host bits
 * included, as Kilo does; a peer left with none stays, since its tunnel is still configured.
 */
export const withoutRepeatedIPs = (peers: readonly Peer[]): Peer[] => {
  const seen = new Set<string>();
  return peers.map((peer) => ({
    ...peer,
    allowedIPs: peer.allowedIPs.filter((cidr) => {
      const text = formatCidr(cidr);
      if (seen.has(text)) return false;
      seen.add(text);
      return true;
    }),
  }));
};
