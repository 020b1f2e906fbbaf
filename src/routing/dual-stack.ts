/**
 * Pods of two address families over private networks of one or both: where to hand a neighbour's packets.
 * Source: RFC 4213 §2 (both stacks side by side), RFC 5549 in rtnetlink(7)'s RTA_VIA (IPv4 by an IPv6 next hop). Kilo knows
 * one pod CIDR and one private address a node.
 * @module
 */
import { type Address, type Cidr, formatCidr, isIpv6 } from '../noise/ip.ts';
import { type Node, privateAddressOf, type ReadyNode } from './node.ts';
import type { Problem } from './problem.ts';

/** A gateway may stand for a destination of another family only as IPv6 for IPv4. */
export const neighbourGateway = (member: Node, destination: Cidr): Address | null => {
  const own = privateAddressOf(member);
  if (own === null || own.length === destination.address.length) return own;
  return isIpv6(own) ? own : (member.internalIPv6 ?? null);
};

/** Nodes whose IPv6 pods no neighbour can hand anything to. `near`: groups of those who have no tunnel among them. */
export const withoutIpv6Way = (near: readonly (readonly ReadyNode[])[]): Problem[] =>
  near
    .filter((group) => group.length > 1)
    .flat()
    .flatMap((member) => {
      const lost = member.podCIDRs.find((cidr) => neighbourGateway(member, cidr) === null);
      if (lost === undefined || member.internalIP === undefined) return [];
      const subject = { kind: 'node', name: member.name } as const;
      const message = `The pods ${formatCidr(lost)} of "${member.name}" are not reached inside its location: the node has no IPv6 address beside its private one. Give it one, or use --mesh-granularity=full.`;
      return [{ code: 'ipv6-pods-unreached', subject, message }];
    });
