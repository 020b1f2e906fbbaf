/**
 * From one TUN read to sealed transport messages.
 *
 * A read is a 10-byte virtio_net_hdr (linux/virtio_net.h, native endian) and an IP packet, which may be a train of up
 * to 64 KiB that the kernel left for us to cut (TCP segmentation offload, UDP_L4) or a packet whose checksum it left for
 * us to fill in. `plan` checks the read and says what it will become; `sealPlanned` cuts, checksums and seals any range
 * of the segments; `cutSegment` writes one of them unsealed. Each payload byte is moved once, from the read into the
 * message it leaves in, and summed on the way; the cipher then works in place.
 *
 *   out: | type 4 | receiver | counter lo hi | IP, TCP or UDP header | payload | zeros | tag |
 *        0        4          8               16                                        16 + padded
 *
 * Message and padding: WireGuard paper §5.4.6. Cutting: RFC 9293 §3.1, RFC 768, Linux net/ipv4/tcp_offload.c.
 * @module
 */
import {
  copyBytes,
  copySum,
  fold,
  load16be,
  load32be,
  pseudoSum,
  store16be,
  store32be,
  sumBytes,
  writeHeaderChecksum,
} from './checksum';
import { seal } from './cipher';

// The values of src/aead/packet-drops.ts.
const DROP_SHORT: i32 = -1;
const DROP_LONG: i32 = -2;
const DROP_VERSION: i32 = -3;
const DROP_CHECKSUM_PLACE: i32 = -4;
const DROP_GSO_TYPE: i32 = -5;
const DROP_GSO_SIZE: i32 = -6;
const DROP_GSO_HEADER: i32 = -7;

const VIRTIO_HEADER: u32 = 10;
const NEEDS_CSUM: u32 = 1;
const GSO_TCPV4: u32 = 1;
const GSO_TCPV6: u32 = 4;
const GSO_UDP_L4: u32 = 5;
const GSO_ECN: u32 = 0x80;
const MAX_PACKET: u32 = 65535;

const TCP: u32 = 6;
const UDP: u32 = 17;
const FIN_PSH: u32 = 0x09;
const CWR: u32 = 0x80;

const MESSAGE_HEADER: u32 = 16;
const TAG: u32 = 16;

/** i32: segments, wire size of a full one, of the last one, of all, IP version, gso type. See `Plan` in kernel.ts. */
const PLAN = memory.data(24, 16);

let packet: usize = 0;
let packetLength: u32 = 0;
let packetMtu: u32 = 0;
let v6: bool = false;
let segments: u32 = 0;
/** 0: the packet leaves as it is, but for the checksum if `transport` is not 0. */
let gso: u32 = 0;
let protocol: u32 = 0;
let transport: u32 = 0;
let headers: u32 = 0;
let checksumField: u32 = 0;

export function planAddress(): usize {
  return PLAN;
}

/** Paper §5.4.6, and never beyond the MTU: a packet longer than the MTU is padded as its last MTU-sized part would be. */
function padded(length: u32, mtu: u32): u32 {
  if (mtu == 0) return (length + 15) & ~15;
  const unit = length > mtu ? length % mtu : length;
  return length - unit + min<u32>((unit + 15) & ~15, mtu);
}

/** Where `wanted` begins past hop-by-hop and destination options (RFC 8200 §4), perhaps behind the end; 0: nowhere. */
function transportOffset6(ip: usize, length: u32, wanted: u32): u32 {
  let next = <u32>load<u8>(ip, 6);
  let at: u32 = 40;
  while (next != wanted) {
    if ((next != 0 && next != 60) || at + 8 > length) return 0;
    next = <u32>load<u8>(ip + at);
    at += (<u32>load<u8>(ip + at, 1) + 1) << 3;
  }
  return at;
}

function fillPlan(full: u32, last: u32, type: u32): i32 {
  const fullWire = MESSAGE_HEADER + padded(full, packetMtu) + TAG;
  const lastWire = MESSAGE_HEADER + padded(last, packetMtu) + TAG;
  store<u32>(PLAN, segments);
  store<u32>(PLAN, fullWire, 4);
  store<u32>(PLAN, lastWire, 8);
  store<u32>(PLAN, (segments - 1) * fullWire + lastWire, 12);
  store<u32>(PLAN, v6 ? 6 : 4, 16);
  store<u32>(PLAN, type, 20);
  return <i32>segments;
}

/** Checks the TUN read of `length` bytes at `read` (virtio header first) and returns its number of segments, or a drop. */
export function plan(read: usize, length: u32, mtu: u32): i32 {
  segments = 0;
  if (length < VIRTIO_HEADER + 20) return DROP_SHORT;
  if (length > VIRTIO_HEADER + MAX_PACKET) return DROP_LONG;
  packet = read + VIRTIO_HEADER;
  packetLength = length - VIRTIO_HEADER;
  packetMtu = mtu;
  const version = load<u8>(packet) >> 4;
  v6 = version == 6;
  if (!v6 && version != 4) return DROP_VERSION;
  const ipHeader: u32 = v6 ? 40 : (<u32>load<u8>(packet) & 15) << 2;
  if (ipHeader < 20 || packetLength < ipHeader) return DROP_SHORT;

  const partial = (<u32>load<u8>(read) & NEEDS_CSUM) != 0;
  const type = <u32>load<u8>(read, 1) & ~GSO_ECN;
  const start = <u32>load<u16>(read, 6);
  const offset = <u32>load<u16>(read, 8);
  if (type == 0) {
    gso = 0;
    transport = 0;
    if (partial) {
      if (start < ipHeader || start + offset + 2 > packetLength) return DROP_CHECKSUM_PLACE;
      transport = start;
      checksumField = offset;
    }
    segments = 1;
    return fillPlan(packetLength, packetLength, 0);
  }

  if (type == GSO_UDP_L4) protocol = UDP;
  else if (type == (v6 ? GSO_TCPV6 : GSO_TCPV4)) protocol = TCP;
  else return DROP_GSO_TYPE;
  gso = <u32>load<u16>(read, 4);
  if (gso == 0) return DROP_GSO_SIZE;
  if (v6) transport = transportOffset6(packet, packetLength, protocol);
  else transport = <u32>load<u8>(packet, 9) == protocol ? ipHeader : 0;
  // hdr_len is a hint only (it may cover the whole first segment): the packet itself says where its headers end.
  if (transport == 0 || (partial && start != transport)) return DROP_GSO_HEADER;
  if (protocol == TCP) {
    if (transport + 20 > packetLength) return DROP_GSO_HEADER;
    headers = transport + ((<u32>load<u8>(packet + transport, 12) >> 4) << 2);
    if (headers < transport + 20) return DROP_GSO_HEADER;
    checksumField = 16;
  } else {
    headers = transport + 8;
    checksumField = 6;
  }
  if (headers > packetLength) return DROP_GSO_HEADER;
  if (partial && offset != checksumField) return DROP_CHECKSUM_PLACE;
  const payload = packetLength - headers;
  segments = payload <= gso ? 1 : (payload + gso - 1) / gso;
  return fillPlan(headers + min<u32>(gso, payload), headers + payload - (segments - 1) * gso, type);
}

/** Writes segment `i` of the planned packet to `dst` as a complete IP packet and returns its length. */
function writeSegment(i: u32, dst: usize): u32 {
  if (gso == 0) {
    if (transport == 0) {
      copyBytes(dst, packet, packetLength);
      return packetLength;
    }
    // The field holds the pseudo-header's sum, so summing it along with the rest is all there is to do.
    copyBytes(dst, packet, transport);
    const rest = fold(copySum(dst + transport, packet + transport, packetLength - transport, 0));
    storeChecksum(dst + transport, checksumField, rest, checksumField == 6);
    return packetLength;
  }
  const at = i * gso;
  const n = min<u32>(gso, packetLength - headers - at);
  const last = i + 1 == segments;
  copyBytes(dst, packet, headers);
  const sum = copySum(dst + headers, packet + headers + at, n, 0);
  const total = headers + n;
  if (v6) {
    store16be(dst + 4, total - 40);
  } else {
    store16be(dst + 2, total);
    store16be(dst + 4, load16be(packet + 4) + i);
    writeHeaderChecksum(dst, transport);
  }
  const header = dst + transport;
  if (protocol == TCP) {
    store32be(header + 4, load32be(packet + transport + 4) + at);
    let flags = <u32>load<u8>(header, 13);
    if (!last) flags &= ~FIN_PSH;
    if (i != 0) flags &= ~CWR;
    store<u8>(header, <u8>flags, 13);
  } else {
    store16be(header + 4, 8 + n);
  }
  store<u16>(header + checksumField, 0);
  const pseudo = pseudoSum(dst, v6, protocol, total - transport);
  storeChecksum(header, checksumField, fold(sumBytes(header, headers - transport, sum + pseudo)), protocol == UDP);
  return total;
}

/** RFC 768: a UDP checksum that comes out as 0 is sent as all ones, for 0 says there is none. */
@inline
function storeChecksum(header: usize, field: u32, sum: u32, udp: bool): void {
  const value = ~sum & 0xffff;
  store<u16>(header + field, <u16>(udp && value == 0 ? 0xffff : value));
}

/** Header, zero padding and seal round the `length` bytes that stand at out + 16. Returns the message's length. */
function finishMessage(key: usize, receiver: u32, lo: u32, hi: u32, length: u32, mtu: u32, out: usize): u32 {
  const body = padded(length, mtu);
  store<u32>(out, 4);
  store<u32>(out, receiver, 4);
  store<u32>(out, lo, 8);
  store<u32>(out, hi, 12);
  const plaintext = out + MESSAGE_HEADER;
  // 16 zeros may reach into the tag's place, which seal overwrites.
  v128.store(plaintext + length, i64x2.splat(0));
  seal(key, lo, hi, plaintext, plaintext, body);
  return MESSAGE_HEADER + body + TAG;
}

/**
 * Seals segments `first` … `first + count - 1` of the planned packet, one after the other from `out` on; the first of
 * them under the counter given, each further one under the next. Returns the bytes written.
 */
export function sealPlanned(
  key: usize,
  receiver: u32,
  ctrLo: u32,
  ctrHi: u32,
  first: u32,
  count: u32,
  out: usize,
): i32 {
  if (first >= segments) return 0;
  const end = first + min<u32>(count, segments - first);
  let at = out;
  for (let i = first; i < end; i++) {
    const length = writeSegment(i, at + MESSAGE_HEADER);
    at += finishMessage(key, receiver, ctrLo, ctrHi, length, packetMtu, at);
    ctrLo++;
    if (ctrLo == 0) ctrHi++;
  }
  return <i32>(at - out);
}

/** Seals a finished IP packet (no virtio header), such as one that waited for a handshake. Returns the bytes written. */
export function sealPacket(
  key: usize,
  receiver: u32,
  ctrLo: u32,
  ctrHi: u32,
  ip: usize,
  length: u32,
  mtu: u32,
  out: usize,
): i32 {
  if (length > MAX_PACKET) return DROP_LONG;
  copyBytes(out + MESSAGE_HEADER, ip, length);
  return <i32>finishMessage(key, receiver, ctrLo, ctrHi, length, mtu, out);
}

/** Seals a keepalive, 32 bytes. */
export function sealEmpty(key: usize, receiver: u32, ctrLo: u32, ctrHi: u32, out: usize): i32 {
  return <i32>finishMessage(key, receiver, ctrLo, ctrHi, 0, 0, out);
}

/**
 * Writes segment `i` of the planned packet to `out` as a TUN read or write of its own, an all-zero virtio header and the
 * finished IP packet, and returns its length, or 0 when there is no such segment.
 */
export function cutSegment(i: u32, out: usize): i32 {
  if (i >= segments) return 0;
  store<u64>(out, 0);
  store<u16>(out, 0, 8);
  return <i32>(VIRTIO_HEADER + writeSegment(i, out + VIRTIO_HEADER));
}
