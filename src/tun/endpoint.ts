/**
 * Where a datagram came from or goes to, as 64 bytes in a table: the socket address as the kernel has it and the
 * local address it arrived on ("sticky source"), so that an answer leaves from the address that was addressed.
 *
 *     0        28   29   30       32                 52
 *     | sockaddr | len | plen |    | in(6)_pktinfo     |
 *
 * Source: netinet/in.h (sockaddr_in, sockaddr_in6, in_pktinfo, in6_pktinfo).
 * @module
 */

export const ENDPOINT_SIZE = 64;
/** Length of the socket address, 0: no endpoint, 16: IPv4, 28: IPv6. */
export const ENDPOINT_LENGTH = 28;
/** Length of the packet information, 0: none, 12: IPv4, 20: IPv6. */
export const ENDPOINT_SOURCE_LENGTH = 29;
export const ENDPOINT_SOURCE = 32;

export const AF_INET = 2;
export const AF_INET6 = 10;

export interface SocketAddress {
  /** 4 or 16 bytes, network order. */
  readonly address: Uint8Array;
  readonly port: number;
  /** Interface index of a link-local IPv6 address, else 0. */
  readonly scope: number;
}

/** Writes an address without a sticky source. */
export function writeEndpoint(table: Uint8Array, offset: number, endpoint: SocketAddress): void {
  table.fill(0, offset, offset + ENDPOINT_SIZE);
  const isV6 = endpoint.address.length === 16;
  table[offset] = isV6 ? AF_INET6 : AF_INET;
  table[offset + 2] = endpoint.port >> 8;
  table[offset + 3] = endpoint.port & 0xff;
  table.set(endpoint.address, offset + (isV6 ? 8 : 4));
  if (isV6) for (let i = 0; i < 4; i += 1) table[offset + 24 + i] = (endpoint.scope >>> (8 * i)) & 0xff;
  table[offset + ENDPOINT_LENGTH] = isV6 ? 28 : 16;
}

/** The address in a record; undefined when there is none. */
export function readEndpoint(table: Uint8Array, offset: number): SocketAddress | undefined {
  const length = table[offset + ENDPOINT_LENGTH];
  if (length !== 16 && length !== 28) return undefined;
  const isV6 = length === 28;
  const at = (index: number): number => table[offset + index] ?? 0;
  return {
    address: isV6 ? table.slice(offset + 8, offset + 24) : table.slice(offset + 4, offset + 8),
    port: (at(2) << 8) | at(3),
    scope: isV6 ? (at(24) | (at(25) << 8) | (at(26) << 16) | (at(27) << 24)) >>> 0 : 0,
  };
}
