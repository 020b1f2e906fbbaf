/**
 * Addresses, prefixes and endpoints as bytes, and their text.
 * Source: RFC 4291 §2.2 and RFC 5952 (IPv6 text), RFC 4632 §3.1 (CIDR), RFC 3986 §3.2.2 (brackets), RFC 4007 §11 (zones).
 * Parsing is strict (no leading zeros, no short forms, no spaces) and answers null; formatting is canonical.
 * An IPv4-mapped IPv6 address stays IPv6: it is sixteen bytes here and never four.
 * @module
 */

/** Four bytes (IPv4) or sixteen (IPv6), network order. */
export type Address = Uint8Array;

/** An address with a prefix length. Host bits are kept as written; see `network`. */
export interface Cidr {
  readonly address: Address;
  readonly prefix: number;
}

/** Where a peer's datagrams go. */
export interface Endpoint {
  readonly address: Address;
  readonly port: number;
  /** Interface name or number of a link-local IPv6 address. */
  readonly zone?: string;
}

const DECIMAL = /^(?:0|[1-9][0-9]{0,4})$/;
const HEX_GROUP = /^[0-9a-fA-F]{1,4}$/;
// RFC 4007 §11.2 leaves the zone to the system: on Linux an interface name, or its number.
const ZONE = /^[^\s%/\]]{1,15}$/;

function parseDecimal(text: string, max: number): number | null {
  if (!DECIMAL.test(text)) return null;
  const value = Number(text);
  return value <= max ? value : null;
}

function parseIpv4(text: string): Address | null {
  const parts = text.split('.', 5);
  if (parts.length !== 4) return null;
  const bytes = new Uint8Array(4);
  for (let i = 0; i < 4; i++) {
    const octet = parseDecimal(parts[i] ?? '', 255);
    if (octet === null) return null;
    bytes[i] = octet;
  }
  return bytes;
}

/** The groups on one side of "::", as bytes; the last group may be a dotted quad. */
function parseGroups(text: string, quadAllowed: boolean): number[] | null {
  if (text === '') return [];
  const bytes: number[] = [];
  const groups = text.split(':', 9);
  for (const [i, group] of groups.entries()) {
    if (HEX_GROUP.test(group)) {
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
      continue;
    }
    if (!quadAllowed || i !== groups.length - 1) return null;
    const quad = parseIpv4(group);
    if (quad === null) return null;
    bytes.push(...quad);
  }
  return bytes;
}

function parseIpv6(text: string): Address | null {
  if (text.length > 45) return null;
  const gap = text.indexOf('::');
  if (gap < 0) {
    const bytes = parseGroups(text, true);
    return bytes?.length === 16 ? Uint8Array.from(bytes) : null;
  }
  const head = parseGroups(text.slice(0, gap), false);
  const tail = parseGroups(text.slice(gap + 2), true);
  // RFC 4291 §2.2: "::" stands for one group or more.
  if (head === null || tail === null || head.length + tail.length > 14) return null;
  const bytes = new Uint8Array(16);
  bytes.set(head);
  bytes.set(tail, 16 - tail.length);
  return bytes;
}

/** IPv4 or IPv6, strictly; null when it is neither. */
export function parseAddress(text: string): Address | null {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

/** RFC 5952 §4: lower case, no leading zeros, the first longest run of two zero groups or more as "::". */
function formatIpv6(bytes: Address): string {
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push(((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0));
  // RFC 5952 §5: a mapped address is shown with its dotted quad.
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    return `::ffff:${bytes.subarray(12).join('.')}`;
  }
  let start = -1;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
    if (end - i > length) {
      start = i;
      length = end - i;
    }
    if (end > i) i = end;
  }
  const hex = (part: readonly number[]) => part.map((group) => group.toString(16)).join(':');
  if (start < 0) return hex(groups);
  return `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
}

/** RFC 5952 for IPv6. */
export function formatAddress(address: Address): string {
  return address.length === 4 ? address.join('.') : formatIpv6(address);
}

export function isIpv6(address: Address): boolean {
  return address.length === 16;
}

export function sameAddress(a: Address, b: Address): boolean {
  if (a.length !== b.length) return false;
  // Ten thousand times a pass in a large mesh: no closure.
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** "address/length"; a bare address is refused, because a missing length is more often a slip than a host. */
export function parseCidr(text: string): Cidr | null {
  const slash = text.indexOf('/');
  if (slash < 0) return null;
  const address = parseAddress(text.slice(0, slash));
  if (address === null) return null;
  const prefix = parseDecimal(text.slice(slash + 1), address.length * 8);
  return prefix === null ? null : { address, prefix };
}

/** As `parseCidr` reads it. */
export function formatCidr(cidr: Cidr): string {
  return `${formatAddress(cidr.address)}/${cidr.prefix}`;
}

/** For text that is known to be right, such as a constant: throws where `parseCidr` answers null. */
export function cidr(text: string): Cidr {
  const parsed = parseCidr(text);
  if (parsed === null)
    throw new RangeError(`"${text}" is not an address range; write it as 10.0.0.0/24 or fd00::/64`);
  return parsed;
}

/** The host itself: /32 or /128. */
export function hostCidr(address: Address): Cidr {
  return { address, prefix: address.length * 8 };
}

/** A copy with the host bits cleared. */
export function network({ address, prefix }: Cidr): Cidr {
  const masked = Uint8Array.from(address);
  for (let i = prefix >> 3; i < masked.length; i++) {
    const kept = Math.max(0, prefix - i * 8);
    masked[i] = (masked[i] ?? 0) & (0xff00 >> kept);
  }
  return { address: masked, prefix };
}

/** True when the first `prefix` bits agree; addresses of different families never do. */
export function contains(range: Cidr, address: Address): boolean {
  if (range.address.length !== address.length) return false;
  const whole = range.prefix >> 3;
  for (let i = 0; i < whole; i++) if (range.address[i] !== address[i]) return false;
  const rest = range.prefix & 7;
  return (
    rest === 0 || (((range.address[whole] ?? 0) ^ (address[whole] ?? 0)) & (0xff00 >> rest) & 0xff) === 0
  );
}

export function sameCidr(a: Cidr, b: Cidr): boolean {
  return a.prefix === b.prefix && sameAddress(a.address, b.address);
}

/** "1.2.3.4:51820", "[2001:db8::1]:51820" or "[fe80::1%eth0]:51820"; never a name. */
export function parseEndpoint(text: string): Endpoint | null {
  const colon = text.lastIndexOf(':');
  if (colon < 0) return null;
  const port = parseDecimal(text.slice(colon + 1), 0xffff);
  if (port === null) return null;
  const host = text.slice(0, colon);
  if (!host.startsWith('[')) {
    const address = parseIpv4(host);
    return address === null ? null : { address, port };
  }
  if (!host.endsWith(']')) return null;
  const inner = host.slice(1, -1);
  const percent = inner.indexOf('%');
  const address = parseIpv6(percent < 0 ? inner : inner.slice(0, percent));
  if (address === null) return null;
  if (percent < 0) return { address, port };
  const zone = inner.slice(percent + 1);
  return ZONE.test(zone) ? { address, port, zone } : null;
}

/** As `parseEndpoint` reads it. */
export function formatEndpoint({ address, port, zone }: Endpoint): string {
  if (!isIpv6(address)) return `${formatAddress(address)}:${port}`;
  return `[${formatAddress(address)}${zone === undefined ? '' : `%${zone}`}]:${port}`;
}

export function sameEndpoint(a: Endpoint, b: Endpoint): boolean {
  return a.port === b.port && a.zone === b.zone && sameAddress(a.address, b.address);
}

/** Address and big-endian port in one run of 6 or 18 bytes: what a cookie is tied to. */
export function endpointBytes({ address, port }: Endpoint): Uint8Array {
  const bytes = new Uint8Array(address.length + 2);
  bytes.set(address);
  bytes[address.length] = port >> 8;
  bytes[address.length + 1] = port & 0xff;
  return bytes;
}
