/**
 * Reading nftables back: tables, chains, rules (handle, comment, counters, raw expressions) and the elements of sets.
 * Source: include/uapi/linux/netfilter/nf_tables.h.
 * @module
 */
import { ENOENT } from './errno.ts';
import { isNetlinkError, type NetlinkSocket } from './netlink.ts';
import { type Attribute, type Message, type MessageWriter, readAttributes } from './netlink-message.ts';
import {
  be32,
  be64,
  bytes,
  type Codec,
  decodeAttributes,
  nested,
  type Schema,
  text,
  type Values,
} from './netlink-schema.ts';
import {
  type ChainSpec,
  FAMILIES,
  HOOKS,
  NFNL_SUBSYS_NFTABLES,
  NFT_MSG_GETCHAIN,
  NFT_MSG_GETGEN,
  NFT_MSG_GETRULE,
  NFT_MSG_GETSETELEM,
  NFT_MSG_GETTABLE,
  type Table,
  writeFamily,
} from './nftables.ts';
import { type ListedElement, readComment, readElements, type SetSpec } from './nftables-set.ts';
import type { TableFamily } from './nftables-type.ts';

const FAMILY_HEADER = 4;

const attributeList: Codec<readonly Attribute[]> = { write: () => {}, read: readAttributes };

const HookAttributes = { hook: [1, be32], priority: [2, be32] } as const;
const TableAttributes = { name: [1, text], handle: [4, be64] } as const;
const ChainAttributes = {
  table: [1, text],
  name: [3, text],
  hook: [4, nested(HookAttributes)],
  policy: [5, be32],
  type: [7, text],
} as const;
const RuleAttributes = {
  table: [1, text],
  chain: [2, text],
  handle: [3, be64],
  expressions: [4, attributeList],
  userdata: [7, bytes],
} as const;
const ExpressionAttributes = { name: [1, text], data: [2, attributeList] } as const;
const CounterAttributes = { bytes: [1, be64], packets: [2, be64] } as const;
const GenerationAttributes = { id: [1, be32] } as const;
const ElementListAttributes = { elements: [3, attributeList] } as const;

export interface ListedRule {
  readonly chain: string;
  readonly handle: number;
  readonly comment: string | undefined;
  /** Of the first counter in it. */
  readonly counter: { readonly packets: number; readonly bytes: number } | undefined;
  readonly expressions: readonly { readonly name: string; readonly attributes: readonly Attribute[] }[];
}

/** None where there is no such table. */
const dump = (
  socket: NetlinkSocket,
  name: string,
  type: number,
  family: number,
  body: (w: MessageWriter) => void = () => {},
): Message[] => {
  try {
    return socket.dump({
      name,
      subject: 'nftables',
      type: (NFNL_SUBSYS_NFTABLES << 8) | type,
      flags: 0,
      body: (w) => {
        writeFamily(w, family);
        body(w);
      },
    });
  } catch (error) {
    if (isNetlinkError(error, ENOENT)) return [];
    throw error;
  }
};

const read = <S extends Schema>(schema: S, message: Message): Values<S> =>
  decodeAttributes(schema, message.payload.subarray(FAMILY_HEADER));

/** A number that another transaction of anybody, in any table of this namespace, makes another one. */
export const rulesetGeneration = (socket: NetlinkSocket): number =>
  read(
    GenerationAttributes,
    socket.get({
      name: 'NFT_MSG_GETGEN',
      subject: 'nftables',
      type: (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETGEN,
      flags: 0,
      body: (w) => writeFamily(w, 0),
    }),
  ).id ?? 0;

export const listTables = (socket: NetlinkSocket): Table[] =>
  dump(socket, 'NFT_MSG_GETTABLE', NFT_MSG_GETTABLE, 0).flatMap((message) => {
    const family = Object.entries(FAMILIES).find(([, number]) => number === message.payload[0])?.[0];
    return family === undefined
      ? []
      : [{ family: family as TableFamily, name: read(TableAttributes, message).name ?? '' }];
  });

export const listChains = (socket: NetlinkSocket, table: Table): ChainSpec[] =>
  dump(socket, 'NFT_MSG_GETCHAIN', NFT_MSG_GETCHAIN, FAMILIES[table.family])
    .map((message) => read(ChainAttributes, message))
    .filter((chain) => chain.table === table.name)
    .map(({ name = '', hook, policy, type }) => {
      const at = Object.entries(HOOKS).find(([, number]) => number === hook?.hook)?.[0];
      if (hook === undefined || at === undefined) return { name };
      return {
        name,
        base: {
          type: (type ?? 'filter') as 'filter' | 'nat' | 'route',
          hook: at as keyof typeof HOOKS,
          priority: (hook.priority ?? 0) | 0,
          policy: policy === 0 ? 'drop' : 'accept',
        },
      };
    });

export const listRules = (socket: NetlinkSocket, table: Table, chain?: string): ListedRule[] =>
  dump(socket, 'NFT_MSG_GETRULE', NFT_MSG_GETRULE, FAMILIES[table.family], (w) => {
    w.attribute(1 /* NFTA_RULE_TABLE */, () => w.text(table.name));
    if (chain !== undefined) w.attribute(2 /* NFTA_RULE_CHAIN */, () => w.text(chain));
  })
    .map((message) => read(RuleAttributes, message))
    // Kernels that do not filter a dump answer with everything.
    .filter((rule) => rule.table === table.name && (chain === undefined || rule.chain === chain))
    .map((rule) => {
      const expressions = (rule.expressions ?? []).map((element) => {
        const { name = '', data = [] } = decodeAttributes(ExpressionAttributes, element.data);
        return { name, attributes: data };
      });
      return {
        chain: rule.chain ?? '',
        handle: rule.handle ?? 0,
        comment: readComment(rule.userdata),
        counter: counterOf(rule.expressions ?? []),
        expressions,
      };
    });

const counterOf = (elements: readonly Attribute[]): ListedRule['counter'] => {
  for (const element of elements) {
    const parts = readAttributes(element.data);
    const [name, data] = [parts[0], parts[1]];
    if (name === undefined || data === undefined || text.read(name.data) !== 'counter') continue;
    const counter = decodeAttributes(CounterAttributes, data.data);
    return { packets: counter.packets ?? 0, bytes: counter.bytes ?? 0 };
  }
  return undefined;
};

/** None where there is no such table or set. The set is described as when it was added: the kernel keeps only bytes. */
export const listElements = (socket: NetlinkSocket, table: Table, set: SetSpec): ListedElement[] => {
  const raw = dump(socket, 'NFT_MSG_GETSETELEM', NFT_MSG_GETSETELEM, FAMILIES[table.family], (w) => {
    w.attribute(1 /* NFTA_SET_ELEM_LIST_TABLE */, () => w.text(table.name));
    w.attribute(2 /* NFTA_SET_ELEM_LIST_SET */, () => w.text(set.name));
  }).flatMap((message) => read(ElementListAttributes, message).elements ?? []);
  return readElements(set, raw);
};
