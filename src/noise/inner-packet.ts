/**
 * The IP packet inside a transport message: how far it is padded before sealing, and where it ends after opening.
 * Source: WireGuard paper §5.4.6 (padding); kernel send.c calculate_skb_padding, receive.c
 * wg_packet_consume_data_done; RFC 791 §3.1, RFC 8200 §3.
 * @module
 */
import { PADDING_MULTIPLE } from './constants.ts';

export const MALFORMED = -1;
const IPV4_HEADER = 20;
const IPV6_HEADER = 40;

/** Length after padding: a multiple of 16, but not beyond the MTU (0: no MTU). */
export function paddedLength(length: number, mtu: number): number {
  // A packet longer than the MTU was cut by somebody else; only its last part counts, as in the kernel.
  const last = mtu > 0 && length > mtu ? length % mtu : length;
  const aligned = Math.ceil(last / PADDING_MULTIPLE) * PADDING_MULTIPLE;
  return length - last + (mtu > 0 && aligned > mtu ? mtu : aligned);
}

/** Length of the IP packet in `length` bytes at `offset`, without padding; MALFORMED when it is none or is cut short. */
export function packetLength(bytes: Uint8Array, offset: number, length: number): number {
  if (length < IPV4_HEADER) return MALFORMED;
  const version = (bytes[offset] as number) >>> 4;
  if (version === 4) {
    const total = ((bytes[offset + 2] as number) << 8) | (bytes[offset + 3] as number);
    return total < IPV4_HEADER || total > length ? MALFORMED : total;
  }
  if (version !== 6 || length < IPV6_HEADER) return MALFORMED;
  const total = (((bytes[offset + 4] as number) << 8) | (bytes[offset + 5] as number)) + IPV6_HEADER;
  return total > length ? MALFORMED : total;
}

/** Whether `length` bytes at `offset` can be routed: long enough for the header of their IP version. */
export function hasHeader(bytes: Uint8Array, offset: number, length: number): boolean {
  if (length < IPV4_HEADER) return false;
  const version = (bytes[offset] as number) >>> 4;
  return version === 4 || (version === 6 && length >= IPV6_HEADER);
}
