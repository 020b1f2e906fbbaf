/**
 * Which decrypted packets may be joined: the test for a candidate, the flow it belongs to, and whether one header can
 * stand for two packets.
 *
 * Header layouts: RFC 791 §3.1, RFC 8200 §3, RFC 9293 §3.1, RFC 768. What may differ within a train: Linux
 * net/ipv4/tcp_offload.c and udp_offload.c.
 * @module
 */
import { fold, load16be, pseudoSum, sumBytes } from './checksum';

const TCP: u32 = 6;
const UDP: u32 = 17;
const ACK: u32 = 0x10;
export const PSH: u32 = 0x08;

/**
 * 0 if the packet can never be joined and holds its place in no flow; else its protocol in bits 16–23, its IP header's length in 8–15 and the length of
 * both headers in 0–7. Two packets whose kinds differ are of different flows or have different TCP options.
 */
export function candidate(ip: usize, length: u32, joinUdp: bool): u32 {
  if (length < 28) return 0;
  const first = <u32>load<u8>(ip);
  let ipHeader: u32 = 20;
  let protocol: u32;
  if (first == 0x45) {
    // No options; MF clear and offset 0: a fragment has no transport header to go by.
    if (load16be(ip + 2) != length || (load16be(ip + 6) & 0x3fff) != 0) return 0;
    // The train gets a fresh header checksum, too.
    if (fold(sumBytes(ip, 20, 0)) != 0xffff) return 0;
    protocol = <u32>load<u8>(ip, 9);
  } else if (first >> 4 == 6) {
    if (length < 48 || load16be(ip + 4) + 40 != length) return 0;
    ipHeader = 40;
    protocol = <u32>load<u8>(ip, 6);
  } else {
    return 0;
  }
  let headers: u32;
  if (protocol == TCP) {
    if (length < ipHeader + 20) return 0;
    const transport = ip + ipHeader;
    const transportHeader = (<u32>load<u8>(transport, 12) >> 4) << 2;
    if (transportHeader < 20 || ((<u32>load<u8>(transport, 13)) & ~PSH) != ACK) return 0;
    headers = ipHeader + transportHeader;
  } else if (protocol == UDP && joinUdp) {
    // A UDP length of its own would be lost when the train gets one of its.
    if (load16be(ip + ipHeader + 4) + ipHeader != length) return 0;
    headers = ipHeader + 8;
  } else {
    return 0;
  }
  if (length < headers || (length == headers && protocol == TCP)) return 0;
  return (protocol << 16) | (ipHeader << 8) | headers;
}

@inline
export function isV6(kind: u32): bool {
  return (kind & 0xff00) == 40 << 8;
}

@inline
export function ipHeaderOf(kind: u32): u32 {
  return (kind >> 8) & 0xff;
}

@inline
export function headersOf(kind: u32): u32 {
  return kind & 0xff;
}

@inline
export function isTcp(kind: u32): bool {
  return kind >> 16 == TCP;
}

/** Of addresses, ports and, for TCP, the acknowledgement number. */
export function flowHash(ip: usize, kind: u32): u32 {
  const transport = ip + ipHeaderOf(kind);
  let x = <u64>load<u32>(transport);
  if (isTcp(kind)) x |= (<u64>load<u32>(transport, 8)) << 32;
  if (isV6(kind)) {
    x = rotl<u64>(x ^ load<u64>(ip, 8), 23) ^ load<u64>(ip, 16);
    x = rotl<u64>(x, 23) ^ load<u64>(ip, 24);
    x = rotl<u64>(x, 23) ^ load<u64>(ip, 32);
  } else {
    x = rotl<u64>(x, 23) ^ load<u64>(ip, 12);
  }
  return <u32>((x * 0x9e3779b97f4a7c15) >> 32);
}

export function sameFlow(a: usize, b: usize, kind: u32): bool {
  const transport = ipHeaderOf(kind);
  if (load<u32>(a + transport) != load<u32>(b + transport)) return false;
  if (isTcp(kind) && load<u32>(a + transport, 8) != load<u32>(b + transport, 8)) return false;
  if (!isV6(kind)) return load<u64>(a, 12) == load<u64>(b, 12);
  return !v128.any_true(
    v128.or(
      v128.xor(v128.load(a, 8), v128.load(b, 8)),
      v128.xor(v128.load(a, 24), v128.load(b, 24)),
    ),
  );
}

/** Whether one header can stand for both packets: traffic class, fragment flags, TTL, TCP options. */
export function sameHeaders(a: usize, b: usize, kind: u32): bool {
  if (isV6(kind)) {
    if ((load16be(a) & 0xfff0) != (load16be(b) & 0xfff0) || load<u8>(a, 7) != load<u8>(b, 7)) return false;
  } else if (load<u8>(a, 1) != load<u8>(b, 1) || load<u8>(a, 6) != load<u8>(b, 6) || load<u8>(a, 8) != load<u8>(b, 8)) {
    return false;
  }
  if (!isTcp(kind)) return true;
  // Lengths are equal, or the kinds would differ.
  const end = headersOf(kind);
  for (let at = ipHeaderOf(kind) + 20; at < end; at += 4) {
    if (load<u32>(a + at) != load<u32>(b + at)) return false;
  }
  return true;
}

/** Whether the checksum holds, for `sum` over the transport part's bytes after its header. */
export function holds(ip: usize, length: u32, kind: u32, sum: u64): bool {
  const ipHeader = ipHeaderOf(kind);
  const transport = ip + ipHeader;
  const protocol = kind >> 16;
  // A UDP packet without a checksum cannot vouch for itself.
  if (protocol == UDP && load<u16>(transport, 6) == 0) return false;
  const pseudo = pseudoSum(ip, isV6(kind), protocol, length - ipHeader);
  return fold(sumBytes(transport, headersOf(kind) - ipHeader, sum + pseudo)) == 0xffff;
}
