/**
 * Changes to nftables, without the nft command: tables, chains, rules, sets and maps as values, put into effect by
 * `applyNftables` in one transaction, all or nothing.
 *
 *     applyNftables(socket, [
 *       addTable(table),
 *       addChain(table, { name: 'postrouting', base: { type: 'nat', hook: 'postrouting', priority: 100 } }),
 *       addSet(table, local), addElements(table, local, [{ key: '10.0.0.0/8' }]),
 *       addRule(table, 'postrouting', [ip.saddr.is('10.42.0.0/16'), ip.daddr.notIn('local'), masquerade()]),
 *     ]);
 *
 * Sources: include/uapi/linux/netfilter/nfnetlink.h, nf_tables.h; the batch is described in libnftnl's examples only.
 * Reading back is nftables-list.ts.
 * @module
 */
import { NETLINK_NETFILTER, NetlinkSocket, type Request } from './netlink.ts';
import {
  type MessageWriter,
  NLM_F_APPEND,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REPLACE,
} from './netlink-message.ts';
import { be32, nextSetId, RuleWriter, type Statement } from './nftables-rule.ts';
import { commentBytes, type Element, elementBodies, type SetSpec, writeSet } from './nftables-set.ts';
import type { TableFamily } from './nftables-type.ts';

export const NFNL_SUBSYS_NFTABLES = 10;
export const NFT_MSG_NEWTABLE = 0;
export const NFT_MSG_GETTABLE = 1;
export const NFT_MSG_DELTABLE = 2;
export const NFT_MSG_NEWCHAIN = 3;
export const NFT_MSG_GETCHAIN = 4;
export const NFT_MSG_DELCHAIN = 5;
export const NFT_MSG_NEWRULE = 6;
export const NFT_MSG_GETRULE = 7;
export const NFT_MSG_DELRULE = 8;
export const NFT_MSG_NEWSET = 9;
export const NFT_MSG_GETSET = 10;
export const NFT_MSG_DELSET = 11;
export const NFT_MSG_NEWSETELEM = 12;
export const NFT_MSG_GETSETELEM = 13;
export const NFT_MSG_DELSETELEM = 14;
export const NFT_MSG_GETGEN = 16;
const NFNL_MSG_BATCH_BEGIN = 16;
const NFNL_MSG_BATCH_END = 17;

/** NFPROTO_… */
export const FAMILIES: Readonly<Record<TableFamily, number>> = {
  inet: 1,
  ip: 2,
  arp: 3,
  netdev: 5,
  bridge: 7,
  ip6: 10,
};

export interface Table {
  readonly family: TableFamily;
  readonly name: string;
}

/** NF_INET_… and, with the same numbers, NF_BR_… */
export const HOOKS = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 } as const;

export interface BaseChain {
  readonly type: 'filter' | 'nat' | 'route';
  readonly hook: keyof typeof HOOKS;
  /** Lower runs first: raw -300, mangle -150, dstnat -100, filter 0, security 50, srcnat 100. */
  readonly priority: number;
  readonly policy?: 'accept' | 'drop' | undefined;
}

export interface ChainSpec {
  readonly name: string;
  /** Where packets enter it; without one it is only jumped to. */
  readonly base?: BaseChain | undefined;
}

/** What one of the functions below stands for: one or several messages. */
export type Change = readonly Request[];

export const openNftablesSocket = (): NetlinkSocket => NetlinkSocket.open({ protocol: NETLINK_NETFILTER });

/** struct nfgenmsg; the resource id is big endian. */
export const writeFamily = (w: MessageWriter, family: number, resource = 0): void => {
  w.u8(family);
  w.u8(0);
  w.be16(resource);
};

const batchEdge = (name: string, type: number): Request => ({
  name,
  subject: 'the nftables transaction',
  type,
  flags: 0,
  body: (w) => writeFamily(w, 0, NFNL_SUBSYS_NFTABLES),
});

/** Throws NetlinkError for the first change the kernel refuses, and then none of them is in effect. */
export const applyNftables = (socket: NetlinkSocket, changes: readonly Change[]): void =>
  socket.transaction(
    batchEdge('NFNL_MSG_BATCH_BEGIN', NFNL_MSG_BATCH_BEGIN),
    changes.flat(),
    batchEdge('NFNL_MSG_BATCH_END', NFNL_MSG_BATCH_END),
  );

const message = (
  name: string,
  type: number,
  flags: number,
  table: Table,
  what: string,
  body: (w: MessageWriter) => void,
): Request => ({
  name,
  subject: `${what}${what && ' of '}table ${table.family} ${table.name}`,
  type: (NFNL_SUBSYS_NFTABLES << 8) | type,
  flags,
  body: (w) => {
    writeFamily(w, FAMILIES[table.family]);
    // NFTA_…_TABLE, and for tables their name, is 1 in every message.
    w.attribute(1, () => w.text(table.name));
    body(w);
  },
});

const noBody = (): void => {};

/** No error when it is there already. */
export const addTable = (table: Table): Change => [
  message('NFT_MSG_NEWTABLE', NFT_MSG_NEWTABLE, NLM_F_CREATE, table, '', noBody),
];

/** With everything in it. Fails with ENOENT when there is none; put addTable before it to delete what may be absent. */
export const deleteTable = (table: Table): Change => [
  message('NFT_MSG_DELTABLE', NFT_MSG_DELTABLE, 0, table, '', noBody),
];

/** The table, empty, whether or not it was there. */
export const recreateTable = (table: Table): Change => [
  ...addTable(table),
  ...deleteTable(table),
  ...addTable(table),
];

/** The table gone, whether or not it was there. */
export const removeTable = (table: Table): Change => [...addTable(table), ...deleteTable(table)];

export const addChain = (table: Table, chain: ChainSpec): Change => [
  message('NFT_MSG_NEWCHAIN', NFT_MSG_NEWCHAIN, NLM_F_CREATE, table, `chain ${chain.name}`, (w) => {
    w.attribute(3 /* NFTA_CHAIN_NAME */, () => w.text(chain.name));
    const { base } = chain;
    if (base === undefined) return;
    w.nested(4 /* NFTA_CHAIN_HOOK */, () => {
      be32(w, 1 /* NFTA_HOOK_HOOKNUM */, HOOKS[base.hook]);
      be32(w, 2 /* NFTA_HOOK_PRIORITY */, base.priority >>> 0);
    });
    be32(w, 5 /* NFTA_CHAIN_POLICY */, base.policy === 'drop' ? 0 : 1);
    w.attribute(7 /* NFTA_CHAIN_TYPE */, () => w.text(base.type));
  }),
];

export const deleteChain = (table: Table, name: string): Change => [
  message('NFT_MSG_DELCHAIN', NFT_MSG_DELCHAIN, 0, table, `chain ${name}`, (w) =>
    w.attribute(3, () => w.text(name)),
  ),
];

/** Takes all rules out of a chain. */
export const flushChain = (table: Table, name: string): Change => [
  message('NFT_MSG_DELRULE', NFT_MSG_DELRULE, 0, table, `all rules of chain ${name}`, (w) =>
    w.attribute(2 /* NFTA_RULE_CHAIN */, () => w.text(name)),
  ),
];

export interface RuleOptions {
  readonly comment?: string;
  /** At the chain's beginning instead of its end. */
  readonly first?: boolean;
  /** In place of the rule with this handle. */
  readonly replace?: number;
}

export const addRule = (
  table: Table,
  chain: string,
  statements: readonly Statement[],
  options: RuleOptions = {},
): Change => {
  const rule = new RuleWriter(table.family);
  for (const statement of statements) statement(rule);
  const expressions = rule.expressions;
  const title = options.comment === undefined ? `of ${rule.names.join(', ')}` : `"${options.comment}"`;
  const what = `rule ${title} in chain ${chain}`;
  const replace = options.replace;
  const flags = replace === undefined ? NLM_F_CREATE | (options.first ? 0 : NLM_F_APPEND) : NLM_F_REPLACE;
  return [
    ...rule.sets.flatMap(({ set, id, elements }) => [
      ...declareSet(table, set, id),
      ...elementMessages(table, set, elements, { id }),
    ]),
    message('NFT_MSG_NEWRULE', NFT_MSG_NEWRULE, flags, table, what, (w) => {
      w.attribute(2 /* NFTA_RULE_CHAIN */, () => w.text(chain));
      if (replace !== undefined) w.attribute(3 /* NFTA_RULE_HANDLE */, () => w.be64(replace));
      w.nested(4 /* NFTA_RULE_EXPRESSIONS */, () => w.raw(expressions));
      const { comment } = options;
      if (comment !== undefined) w.attribute(7 /* NFTA_RULE_USERDATA */, () => w.raw(commentBytes(comment)));
    }),
  ];
};

export const deleteRule = (table: Table, chain: string, handle: number): Change => [
  message('NFT_MSG_DELRULE', NFT_MSG_DELRULE, 0, table, `rule ${handle} of chain ${chain}`, (w) => {
    w.attribute(2, () => w.text(chain));
    w.attribute(3, () => w.be64(handle));
  }),
];

const declareSet = (table: Table, set: SetSpec, id: number): Change => [
  message('NFT_MSG_NEWSET', NFT_MSG_NEWSET, NLM_F_CREATE, table, `set ${set.name}`, (w) =>
    writeSet(w, set, id),
  ),
];

export const addSet = (table: Table, set: SetSpec): Change => declareSet(table, set, nextSetId());

export const deleteSet = (table: Table, set: Pick<SetSpec, 'name'>): Change => [
  message('NFT_MSG_DELSET', NFT_MSG_DELSET, 0, table, `set ${set.name}`, (w) =>
    w.attribute(2, () => w.text(set.name)),
  ),
];

const elementMessages = (
  table: Table,
  set: SetSpec,
  elements: readonly Element[],
  options: { readonly id?: number; readonly remove?: boolean; readonly exclusive?: boolean },
): Change =>
  elementBodies(set, elements).map((body) => {
    const name = options.remove ? 'NFT_MSG_DELSETELEM' : 'NFT_MSG_NEWSETELEM';
    const type = options.remove ? NFT_MSG_DELSETELEM : NFT_MSG_NEWSETELEM;
    const flags = options.remove ? 0 : NLM_F_CREATE | (options.exclusive ? NLM_F_EXCL : 0);
    return message(name, type, flags, table, `elements of set ${set.name}`, (w) => {
      w.attribute(2 /* NFTA_SET_ELEM_LIST_SET */, () => w.text(set.name));
      body(w);
      if (options.id !== undefined) be32(w, 4 /* NFTA_SET_ELEM_LIST_SET_ID */, options.id);
    });
  });

/** An element that is there already is no error, unless its data differs or, among intervals, it overlaps another. */
export const addElements = (table: Table, set: SetSpec, elements: readonly Element[]): Change =>
  elementMessages(table, set, elements, {});

/** As addElements, but EEXIST for an element that is there already: a way to claim a key. */
export const claimElements = (table: Table, set: SetSpec, elements: readonly Element[]): Change =>
  elementMessages(table, set, elements, { exclusive: true });

/** ENOENT when one of them is not there. */
export const deleteElements = (table: Table, set: SetSpec, elements: readonly Element[]): Change =>
  elementMessages(table, set, elements, { remove: true });

/** Takes all elements out of a set. */
export const flushSet = (table: Table, set: Pick<SetSpec, 'name'>): Change => [
  message('NFT_MSG_DELSETELEM', NFT_MSG_DELSETELEM, 0, table, `all elements of set ${set.name}`, (w) =>
    w.attribute(2, () => w.text(set.name)),
  ),
];
