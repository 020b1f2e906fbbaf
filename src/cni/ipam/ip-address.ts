/**
 * Addresses as numbers, so that a pool is an interval and the next address is plus one. Text and bytes are
 * linux/ip-address.ts's: RFC 5952 for IPv6, as Go prints it, because the names of lease files are that text.
 * @module
 */
import {
  AddressError,
  formatIp,
  type Prefix,
  parseIp,
  parsePrefix as parsePrefixBytes,
} from '../../linux/ip-address.ts';

export type Family = 4 | 6;

export interface IpAddress {
  readonly family: Family;
  readonly value: bigint;
}

export interface IpPrefix {
  readonly family: Family;
  /** The address as written, host bits included. */
  readonly value: bigint;
  readonly length: number;
}

export const bitsOf = (family: Family): number => (family === 4 ? 32 : 128);

/** The address, or undefined when the text is none. An IPv4-mapped IPv6 address is the IPv4 one, as in Go. */
export function parseAddress(text: string): IpAddress | undefined {
  const bytes = orUndefined(() => parseIp(text));
  if (bytes === undefined) return undefined;
  const value = numberOf(bytes);
  if (bytes.length === 16 && value >> 32n === 0xffffn) return { family: 4, value: value & 0xffffffffn };
  return { family: bytes.length === 4 ? 4 : 6, value };
}

export function parsePrefix(text: string): IpPrefix | undefined {
  if (!text.includes('/')) return undefined;
  const prefix = orUndefined<Prefix>(() => parsePrefixBytes(text));
  if (prefix === undefined) return undefined;
  const { address, length } = prefix;
  return { family: address.length === 4 ? 4 : 6, value: numberOf(address), length };
}

export const formatAddress = (address: IpAddress): string => formatIp(addressBytes(address));

export const formatPrefix = (prefix: IpPrefix): string => `${formatAddress(prefix)}/${prefix.length}`;

/** First and last address of the prefix. */
export function bounds({ family, value, length }: IpPrefix): { first: bigint; last: bigint } {
  const host = (1n << BigInt(bitsOf(family) - length)) - 1n;
  const first = value & ~host;
  return { first, last: first | host };
}

/** "10.42.0.5/24" → "10.42.0.0/24" */
export function networkOf(text: string): string {
  const prefix = parsePrefix(text);
  return prefix === undefined ? text : formatPrefix({ ...prefix, value: bounds(prefix).first });
}

/** Network byte order, 4 or 16 bytes. */
function addressBytes({ family, value }: IpAddress): Uint8Array {
  const bytes = new Uint8Array(bitsOf(family) / 8);
  let rest = value;
  for (let i = bytes.length - 1; i >= 0; i--, rest >>= 8n) bytes[i] = Number(rest & 0xffn);
  return bytes;
}

const numberOf = (bytes: Uint8Array): bigint =>
  bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);

function orUndefined<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof AddressError) return undefined;
    throw error;
  }
}
