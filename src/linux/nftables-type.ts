/**
 * The data types of nftables: how a value is written into a key, a comparison or a map, and the number by which the `nft`
 * command knows it again. Sources: include/uapi/linux/netfilter/nf_tables.h, nft(8) "DATA TYPES"; the numbers are those nft
 * stores with a set (NFTA_SET_KEY_TYPE), which to the kernel are only information.
 * @module
 */
import {
  AddressError,
  formatIp,
  formatMac,
  maskBytes,
  parseIp,
  parseMac,
  parsePrefix,
} from './ip-address.ts';
import { LITTLE_ENDIAN, viewOf } from './netlink-message.ts';

export type TypeName =
  | 'ipv4_addr'
  | 'ipv6_addr'
  | 'ether_addr'
  | 'ether_type'
  | 'inet_proto'
  | 'inet_service'
  | 'nf_proto'
  | 'icmp_type'
  | 'icmpv6_type'
  | 'mark'
  | 'iface_index'
  | 'ifname'
  | 'ct_state'
  | 'ct_status'
  | 'fib_addrtype';

export type TableFamily = 'ip' | 'ip6' | 'inet' | 'arp' | 'bridge' | 'netdev';

export type Value = string | number;

export class ValueError extends Error {
  readonly code = 'ERR_NFTABLES_VALUE';
  constructor(type: TypeName, value: Value) {
    super(`"${value}" is not a value of the nftables type ${type}.`);
    this.name = 'ValueError';
  }
}

export interface DataType {
  readonly name: TypeName;
  readonly id: number;
  /** Bytes. */
  readonly size: number;
  /** Numbers in host order have bytes that do not sort: no ranges over them. */
  readonly order: 'big' | 'host';
  parse(value: Value): Uint8Array;
  format(bytes: Uint8Array): string;
}

const numeric = (
  name: TypeName,
  id: number,
  size: 1 | 2 | 4,
  order: 'big' | 'host',
  words: Readonly<Record<string, number>> = {},
): DataType => ({
  name,
  id,
  size,
  order,
  parse(value) {
    const given =
      typeof value === 'number' ? value : (words[value] ?? Number(value === '' ? Number.NaN : value));
    if (!Number.isInteger(given) || given < 0 || given >= 2 ** (8 * size)) throw new ValueError(name, value);
    const bytes = new Uint8Array(size);
    const little = order === 'host' && LITTLE_ENDIAN;
    if (size === 1) bytes[0] = given;
    else if (size === 2) viewOf(bytes).setUint16(0, given, little);
    else viewOf(bytes).setUint32(0, given, little);
    return bytes;
  },
  format(bytes) {
    const little = order === 'host' && LITTLE_ENDIAN;
    const view = viewOf(bytes);
    const given =
      size === 1 ? view.getUint8(0) : size === 2 ? view.getUint16(0, little) : view.getUint32(0, little);
    return Object.entries(words).find(([, number]) => number === given)?.[0] ?? String(given);
  },
});

const address = (name: TypeName, id: number, size: 4 | 16): DataType => ({
  name,
  id,
  size,
  order: 'big',
  parse(value) {
    const bytes = parseIp(String(value));
    if (bytes.length !== size) throw new ValueError(name, value);
    return bytes;
  },
  format: formatIp,
});

const ifname: DataType = {
  name: 'ifname',
  id: 41,
  size: 16,
  order: 'host',
  parse(value) {
    const bytes = new TextEncoder().encode(String(value));
    if (bytes.length === 0 || bytes.length > 15) throw new ValueError('ifname', value);
    const padded = new Uint8Array(16);
    padded.set(bytes);
    return padded;
  },
  format: (bytes) => {
    const end = bytes.indexOf(0);
    return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
  },
};

const etherAddress: DataType = {
  name: 'ether_addr',
  id: 9,
  size: 6,
  order: 'big',
  parse: (value) => parseMac(String(value)),
  format: formatMac,
};

export const PROTOCOLS = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 } as const;
export const CT_STATES = { invalid: 1, established: 2, related: 4, new: 8, untracked: 64 } as const;
/** IPS_… of nf_conntrack_common.h */
export const CT_STATUSES = {
  expected: 1,
  'seen-reply': 2,
  assured: 4,
  confirmed: 8,
  snat: 16,
  dnat: 32,
  dying: 512,
} as const;
/** RTN_… */
const ADDRESS_TYPES = { unicast: 1, local: 2, broadcast: 3, anycast: 4, multicast: 5, blackhole: 6 } as const;

export const types: Readonly<Record<TypeName, DataType>> = {
  ipv4_addr: address('ipv4_addr', 7, 4),
  ipv6_addr: address('ipv6_addr', 8, 16),
  ether_addr: etherAddress,
  ether_type: numeric('ether_type', 10, 2, 'big', { ip: 0x0800, arp: 0x0806, ip6: 0x86dd }),
  inet_proto: numeric('inet_proto', 12, 1, 'big', PROTOCOLS),
  inet_service: numeric('inet_service', 13, 2, 'big'),
  nf_proto: numeric('nf_proto', 2, 1, 'big', { ipv4: 2, ipv6: 10 }),
  icmp_type: numeric('icmp_type', 14, 1, 'big', { 'echo-reply': 0, 'echo-request': 8 }),
  icmpv6_type: numeric('icmpv6_type', 29, 1, 'big', { 'echo-request': 128, 'echo-reply': 129 }),
  mark: numeric('mark', 19, 4, 'host'),
  iface_index: numeric('iface_index', 20, 4, 'host'),
  ifname,
  ct_state: numeric('ct_state', 26, 4, 'host', CT_STATES),
  ct_status: numeric('ct_status', 28, 4, 'host', CT_STATUSES),
  fib_addrtype: numeric('fib_addrtype', 38, 4, 'host', ADDRESS_TYPES),
};

/** Both ends inclusive. */
export interface Interval {
  readonly first: Uint8Array;
  readonly last: Uint8Array;
}

/** "10.0.0.0/8", "10.0.0.1-10.0.0.9", "8000-8010", or one value. */
export const parseInterval = (type: DataType, value: Value): Interval => {
  if (
    typeof value === 'string' &&
    (type.name === 'ipv4_addr' || type.name === 'ipv6_addr') &&
    value.includes('/')
  ) {
    const prefix = parsePrefix(value);
    if (prefix.address.length !== type.size) throw new AddressError(value, `a prefix of type ${type.name}`);
    const mask = maskBytes(type.size, prefix.length);
    return {
      first: prefix.address.map((byte, at) => byte & (mask[at] ?? 0)),
      last: prefix.address.map((byte, at) => byte | (~(mask[at] ?? 0) & 0xff)),
    };
  }
  const dash = typeof value === 'string' && type.order === 'big' && type.size !== 6 ? value.indexOf('-') : -1;
  if (typeof value !== 'string' || dash < 1 || type.name === 'icmp_type' || type.name === 'icmpv6_type') {
    const bytes = type.parse(value);
    return { first: bytes, last: bytes };
  }
  const interval = { first: type.parse(value.slice(0, dash)), last: type.parse(value.slice(dash + 1)) };
  if (compareBytes(interval.first, interval.last) > 0) throw new ValueError(type.name, value);
  return interval;
};

/** The shortest way to write it: one value, a prefix, or first-last. */
export const formatInterval = (type: DataType, { first, last }: Interval): string => {
  if (compareBytes(first, last) === 0) return type.format(first);
  if (type.name === 'ipv4_addr' || type.name === 'ipv6_addr') {
    for (let length = 0; length < type.size * 8; length++) {
      const mask = maskBytes(type.size, length);
      const isPrefix = first.every((byte, at) => {
        const bits = mask[at] ?? 0;
        return (byte & ~bits & 0xff) === 0 && ((byte | ~bits) & 0xff) === last[at];
      });
      if (isPrefix) return `${type.format(first)}/${length}`;
    }
  }
  return `${type.format(first)}-${type.format(last)}`;
};

export const compareBytes = (a: Uint8Array, b: Uint8Array): number => {
  for (let at = 0; at < a.length; at++) {
    const difference = (a[at] ?? 0) - (b[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
};

/** The value after (+1) or before (-1), or undefined where it would wrap. */
export const stepBytes = (bytes: Uint8Array, step: 1 | -1): Uint8Array | undefined => {
  const out = Uint8Array.from(bytes);
  for (let at = out.length - 1; at >= 0; at--) {
    const byte = (out[at] ?? 0) + step;
    out[at] = byte & 0xff;
    if (byte >= 0 && byte <= 255) return out;
  }
  return undefined;
};
