/**
 * IP addresses and prefixes between text and the bytes the kernel speaks. Strict: four decimal parts without leading
 * zeros, RFC 4291 §2.2 for IPv6; written as RFC 5952 asks. No zone, no library: the CNI executable loads this at every start.
 * @module
 */

export class AddressError extends Error {
  readonly code = 'ERR_ADDRESS';
  constructor(text: string, wanted: string) {
    super(`"${text}" is not ${wanted}.`);
    this.name = 'AddressError';
  }
}

/** An address as bytes (4 or 16) with a prefix length. */
export interface Prefix {
  readonly address: Uint8Array;
  readonly length: number;
}

const DECIMAL = /^(0|[1-9][0-9]{0,2})$/;
const HEXTET = /^[0-9a-fA-F]{1,4}$/;

const parseV4 = (text: string): Uint8Array | undefined => {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  const bytes = new Uint8Array(4);
  for (const [at, part] of parts.entries()) {
    if (!DECIMAL.test(part) || Number(part) > 255) return undefined;
    bytes[at] = Number(part);
  }
  return bytes;
};

/** The hextets of one side of "::"; the last may be an IPv4 address. */
const hextets = (text: string): number[] | undefined => {
  if (text === '') return [];
  const out: number[] = [];
  const parts = text.split(':');
  for (const [at, part] of parts.entries()) {
    if (at === parts.length - 1 && part.includes('.')) {
      const v4 = parseV4(part);
      if (v4 === undefined) return undefined;
      const [a = 0, b = 0, c = 0, d = 0] = v4;
      out.push((a << 8) | b, (c << 8) | d);
    } else {
      if (!HEXTET.test(part)) return undefined;
      out.push(Number.parseInt(part, 16));
    }
  }
  return out;
};

const parseV6 = (text: string): Uint8Array | undefined => {
  const sides = text.split('::');
  if (sides.length > 2) return undefined;
  const head = hextets(sides[0] ?? '');
  const tail = hextets(sides[1] ?? '');
  if (head === undefined || tail === undefined) return undefined;
  // An IPv4 tail may stand only at the very end of the address.
  if (sides.length === 2 && sides[0]?.includes('.')) return undefined;
  const missing = 8 - head.length - tail.length;
  if (sides.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const bytes = new Uint8Array(16);
  for (const [at, word] of [...head, ...new Array<number>(missing).fill(0), ...tail].entries()) {
    bytes[2 * at] = word >> 8;
    bytes[2 * at + 1] = word & 0xff;
  }
  return bytes;
};

/** 4 or 16 bytes. */
export const parseIp = (text: string): Uint8Array => {
  const bytes = text.includes(':') ? parseV6(text) : parseV4(text);
  if (bytes === undefined) throw new AddressError(text, 'an IP address');
  return bytes;
};

export const formatIp = (bytes: Uint8Array): string => {
  if (bytes.length === 4) return bytes.join('.');
  const words = Array.from({ length: 8 }, (_, at) => ((bytes[2 * at] ?? 0) << 8) | (bytes[2 * at + 1] ?? 0));
  let start = -1;
  let longest = 1;
  for (let at = 0; at < 8; at++) {
    let run = 0;
    while (at + run < 8 && words[at + run] === 0) run++;
    if (run > longest) {
      start = at;
      longest = run;
    }
  }
  const hex = words.map((word) => word.toString(16));
  if (start < 0) return hex.join(':');
  return `${hex.slice(0, start).join(':')}::${hex.slice(start + longest).join(':')}`;
};

/** "10.42.0.1/24", or a bare address, which stands for itself alone. Host bits are kept. */
export const parsePrefix = (text: string): Prefix => {
  const slash = text.indexOf('/');
  const address = parseIp(slash < 0 ? text : text.slice(0, slash));
  if (slash < 0) return { address, length: address.length * 8 };
  const length = text.slice(slash + 1);
  if (!DECIMAL.test(length) || Number(length) > address.length * 8) {
    throw new AddressError(text, 'an IP prefix');
  }
  return { address, length: Number(length) };
};

export const formatPrefix = (prefix: Prefix): string => `${formatIp(prefix.address)}/${prefix.length}`;

/** The first `length` bits set. */
export const maskBytes = (size: number, length: number): Uint8Array => {
  const mask = new Uint8Array(size);
  for (let at = 0; at < size; at++) {
    const bits = Math.min(8, Math.max(0, length - 8 * at));
    mask[at] = (0xff00 >> bits) & 0xff;
  }
  return mask;
};

/** The prefix with its host bits cleared. */
export const networkOf = (prefix: Prefix): Prefix => {
  const mask = maskBytes(prefix.address.length, prefix.length);
  return { address: prefix.address.map((byte, at) => byte & (mask[at] ?? 0)), length: prefix.length };
};

export const parseMac = (text: string): Uint8Array => {
  const parts = text.split(':');
  if (parts.length !== 6 || !parts.every((part) => /^[0-9a-fA-F]{2}$/.test(part))) {
    throw new AddressError(text, 'a MAC address of the form 0a:58:0a:2a:00:01');
  }
  return Uint8Array.from(parts, (part) => Number.parseInt(part, 16));
};

export const formatMac = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':');
