/**
 * What a rule does with a packet: verdicts, counters, marks and network address translation.
 * Sources: include/uapi/linux/netfilter/nf_tables.h, nf_nat.h.
 * @module
 */
import { parseIp } from './ip-address.ts';
import type { MessageWriter } from './netlink-message.ts';
import { type Key, registersOf } from './nftables-match.ts';
import {
  be32,
  REGISTER,
  RuleError,
  type RuleWriter,
  type Statement,
  VERDICT_REGISTER,
} from './nftables-rule.ts';
import { types } from './nftables-type.ts';

const META_MARK = 3;
const CT_MARK = 3;
const NAT_SOURCE = 0;
const NAT_DESTINATION = 1;
const NFPROTO_IPV4 = 2;
const NFPROTO_IPV6 = 10;

const RANDOM = 4;
const PERSISTENT = 8;
const FULLY_RANDOM = 16;

export type Verdict = 'accept' | 'drop' | 'return' | { readonly jump: string } | { readonly goto: string };

/** NF_…, NFT_… */
const verdictCode = (verdict: Verdict): number => {
  if (verdict === 'drop') return 0;
  if (verdict === 'accept') return 1;
  if (verdict === 'return') return -5;
  return 'jump' in verdict ? -3 : -4;
};

/** Writes NFTA_DATA_VERDICT inside the nest that holds a value. */
export const writeVerdict = (w: MessageWriter, verdict: Verdict): void =>
  w.nested(2 /* NFTA_DATA_VERDICT */, () => {
    be32(w, 1 /* NFTA_VERDICT_CODE */, verdictCode(verdict) >>> 0);
    const chain = typeof verdict === 'string' ? undefined : 'jump' in verdict ? verdict.jump : verdict.goto;
    if (chain !== undefined) w.attribute(2 /* NFTA_VERDICT_CHAIN */, () => w.text(chain));
  });

export const verdict =
  (what: Verdict): Statement =>
  (rule) =>
    rule.expression('immediate', (w) => {
      be32(w, 1 /* NFTA_IMMEDIATE_DREG */, VERDICT_REGISTER);
      w.nested(2 /* NFTA_IMMEDIATE_DATA */, () => writeVerdict(w, what));
    });

export const accept = (): Statement => verdict('accept');
export const drop = (): Statement => verdict('drop');
export const returnToCaller = (): Statement => verdict('return');
export const jump = (chain: string): Statement => verdict({ jump: chain });
export const goto = (chain: string): Statement => verdict({ goto: chain });

/** The verdict a map holds for this key; the rule goes on where it holds none. */
export const verdictMap =
  (key: Key, map: string): Statement =>
  (rule) => {
    key.prepare(rule);
    key.load(rule, REGISTER);
    rule.lookup({ name: map }, { key: REGISTER, result: VERDICT_REGISTER });
  };

export const counter = (): Statement => (rule) =>
  rule.expression('counter', (w) => {
    w.attribute(1 /* NFTA_COUNTER_BYTES */, () => w.be64(0));
    w.attribute(2 /* NFTA_COUNTER_PACKETS */, () => w.be64(0));
  });

/** Refuses as an unreachable port does (or, in a TCP rule, with a reset). */
export const reject =
  (how: 'port-unreachable' | 'tcp-reset' = 'port-unreachable'): Statement =>
  (rule) =>
    rule.expression('reject', (w) => {
      // ICMPX, which speaks for both IP versions, is for inet and bridge; elsewhere plain ICMP: v4 code 3, v6 code 4.
      const both = rule.family === 'inet' || rule.family === 'bridge';
      be32(w, 1 /* NFTA_REJECT_TYPE */, how === 'tcp-reset' ? 1 : both ? 2 : 0);
      if (how !== 'tcp-reset') w.attribute(2, () => w.u8(both ? 1 : rule.family === 'ip6' ? 4 : 3));
    });

/** Sets the bits of `mask` (all without one) to those of `value`, the others stay. */
const setMark =
  (expression: 'meta' | 'ct', value: number, mask: number): Statement =>
  (rule) => {
    const key = expression === 'meta' ? META_MARK : CT_MARK;
    if (mask === 0xffffffff) rule.immediate(types.mark.parse(value), REGISTER);
    else {
      rule.expression(expression, (w) => {
        be32(w, 1 /* DREG */, REGISTER);
        be32(w, 2 /* KEY */, key);
      });
      rule.bitwise(types.mark.parse(~mask >>> 0), types.mark.parse((value & mask) >>> 0), REGISTER);
    }
    rule.expression(expression, (w) => {
      be32(w, 2 /* KEY */, key);
      be32(w, expression === 'meta' ? 3 : 4 /* SREG */, REGISTER);
    });
  };

export const setPacketMark = (value: number, mask = 0xffffffff): Statement => setMark('meta', value, mask);
export const setConnectionMark = (value: number, mask = 0xffffffff): Statement => setMark('ct', value, mask);

export interface NatOptions {
  /** Choose ports at random, or wholly at random. */
  readonly random?: boolean | 'fully';
  /** Give a client the same address for every connection. */
  readonly persistent?: boolean;
}

const natFlags = (options: NatOptions): number =>
  (options.random === 'fully' ? FULLY_RANDOM : options.random ? RANDOM : 0) |
  (options.persistent ? PERSISTENT : 0);

export const masquerade =
  (options: NatOptions = {}): Statement =>
  (rule) =>
    rule.expression('masq', (w) => {
      if (natFlags(options) !== 0) be32(w, 1 /* NFTA_MASQ_FLAGS */, natFlags(options));
    });

/** Sends it to this host, to another port when one is given. */
export const redirect =
  (port?: number): Statement =>
  (rule) => {
    if (port !== undefined) rule.immediate(types.inet_service.parse(port), REGISTER);
    rule.expression('redir', (w) => {
      if (port !== undefined) be32(w, 1 /* NFTA_REDIR_REG_PROTO_MIN */, REGISTER);
    });
  };

/** A fixed address (and port), or what a map holds for a key: an address, or with `port: true` an address and a port. */
export type NatTarget = NatOptions &
  (
    | { readonly address: string; readonly port?: number }
    | { readonly key: Key; readonly map: string; readonly port?: boolean; readonly family?: 4 | 6 }
  );

const translate =
  (type: number, target: NatTarget): Statement =>
  (rule) => {
    const version = natFamily(rule, target);
    const addressRegisters = registersOf(version === 4 ? types.ipv4_addr : types.ipv6_addr);
    const portRegister = REGISTER + addressRegisters;
    let hasPort: boolean;
    if ('address' in target) {
      rule.immediate(parseIp(target.address), REGISTER);
      hasPort = target.port !== undefined;
      if (target.port !== undefined) rule.immediate(types.inet_service.parse(target.port), portRegister);
    } else {
      hasPort = target.port === true;
      target.key.prepare(rule);
      target.key.load(rule, REGISTER);
      rule.lookup({ name: target.map }, { key: REGISTER, result: REGISTER });
    }
    rule.expression('nat', (w) => {
      be32(w, 1 /* NFTA_NAT_TYPE */, type);
      be32(w, 2, version === 4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
      be32(w, 3, REGISTER);
      if (hasPort) be32(w, 5, portRegister);
      if (natFlags(target) !== 0) be32(w, 7, natFlags(target));
    });
  };

const natFamily = (rule: RuleWriter, target: NatTarget): 4 | 6 => {
  if ('address' in target) {
    const version = parseIp(target.address).length === 4 ? 4 : 6;
    rule.needNetwork(version);
    return version;
  }
  const version = target.family ?? rule.network;
  if (version === undefined)
    throw new RuleError(`Say which IP version the map ${target.map} holds: family 4 or 6.`);
  rule.needNetwork(version);
  return version;
};

export const snat = (target: NatTarget): Statement => translate(NAT_SOURCE, target);
export const dnat = (target: NatTarget): Statement => translate(NAT_DESTINATION, target);
