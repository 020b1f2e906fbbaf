/**
 * The fixed part of a network's nftables table: sets, chains and rules, the same for every attachment. Laid out anew in
 * one transaction when an earlier version, or another mark, laid it out before; the elements stay.
 * @module
 */
import {
  addChain,
  addRule,
  addSet,
  addTable,
  type Change,
  claimElements,
  deleteElements,
  flushChain,
  type Table,
} from '../linux/nftables.ts';
import { dnat, jump, masquerade, setPacketMark } from '../linux/nftables-action.ts';
import { concat, fib, ip, ip6, markBits, metaKey, th } from '../linux/nftables-match.ts';
import type { Statement } from '../linux/nftables-rule.ts';
import type { SetSpec } from '../linux/nftables-set.ts';

const layout = 2;

/** Holds the layout's key; claiming it decides which of several ADDs makes the table. */
export const made: SetSpec = { name: 'made', key: ['mark'] };

interface FamilySets {
  readonly masquerade: SetSpec;
  readonly subnets: SetSpec;
  readonly ports: SetSpec;
  readonly masqPorts: SetSpec;
  readonly hostports: SetSpec;
  readonly hostipPorts: SetSpec;
}

function setsOf(family: 4 | 6): FamilySets {
  const address = family === 4 ? 'ipv4_addr' : 'ipv6_addr';
  const port = ['inet_proto', 'inet_service'] as const;
  return {
    masquerade: { name: `masquerade${family}`, key: [address], interval: true },
    subnets: { name: `subnets${family}`, key: [address], interval: true },
    ports: { name: `ports${family}`, key: port },
    masqPorts: { name: `masq_ports${family}`, key: port },
    hostports: { name: `hostports${family}`, key: port, data: [address, 'inet_service'] },
    hostipPorts: { name: `hostip_ports${family}`, key: [address, ...port], data: [address, 'inet_service'] },
  };
}

export const sets = { 4: setsOf(4), 6: setsOf(6) };
export const families = [4, 6] as const;

/** What tells one layout from another: its number, and the bit of the mark. */
export const layoutKey = (markBit: number): number => layout | (markBit << 8);

const chains = ['prerouting', 'output', 'postrouting', 'hostports'];

/** `stale` are the keys of layouts that are there. */
export function layOut(table: Table, markBit: number, stale: readonly number[]): readonly Change[] {
  const mark = 2 ** markBit;
  const base = (name: 'prerouting' | 'output' | 'postrouting', priority: number): Change =>
    addChain(table, { name, base: { type: 'nat', hook: name, priority } });
  const rule = (chain: string, ...statements: readonly Statement[]): Change =>
    addRule(table, chain, statements);
  return [
    addTable(table),
    addSet(table, made),
    claimElements(table, made, [{ key: layoutKey(markBit) }]),
    ...families.flatMap((family) => Object.values(sets[family]).map((set: SetSpec) => addSet(table, set))),
    base('prerouting', -100),
    base('output', -100),
    base('postrouting', 100),
    addChain(table, { name: 'hostports' }),
    ...(stale.length === 0
      ? []
      : [
          deleteElements(
            table,
            made,
            stale.map((key) => ({ key })),
          ),
          ...chains.map((chain) => flushChain(table, chain)),
        ]),
    rule('prerouting', fib.daddrType.is('local'), jump('hostports')),
    rule('output', fib.daddrType.is('local'), jump('hostports')),
    rule('postrouting', markBits(mark).is(mark), masquerade()),
    ...families.flatMap((family) => rulesOf(family, mark, rule)),
  ];
}

function rulesOf(
  family: 4 | 6,
  bit: number,
  rule: (chain: string, ...statements: readonly Statement[]) => Change,
): readonly Change[] {
  const { saddr, daddr } = family === 4 ? ip : ip6;
  const names = sets[family];
  const multicast = family === 4 ? '224.0.0.0/4' : 'ff00::/8';
  const local = family === 4 ? '127.0.0.0/8' : '::1';
  const nfproto = metaKey.nfproto.is(family === 4 ? 'ipv4' : 'ipv6');
  const port = concat(metaKey.l4proto, th.dport);
  const mark = setPacketMark(bit, bit);
  const target = { port: true, family } as const;
  return [
    rule(
      'postrouting',
      saddr.in(names.masquerade.name),
      daddr.notIn(names.masquerade.name),
      daddr.not(multicast),
      masquerade(),
    ),
    rule('hostports', saddr.in(names.subnets.name), port.in(names.ports.name), mark),
    rule('hostports', saddr.is(local), port.in(names.ports.name), mark),
    rule('hostports', nfproto, port.in(names.masqPorts.name), mark),
    rule(
      'hostports',
      dnat({ key: concat(daddr, metaKey.l4proto, th.dport), map: names.hostipPorts.name, ...target }),
    ),
    rule('hostports', nfproto, dnat({ key: port, map: names.hostports.name, ...target })),
  ];
}
