/**
 * The names the mesh uses on a host.
 * Source: Kilo's flags (--interface, --encapsulate, --compatibility, --local) and its encapsulators.
 * @module
 */

import { type Address, network } from '../noise/ip.ts';
import { podCIDROf, privateAddressOf, type ReadyNode } from './node.ts';

export interface Links {
  /** The WireGuard link, `kilo0`. */
  readonly wireguard: string;
  /** The link that carries the private address; null when the host has none. */
  readonly private: string | null;
  /** The link that wraps packets inside a location, `tunl0`. */
  readonly tunnel: string;
}

/** When packets inside a location are wrapped; `crosssubnet`: only when the next hop is in another subnet. */
export type Encapsulation = 'never' | 'crosssubnet' | 'always';

/** Who wraps them: plain IPIP, or the overlay of another network plugin. */
export type Encapsulator = 'ipip' | 'flannel' | 'cilium';

/** Where to hand a packet for a member of the own location. */
export const gatewayOf = (member: ReadyNode, encapsulator: Encapsulator): Address | null => {
  if (encapsulator === 'ipip') return privateAddressOf(member);
  // An overlay answers for the network address of a node's pods.
  const overlay = network(podCIDROf(member)).address;
  return encapsulator === 'cilium' ? (member.cniCompatibilityIP?.address ?? overlay) : overlay;
};
