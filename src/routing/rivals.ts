/**
 * Nodes that have what another node has: its key, its pods' range, its private address, its endpoint. The mesh can serve only one
 * of them. The node that was in the cluster first keeps it, so that what comes later costs itself only.
 * Source: Kilo has no rule for this: of two ranges the tunnel that is configured last gets the packets, of two keys the last peer.
 * With an agent of Kilo in the mesh nobody is left out, since it would not know.
 * @module
 */

import { type Cidr, formatAddress, formatCidr } from '../noise/ip.ts';
import { networkKey } from './ip-prefix.ts';
import { formatMeshEndpoint, type ReadyNode } from './node.ts';
import type { Problem } from './problem.ts';
import { byName } from './text-order.ts';

interface Leading {
  readonly leader: ReadyNode;
  readonly nodeLocation: string;
  readonly members: readonly ReadyNode[];
}

/** The nodes without those whose key or pods' range an older one has; nodes keep their order. */
export const withoutRivals = (nodes: readonly ReadyNode[], problems: Problem[]): readonly ReadyNode[] => {
  if (nodes.some(({ abilities }) => abilities?.has('kilowire') !== true)) return nodes;
  const rivals = rivalsOf(nodes);
  if (rivals.size === 0) return nodes;
  const out = new Set<ReadyNode>();
  for (const node of [...rivals.keys()].toSorted(byAge)) {
    const holder = rivals.get(node)?.find(({ other }) => !out.has(other) && byAge(other, node) < 0);
    if (holder === undefined) continue;
    out.add(node);
    const message = `Node "${node.name}" is left out: ${holder.what} is that of "${holder.other.name}", which was here before.`;
    const code = holder.isKey ? 'key-repeated' : 'pod-cidr-repeated';
    problems.push({ code, subject: { kind: 'node', name: node.name }, message });
  }
  return nodes.filter((node) => !out.has(node));
};

interface Rival {
  readonly other: ReadyNode;
  readonly what: string;
  readonly isKey: boolean;
}

/** Of each node that meets another, whom it meets and in what. */
const rivalsOf = (nodes: readonly ReadyNode[]): ReadonlyMap<ReadyNode, readonly Rival[]> => {
  const rivals = new Map<ReadyNode, Rival[]>();
  const meet = (a: ReadyNode, b: ReadyNode, whatOf: (node: ReadyNode) => string, isKey: boolean): void => {
    for (const [node, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const known = rivals.get(node) ?? [];
      known.push({ other, what: whatOf(node), isKey });
      rivals.set(node, known);
    }
  };
  const byKey = groups(nodes, ({ key }) => key);
  for (const same of byKey.values())
    for (const [at, a] of same.entries())
      for (const b of same.slice(at + 1)) meet(a, b, () => 'its WireGuard key', true);

  const holders = new Map<string, { readonly node: ReadyNode; readonly cidr: Cidr }[]>();
  const lengths = new Set<number>();
  for (const node of nodes) {
    for (const cidr of node.podCIDRs) {
      const key = networkKey(cidr);
      const known = holders.get(key);
      if (known === undefined) holders.set(key, [{ node, cidr }]);
      else known.push({ node, cidr });
      lengths.add(cidr.prefix);
    }
  }
  for (const node of nodes) {
    for (const cidr of node.podCIDRs) {
      for (const prefix of lengths) {
        if (prefix > cidr.prefix) continue;
        for (const holder of holders.get(networkKey({ address: cidr.address, prefix })) ?? []) {
          const isOne = holder.node === node || holder.cidr.address.length !== cidr.address.length;
          // Of two equal ranges each finds the other.
          if (isOne || (prefix === cidr.prefix && byName(node, holder.node) > 0)) continue;
          const range = (of: ReadyNode): string => formatCidr(of === node ? cidr : holder.cidr);
          meet(node, holder.node, (of) => `its pod CIDR ${range(of)}`, false);
        }
      }
    }
  }
  return rivals;
};

/** What costs nobody his place, but works for one only. */
export const repetitions = (segments: readonly Leading[]): Problem[] => {
  const problems: Problem[] = [];
  const members = segments.flatMap((segment) => segment.members.map((member) => ({ ...segment, member })));
  const neighbours = groups(members, ({ nodeLocation, member: { internalIP } }) =>
    internalIP === undefined ? '' : `${formatAddress(internalIP.address)} ${nodeLocation}`,
  );
  const tell = (
    code: Problem['code'],
    nodes: readonly ReadyNode[],
    what: (node: ReadyNode) => string,
  ): void => {
    const [first, ...others] = nodes.toSorted(byAge);
    for (const node of others) {
      const message = `Node "${node.name}" has ${what(node)}, as "${first?.name}" has, which was here before: only one of them is reached there.`;
      problems.push({ code, subject: { kind: 'node', name: node.name }, message });
    }
  };
  for (const same of neighbours.values())
    tell(
      'private-address-repeated',
      same.map(({ member }) => member),
      ({ internalIP }) =>
        `the private address ${internalIP === undefined ? '' : formatAddress(internalIP.address)}`,
    );
  const dialled = groups(segments, ({ leader: { endpoint } }) =>
    endpoint.address === undefined
      ? ''
      : formatMeshEndpoint({ address: endpoint.address, port: endpoint.port }),
  );
  for (const same of dialled.values())
    tell(
      'endpoint-repeated',
      same.map(({ leader }) => leader),
      ({ endpoint }) => `the endpoint ${formatMeshEndpoint(endpoint)}`,
    );
  return problems;
};

/** Those with one key, together, where there are several; '' is no key. */
const groups = <Item>(items: readonly Item[], keyOf: (item: Item) => string): ReadonlyMap<string, Item[]> => {
  const all = new Map<string, Item[]>();
  for (const item of items) {
    const key = keyOf(item);
    const known = all.get(key);
    if (known === undefined) all.set(key, [item]);
    else known.push(item);
  }
  return new Map([...all].filter(([key, same]) => key !== '' && same.length > 1));
};

/** Who is younger comes later; of one age, by name. */
const byAge = (a: ReadyNode, b: ReadyNode): number =>
  (a.createdAt ?? Number.POSITIVE_INFINITY) === (b.createdAt ?? Number.POSITIVE_INFINITY)
    ? byName(a, b)
    : (a.createdAt ?? Number.POSITIVE_INFINITY) - (b.createdAt ?? Number.POSITIVE_INFINITY);
