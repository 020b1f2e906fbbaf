/**
 * A Peer resource as another cluster would apply it.
 * Source: the CRD kilo.squat.ai/v1alpha1 and the order `kgctl showconf --as-peer` prints its fields in. A missing
 * endpoint is left out, a name stays a name and the keepalive is in seconds: Kilo's own output is refused
 * by its own validation in these three.
 * @module
 */

import { formatAddress, formatCidr } from '../noise/ip.ts';
import type { PrintedPeer } from './peer-config.ts';

export interface PeerManifest {
  readonly apiVersion: 'kilo.squat.ai/v1alpha1';
  readonly kind: 'Peer';
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly allowedIPs: readonly string[];
    readonly endpoint?: {
      readonly dnsOrIP: { readonly dns: string } | { readonly ip: string };
      readonly port: number;
    };
    readonly persistentKeepalive?: number;
    readonly presharedKey?: string;
    readonly publicKey: string;
  };
}

export const peerManifest = (name: string, peer: PrintedPeer): PeerManifest => {
  const { endpoint } = peer;
  const host =
    endpoint?.dns !== undefined
      ? { dns: endpoint.dns }
      : endpoint?.address !== undefined
        ? { ip: formatAddress(endpoint.address) }
        : null;
  return {
    apiVersion: 'kilo.squat.ai/v1alpha1',
    kind: 'Peer',
    metadata: { name },
    spec: {
      allowedIPs: peer.allowedIPs.map(formatCidr),
      ...(endpoint === undefined || host === null
        ? {}
        : { endpoint: { dnsOrIP: host, port: endpoint.port } }),
      ...(peer.persistentKeepalive === 0 ? {} : { persistentKeepalive: peer.persistentKeepalive }),
      ...(peer.presharedKey === undefined ? {} : { presharedKey: peer.presharedKey }),
      publicKey: peer.publicKey,
    },
  };
};
