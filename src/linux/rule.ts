/**
 * Policy routing rules: which table a packet is looked up in. Source: include/uapi/linux/fib_rules.h.
 * @module
 */
import { formatPrefix, parsePrefix } from './ip-address.ts';
import type { NetlinkSocket, Request } from './netlink.ts';
import { LITTLE_ENDIAN, type Message, NLM_F_CREATE, NLM_F_EXCL, viewOf } from './netlink-message.ts';
import {
  bytes,
  type Decoded,
  decodeAttributes,
  s32,
  text,
  u8,
  u32,
  writeAttributes,
} from './netlink-schema.ts';
import { type Family, familyNumber, familyOf, RTM_DELRULE, RTM_GETRULE, RTM_NEWRULE } from './rtnetlink.ts';

const FIB_RULE_INVERT = 2;
const RULE_HEADER = 12;

/** FR_ACT_…; the numbers 3–5 have no name the kernel implements here. */
const ACTIONS = { table: 1, goto: 2, nop: 3, blackhole: 6, unreachable: 7, prohibit: 8 } as const;
export type RuleAction = keyof typeof ACTIONS;

const RuleAttributes = {
  to: [1, bytes], // FRA_DST
  from: [2, bytes], // FRA_SRC
  incoming: [3, text], // FRA_IIFNAME
  target: [4, u32], // FRA_GOTO
  priority: [6, u32],
  mark: [10, u32], // FRA_FWMARK
  suppressPrefixLength: [14, s32],
  table: [15, u32],
  markMask: [16, u32], // FRA_FWMASK
  outgoing: [17, text], // FRA_OIFNAME
  protocol: [21, u8],
  ipProtocol: [22, u8],
} as const;

export interface Rule {
  readonly family: Family;
  readonly priority: number;
  readonly action: RuleAction;
  readonly table: number | undefined;
  /** "10.42.0.0/16" */
  readonly from: string | undefined;
  readonly to: string | undefined;
  readonly mark: number | undefined;
  readonly markMask: number | undefined;
  /** Names of links. */
  readonly incoming: string | undefined;
  readonly outgoing: string | undefined;
  readonly not: boolean;
  readonly suppressPrefixLength: number | undefined;
  readonly protocol: number | undefined;
  readonly attributes: Decoded<typeof RuleAttributes>;
}

/** Without `family` it is that of `from` or `to`, else IPv4. */
export type NewRule = Partial<Omit<Rule, 'attributes'>>;

const familyOfRule = (rule: NewRule): Family => {
  const prefix = rule.from ?? rule.to;
  if (rule.family !== undefined || prefix === undefined) return rule.family ?? 4;
  return parsePrefix(prefix).address.length === 4 ? 4 : 6;
};

const ruleRequest = (name: string, type: number, flags: number, rule: NewRule): Request => ({
  name,
  subject: `rule ${rule.priority ?? ''}${rule.table === undefined ? '' : ` to table ${rule.table}`}`,
  type,
  flags,
  body: (w) => {
    const from = rule.from === undefined ? undefined : parsePrefix(rule.from);
    const to = rule.to === undefined ? undefined : parsePrefix(rule.to);
    const table = rule.table ?? 0;
    w.u8(familyNumber(familyOfRule(rule)));
    w.u8(to?.length ?? 0);
    w.u8(from?.length ?? 0);
    w.u8(0);
    w.u8(table < 256 ? table : 0);
    w.u16(0);
    w.u8(ACTIONS[rule.action ?? 'table']);
    w.u32(rule.not ? FIB_RULE_INVERT : 0);
    writeAttributes(w, RuleAttributes, {
      to: to?.address,
      from: from?.address,
      incoming: rule.incoming,
      priority: rule.priority,
      mark: rule.mark,
      suppressPrefixLength: rule.suppressPrefixLength,
      table: rule.table,
      markMask: rule.markMask,
      outgoing: rule.outgoing,
      protocol: rule.protocol,
    });
  },
});

/** EEXIST when there is one that agrees in everything. */
export const newRule = (rule: NewRule): Request =>
  ruleRequest('RTM_NEWRULE', RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule);

/** Deletes the first rule that agrees in everything given. */
export const deleteRule = (rule: NewRule): Request => ruleRequest('RTM_DELRULE', RTM_DELRULE, 0, rule);

const prefixText = (address: Uint8Array | undefined, length: number): string | undefined =>
  address === undefined ? undefined : formatPrefix({ address, length });

export const readRule = (message: Message): Rule | undefined => {
  const view = viewOf(message.payload);
  const family = familyOf(view.getUint8(0));
  if (family === undefined) return undefined;
  const attributes = decodeAttributes(RuleAttributes, message.payload.subarray(RULE_HEADER));
  const action = Object.entries(ACTIONS).find(([, value]) => value === view.getUint8(7));
  const suppress = attributes.suppressPrefixLength;
  const table = attributes.table ?? view.getUint8(4);
  return {
    family,
    priority: attributes.priority ?? 0,
    action: (action?.[0] ?? 'nop') as RuleAction,
    table: table === 0 ? undefined : table,
    from: prefixText(attributes.from, view.getUint8(2)),
    to: prefixText(attributes.to, view.getUint8(1)),
    mark: attributes.mark,
    markMask: attributes.markMask,
    incoming: attributes.incoming,
    outgoing: attributes.outgoing,
    not: (view.getUint32(8, LITTLE_ENDIAN) & FIB_RULE_INVERT) !== 0,
    suppressPrefixLength: suppress === -1 ? undefined : suppress,
    protocol: attributes.protocol,
    attributes,
  };
};

export const allRules = (family: Family): Request => ({
  name: 'RTM_GETRULE',
  subject: 'all rules',
  type: RTM_GETRULE,
  flags: 0,
  body: (w) => {
    w.u8(familyNumber(family));
    for (let at = 1; at < RULE_HEADER; at++) w.u8(0);
  },
});

export const rulesOf = (messages: readonly Message[]): Rule[] =>
  messages.map(readRule).filter((rule) => rule !== undefined);

export const listRules = (socket: NetlinkSocket, family: Family): Rule[] =>
  rulesOf(socket.dump(allRules(family)));
