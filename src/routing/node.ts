/**
 * A node of the cluster as the mesh knows it: the record behind Kilo's node annotations.
 * Source: Kilo's annotations table (kilo.squat.ai/…, docs/annotations.md) and its readiness rule.
 * @module
 */

import { type Address, type Cidr, formatAddress } from '../noise/ip.ts';
import { isUnspecified } from './ip-prefix.ts';
import { isKey } from './key-text.ts';
import type { LeaderClaim } from './leader.ts';
import type { UnreachedSegments } from './relays.ts';
import type { AddressClaim } from './stable-addresses.ts';

export type Granularity = 'location' | 'full' | 'cross';

/** What an agent of this program can do, and says; `kilowire`: it is one. */
export type Ability =
  | 'kilowire'
  | 'leader-failover'
  | 'leases'
  | 'preshared-keys'
  | 'psk-dir'
  | 'relay'
  | 'stable-addresses';

/** Where datagrams go: a name, an address, or a name with the address it resolved to. */
export interface MeshEndpoint {
  readonly dns?: string;
  readonly address?: Address;
  readonly port: number;
}

export interface Node {
  readonly name: string;
  /** The location annotation, or the topology label; '' is a real location. */
  readonly location: string;
  /** Base64 of the WireGuard public key; '' when the node has published none. */
  readonly key: string;
  readonly endpoint?: MeshEndpoint;
  /** Private address with the prefix length of its network; without one the node stands alone. */
  readonly internalIP?: Cidr;
  /** Where neighbours find it in IPv6, when its private address is one of IPv4. */
  readonly internalIPv6?: Address;
  /** `spec.podCIDRs`; Kilo reads the first only. */
  readonly podCIDRs: readonly Cidr[];
  /** Volunteers to lead its location. */
  readonly leader: boolean;
  /** Seconds; 0 is off. Applies to every tunnel of this node, and marks its own endpoint as roaming. */
  readonly persistentKeepalive: number;
  /** What the node last published as its own address in the mesh. */
  readonly wireguardIP?: Cidr;
  /** Further ranges behind the node, such as the printer in its office. */
  readonly allowedLocationIPs: readonly Cidr[];
  /** Base64 public key → the address WireGuard last heard that key from. */
  readonly discoveredEndpoints: ReadonlyMap<string, MeshEndpoint>;
  /** Unix seconds of the last heart-beat. */
  readonly lastSeen: number;
  readonly granularity?: Granularity;
  /** Unix seconds: when the Node came into the cluster. */
  readonly createdAt?: number;
  /** Absent where another program is the agent. */
  readonly abilities?: ReadonlySet<Ability>;
  /** Base64: the public half of its second key pair, for preshared keys. */
  readonly pskKey?: string;
  /** Base64: the key it is about to turn to. */
  readonly nextKey?: string;
  /** Next keys of others that its device has. */
  readonly knownKeys?: readonly string[];
  /** The segment it last was in, and that segment's address. */
  readonly stableAddress?: AddressClaim;
  /** By what it leads, or has led. */
  readonly leaderClaim?: LeaderClaim;
  /** Leaders of other segments that it finds failing, each since when in Unix seconds. */
  readonly failingLeaders?: ReadonlyMap<string, number>;
  /** Segments that it, as a leader, does not reach. */
  readonly unreached?: UnreachedSegments;
  /** Its owner's word: whether its location passes on what others send each other; absent: when nobody else is offered. */
  readonly relay?: boolean;
  /** The address of `cilium_host`, where cilium carries the pods. */
  readonly cniCompatibilityIP?: Cidr;
}

/** A node that may take part: what the topology needs of it is there. */
export interface ReadyNode extends Node {
  readonly endpoint: MeshEndpoint;
  readonly podCIDRs: readonly [Cidr, ...Cidr[]];
}

/** Kilo counts a node as gone when its heart-beat is this old. */
export const NODE_LIFETIME_SECONDS = 60;

export const hasEndpoint = (endpoint: MeshEndpoint | undefined): endpoint is MeshEndpoint =>
  endpoint !== undefined &&
  (endpoint.dns !== undefined || (endpoint.address !== undefined && endpoint.port > 0));

/** `now` in Unix seconds. */
export const isFresh = (lastSeen: number, now: number): boolean => now - lastSeen < NODE_LIFETIME_SECONDS;

/** Why a node is left out, in words for its owner; null when it takes part. `now` in Unix seconds. */
export const whyNotReady = (node: Node, now: number): string | null => {
  if (!hasEndpoint(node.endpoint)) return 'it has no endpoint yet';
  if (!isKey(node.key)) return 'it has not published a WireGuard key';
  if (node.podCIDRs.length === 0) return 'it has no pod CIDR';
  if (!isFresh(node.lastSeen, now)) return `its last heart-beat is ${now - node.lastSeen} s old`;
  return null;
};

export const isReadyNode = (node: Node, now: number): node is ReadyNode => whyNotReady(node, now) === null;

export const podCIDROf = (node: ReadyNode): Cidr => node.podCIDRs[0];

export const privateAddressOf = (node: Node): Address | null => node.internalIP?.address ?? null;

/** A zone or an unspecified address in a discovery is of no use to another host. */
export const isDialable = (endpoint: MeshEndpoint): boolean =>
  endpoint.port > 0 && endpoint.address !== undefined && !isUnspecified(endpoint.address);

/** "name:port", or "1.2.3.4:port", or "[v6]:port": the name is preferred, as in Kilo's own output. */
export const formatMeshEndpoint = (endpoint: MeshEndpoint): string => {
  if (endpoint.dns !== undefined) return `${endpoint.dns}:${endpoint.port}`;
  if (endpoint.address === undefined) return '';
  const text = formatAddress(endpoint.address);
  return endpoint.address.length === 16 ? `[${text}]:${endpoint.port}` : `${text}:${endpoint.port}`;
};
