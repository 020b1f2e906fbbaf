/**
 * A printed configuration as plain values, for JSON and YAML.
 * @module
 */

import { formatCidr } from '../noise/ip.ts';
import { formatMeshEndpoint } from './node.ts';
import type { PrintedPeer } from './peer-config.ts';

export interface ShownPeer {
  readonly publicKey: string;
  readonly presharedKey?: string;
  readonly endpoint?: string;
  readonly allowedIPs: readonly string[];
  /** Seconds. */
  readonly persistentKeepalive: number;
}

export const shownPeer = (peer: PrintedPeer): ShownPeer => ({
  publicKey: peer.publicKey,
  ...(peer.presharedKey === undefined ? {} : { presharedKey: peer.presharedKey }),
  ...(peer.endpoint === undefined ? {} : { endpoint: formatMeshEndpoint(peer.endpoint) }),
  allowedIPs: peer.allowedIPs.map(formatCidr),
  persistentKeepalive: peer.persistentKeepalive,
});
