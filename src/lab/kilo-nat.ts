/**
 * Kilo's NAT on a node, as nftables: what leaves the mesh is masqueraded, what stays in it is not. Agents program it by
 * iptables; this is for a machine that has none, so that the lab needs nothing to be installed.
 * Source: kilo.md §5.6 by way of routing/nat.ts; chain names and comments are Kilo's own.
 * @module
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  addChain,
  addRule,
  applyNftables,
  type Change,
  openNftablesSocket,
  recreateTable,
} from '../linux/nftables.ts';
import { jump, masquerade, returnToCaller } from '../linux/nftables-action.ts';
import { ip } from '../linux/nftables-match.ts';
import type { Statement } from '../linux/nftables-rule.ts';
import { cidr, formatCidr } from '../noise/ip.ts';
import { desiredFilter, type FilterRule } from '../routing/nat.ts';
import type { Topology } from '../routing/topology.ts';
import type { Host } from './host.ts';
import { SERVICE_CIDR } from './plan.ts';

const TABLE = { family: 'ip', name: 'kilo' } as const;

const verdictOf = (rule: FilterRule): Statement => {
  switch (rule.verdict) {
    case 'RETURN':
      return returnToCaller();
    case 'MASQUERADE':
      return masquerade();
    default:
      return jump(rule.verdict);
  }
};

const change = (rule: FilterRule, first: boolean): Change =>
  addRule(
    TABLE,
    rule.chain,
    [
      ...(rule.source === undefined ? [] : [ip.saddr.is(formatCidr(rule.source))]),
      ...(rule.destination === undefined ? [] : [ip.daddr.is(formatCidr(rule.destination))]),
      verdictOf(rule),
    ],
    { comment: rule.comment, first },
  );

const isIpv4Nat = (item: { readonly family: number; readonly table: string }): boolean =>
  item.family === 4 && item.table === 'nat';

/** Whether agents find what they program the packet filter with. */
export const hasIptables = (): boolean =>
  (process.env.PATH ?? '').split(':').some((directory) => existsSync(join(directory, 'iptables-restore')));

/** Replaces what an earlier topology asked for. */
export function programKiloNat(host: Host, topology: Topology): void {
  const { append, prepend } = desiredFilter(topology, {
    serviceCIDRs: [cidr(SERVICE_CIDR)],
    encapsulation: 'never',
  });
  const rules = (items: readonly { readonly kind: string }[]): FilterRule[] =>
    items.filter((item): item is FilterRule => item.kind === 'rule');
  const nftables = host.enter(openNftablesSocket);
  try {
    applyNftables(nftables, [
      recreateTable(TABLE),
      addChain(TABLE, { name: 'KILO-NAT' }),
      addChain(TABLE, { name: 'POSTROUTING', base: { type: 'nat', hook: 'postrouting', priority: 100 } }),
      ...rules(append.filter(isIpv4Nat)).map((rule) => change(rule, false)),
      ...prepend.filter(isIpv4Nat).map((rule) => change(rule, true)),
    ]);
  } finally {
    nftables.close();
  }
}
