/**
 * What a rule can look at, and how it compares: `ip.saddr.is('10.42.0.0/16')`, `tcp.dport.in([80, 443])`,
 * `concat(ip.daddr, tcp.dport).in('hostports')`. Sources: nf_tables.h; offsets from RFC 791, 8200, 9293, 768, 792.
 * @module
 */

import { maskBytes } from './ip-address.ts';
import {
  be32,
  CMP_EQ,
  CMP_GTE,
  CMP_LTE,
  CMP_NEQ,
  nextSetId,
  REGISTER,
  type RuleWriter,
  type Statement,
} from './nftables-rule.ts';
import {
  CT_STATES,
  CT_STATUSES,
  compareBytes,
  type DataType,
  PROTOCOLS,
  parseInterval,
  type TypeName,
  types,
  type Value,
} from './nftables-type.ts';

const LINK_LAYER = 0;
const NETWORK = 1;
const TRANSPORT = 2;

/** One thing or several side by side, loaded into registers as a set's key. */
export interface Key {
  readonly types: readonly DataType[];
  /** Matches what has to hold first; may use any register. */
  prepare(rule: RuleWriter): void;
  load(rule: RuleWriter, register: number): void;
  /** In a named set, or in a list of values. */
  in(set: string | readonly (Value | readonly Value[])[]): Statement;
  notIn(set: string | readonly (Value | readonly Value[])[]): Statement;
}

export interface Selector extends Key {
  /** One value, or for addresses a prefix, or first-last. */
  is(value: Value): Statement;
  not(value: Value): Statement;
}

/** Selects a bitmask: `ct.state.has('established', 'related')` is true when any of them is set. */
export interface FlagSelector<Flag extends string> extends Key {
  has(...flags: readonly Flag[]): Statement;
  hasNot(...flags: readonly Flag[]): Statement;
}

/** Registers of four bytes that a value takes. */
export const registersOf = (type: DataType): number => (type.size + 3) >> 2;

type KeyParts = Pick<Key, 'types' | 'prepare' | 'load'>;
type Load = (rule: RuleWriter, register: number) => void;

const nothing = (): void => {};

const member =
  (key: KeyParts, set: string | readonly (Value | readonly Value[])[], not: boolean): Statement =>
  (rule) => {
    key.prepare(rule);
    key.load(rule, REGISTER);
    if (typeof set === 'string') {
      rule.lookup({ name: set }, { key: REGISTER, not });
      return;
    }
    const id = nextSetId();
    const interval = set.some((value) => isInterval(key.types, value));
    rule.sets.push({
      id,
      set: { name: '__set%d', key: key.types.map((type) => type.name), interval },
      elements: set.map((value) => ({ key: value })),
    });
    rule.lookup({ name: '__set%d', id }, { key: REGISTER, not });
  };

const isInterval = (keyTypes: readonly DataType[], value: Value | readonly Value[]): boolean =>
  keyTypes.some((type, at) => {
    const part = typeof value === 'object' ? value[at] : value;
    if (part === undefined) return false;
    const { first, last } = parseInterval(type, part);
    return compareBytes(first, last) !== 0;
  });

const selector = (name: TypeName, load: Load, prepare: (rule: RuleWriter) => void = nothing): Selector => {
  const type = types[name];
  const key = { types: [type], prepare, load };
  const compare =
    (value: Value, not: boolean): Statement =>
    (rule) => {
      prepare(rule);
      load(rule, REGISTER);
      const operation = not ? CMP_NEQ : CMP_EQ;
      if (name === 'ifname' && typeof value === 'string' && value.endsWith('*')) {
        rule.compare(operation, new TextEncoder().encode(value.slice(0, -1)), REGISTER);
        return;
      }
      const { first, last } = parseInterval(type, value);
      const slash = typeof value === 'string' ? value.indexOf('/') : -1;
      if (compareBytes(first, last) === 0) rule.compare(operation, first, REGISTER);
      else if (slash >= 0) {
        const length = Number(String(value).slice(slash + 1));
        rule.bitwise(maskBytes(type.size, length), new Uint8Array(type.size), REGISTER);
        rule.compare(operation, first, REGISTER);
      } else if (not) {
        rule.expression('range', (w) => {
          be32(w, 1 /* NFTA_RANGE_SREG */, REGISTER);
          be32(w, 2, 1 /* NFT_RANGE_NEQ */);
          w.nested(3, () => w.attribute(1, () => w.raw(first)));
          w.nested(4, () => w.attribute(1, () => w.raw(last)));
        });
      } else {
        rule.compare(CMP_GTE, first, REGISTER);
        rule.compare(CMP_LTE, last, REGISTER);
      }
    };
  return {
    ...key,
    in: (set) => member(key, set, false),
    notIn: (set) => member(key, set, true),
    is: (value) => compare(value, false),
    not: (value) => compare(value, true),
  };
};

const flagSelector = <Flag extends string>(
  name: TypeName,
  bits: Readonly<Record<Flag, number>>,
  load: Load,
): FlagSelector<Flag> => {
  const type = types[name];
  const key = { types: [type], prepare: nothing, load };
  const any =
    (flags: readonly Flag[], operation: number): Statement =>
    (rule) => {
      load(rule, REGISTER);
      const mask = flags.reduce((sum, flag) => sum | bits[flag], 0);
      rule.bitwise(type.parse(mask), new Uint8Array(4), REGISTER);
      rule.compare(operation, new Uint8Array(4), REGISTER);
    };
  return {
    ...key,
    in: (set) => member(key, set, false),
    notIn: (set) => member(key, set, true),
    has: (...flags) => any(flags, CMP_NEQ),
    hasNot: (...flags) => any(flags, CMP_EQ),
  };
};

const payload = (
  type: TypeName,
  base: number,
  offset: number,
  prepare?: (rule: RuleWriter) => void,
): Selector =>
  selector(type, (rule, register) => rule.payload(base, offset, types[type].size, register), prepare);

const meta = (type: TypeName, key: number): Selector =>
  selector(type, (rule, register) => rule.meta(key, register));

const ctLoad =
  (key: number, direction?: number) =>
  (rule: RuleWriter, register: number): void =>
    rule.expression('ct', (w) => {
      be32(w, 1 /* NFTA_CT_DREG */, register);
      be32(w, 2, key);
      if (direction !== undefined) w.attribute(3, () => w.u8(direction));
    });

const fibType = (address: number): Selector =>
  selector('fib_addrtype', (rule, register) =>
    rule.expression('fib', (w) => {
      be32(w, 1 /* NFTA_FIB_DREG */, register);
      be32(w, 2, 3 /* NFT_FIB_RESULT_ADDRTYPE */);
      be32(w, 3, address);
    }),
  );

const v4 = (rule: RuleWriter): void => rule.needNetwork(4);
const v6 = (rule: RuleWriter): void => rule.needNetwork(6);
const carrying =
  (protocol: number) =>
  (rule: RuleWriter): void =>
    rule.needTransport(protocol);

const ports = (need?: (rule: RuleWriter) => void) => ({
  sport: payload('inet_service', TRANSPORT, 0, need),
  dport: payload('inet_service', TRANSPORT, 2, need),
});

export const ether = {
  daddr: payload('ether_addr', LINK_LAYER, 0),
  saddr: payload('ether_addr', LINK_LAYER, 6),
  type: payload('ether_type', LINK_LAYER, 12),
};
export const ip = {
  saddr: payload('ipv4_addr', NETWORK, 12, v4),
  daddr: payload('ipv4_addr', NETWORK, 16, v4),
  protocol: payload('inet_proto', NETWORK, 9, v4),
};
export const ip6 = {
  saddr: payload('ipv6_addr', NETWORK, 8, v6),
  daddr: payload('ipv6_addr', NETWORK, 24, v6),
};
export const tcp = ports(carrying(PROTOCOLS.tcp));
export const udp = ports(carrying(PROTOCOLS.udp));
/** Ports of whatever transport has them in front: TCP, UDP, SCTP. Match `metaKey.l4proto` beside it. */
export const th = ports();
export const icmp = { type: payload('icmp_type', TRANSPORT, 0, carrying(PROTOCOLS.icmp)) };
export const icmpv6 = { type: payload('icmpv6_type', TRANSPORT, 0, carrying(PROTOCOLS.icmpv6)) };

export const metaKey = {
  protocol: meta('ether_type', 1),
  mark: meta('mark', 3),
  iif: meta('iface_index', 4),
  oif: meta('iface_index', 5),
  /** A name, or its beginning with a star: "veth*". */
  iifname: meta('ifname', 6),
  oifname: meta('ifname', 7),
  nfproto: meta('nf_proto', 15),
  l4proto: meta('inet_proto', 16),
};

export const ct = {
  state: flagSelector('ct_state', CT_STATES, ctLoad(0)),
  status: flagSelector('ct_status', CT_STATUSES, ctLoad(2)),
  mark: selector('mark', ctLoad(3)),
  /** Where the connection's first packet was sent to, before any NAT. */
  originalDaddr: selector('ipv4_addr', ctLoad(20, 0), v4),
  originalDport: selector('inet_service', ctLoad(12, 0)),
};

/** What the routing tables say an address is: local, unicast, broadcast … */
export const fib = { saddrType: fibType(1), daddrType: fibType(2) };

/** Bits of the packet mark: `markBits(0x2000).is(0x2000)`. */
export const markBits = (mask: number): Selector =>
  selector('mark', (rule, register) => {
    rule.meta(3, register);
    rule.bitwise(types.mark.parse(mask), new Uint8Array(4), register);
  });

export const concat = (...parts: readonly Selector[]): Key => {
  const key: KeyParts = {
    types: parts.flatMap((part) => part.types),
    prepare(rule) {
      for (const part of parts) part.prepare(rule);
    },
    load(rule, register) {
      let at = register;
      for (const part of parts) {
        part.load(rule, at);
        for (const type of part.types) at += registersOf(type);
      }
    },
  };
  return { ...key, in: (set) => member(key, set, false), notIn: (set) => member(key, set, true) };
};
