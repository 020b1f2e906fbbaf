/**
 * What an agent says of its own node: what the user forces, what it said before, and what it finds on the host.
 * Source: Kilo's rules for endpoint and internal-ip. Kilo never looks at either again once it is set; here what this
 * program found by itself is found anew when the host's address changes, and a private address that the host no longer has
 * is let go: the kernel refuses routes that name it.
 * @module
 */
import type { Address, Cidr } from '../noise/ip.ts';
import type { MeshEndpoint, Node } from '../routing/node.ts';
import { DETECTED_ENDPOINT, ENDPOINT, FORCE_ENDPOINT, FORCE_INTERNAL_IP } from './annotations.ts';
import type { OwnNode } from './cluster.ts';
import { parseMeshEndpoint } from './endpoint-text.ts';
import type { OwnAddresses } from './host/own-addresses.ts';

export interface OwnNodeOptions {
  readonly port: number;
  readonly prioritisePrivateAddresses: boolean;
}

export interface OwnEndpoint {
  readonly endpoint: MeshEndpoint | null;
  /** The endpoint when it was found by this program and may change with the host. */
  readonly detected: MeshEndpoint | null;
}

export const ownEndpoint = (
  { annotations }: Pick<OwnNode, 'annotations'>,
  addresses: OwnAddresses,
  options: OwnNodeOptions,
): OwnEndpoint => {
  const forced = parseMeshEndpoint(annotations[FORCE_ENDPOINT] ?? '');
  if (forced !== null) return { endpoint: forced, detected: null };
  const text = annotations[ENDPOINT] ?? '';
  const said = parseMeshEndpoint(text);
  const ours = annotations[DETECTED_ENDPOINT] === text;
  if (said !== null && !ours) return { endpoint: said, detected: null };
  const found = foundEndpoint(addresses, options);
  return { endpoint: found ?? said, detected: found };
};

const foundEndpoint = (addresses: OwnAddresses, options: OwnNodeOptions): MeshEndpoint | null => {
  const preferred = options.prioritisePrivateAddresses ? addresses.private?.address : undefined;
  const address = preferred ?? addresses.public;
  return address === null ? null : { address, port: options.port };
};

export const ownInternalIP = (
  { annotations, record }: Pick<OwnNode, 'annotations' | 'record'>,
  addresses: OwnAddresses,
  isOnHost: (address: Address) => boolean,
): Cidr | null => {
  if (record.noInternalIP) return null;
  const said = record.node.internalIP;
  const forced = annotations[FORCE_INTERNAL_IP] !== undefined && said !== undefined;
  if (said !== undefined && (forced || isOnHost(said.address))) return said;
  return addresses.private;
};

/** Annotations that are not yet as wanted; the heart-beat alone is no reason to write. */
export const changedAnnotations = (
  have: Readonly<Record<string, string>>,
  want: Readonly<Record<string, string>>,
  ignored: readonly string[] = [],
): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(want).filter(([name, text]) => have[name] !== text && !ignored.includes(name)),
  );

/** Where the device heard from: nodes that keep a NAT open, and Peers, each after a handshake. */
export const discoveredBy = (
  device: {
    readonly peers: readonly {
      readonly key: string;
      readonly endpoint?: MeshEndpoint;
      readonly heard: boolean;
    }[];
  },
  nodes: readonly Pick<Node, 'key' | 'persistentKeepalive'>[],
  peers: readonly { readonly key: string }[],
): ReadonlyMap<string, MeshEndpoint> => {
  const wanted = new Set([
    ...nodes.filter(({ persistentKeepalive }) => persistentKeepalive > 0).map(({ key }) => key),
    ...peers.map(({ key }) => key),
  ]);
  const found = new Map<string, MeshEndpoint>();
  for (const { key, endpoint, heard } of device.peers)
    if (heard && endpoint?.address !== undefined && wanted.has(key)) found.set(key, endpoint);
  return found;
};
