/**
 * From decrypted packets to few TUN writes: neighbours of one TCP or UDP flow are joined into one train with a virtio
 * header that says how to cut it again (generic receive offload; linux/virtio_net.h, Linux Documentation/networking/
 * segmentation-offloads.rst).
 *
 *   groBegin(slots, stride, maxSlots, options)   an empty set of items; item i lies at slots + i * stride
 *   groAdd(ip, length)                           joins the packet to an item or makes it one
 *   groFinish()                                  number of items, in the order of their first packets
 *
 * A train gets a fresh checksum from the stack, which would hide that a part of it was corrupt before it was encrypted.
 * So the checksum of every candidate is summed while it is copied, and what is wrong stays a packet of its own.
 * Every item's virtio header is written on every path; one that was not joined has it all zero.
 *
 * Items of a flow hang in a bucket of a small hash table from newest to oldest. Among them TCP may append or prepend to
 * any; UDP, whose order nobody repairs, only appends to the newest.
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
  sumBytes,
  writeHeaderChecksum,
} from './checksum';
import { candidate, flowHash, headersOf, holds, ipHeaderOf, isTcp, isV6, PSH, sameFlow, sameHeaders } from './flow';

// The values of src/aead/packet-drops.ts.
const GRO_FULL: i32 = -1;
const DROP_SHORT: i32 = -1;
const DROP_LONG: i32 = -2;
const DROP_VERSION: i32 = -3;
const DROP_INNER_LENGTH: i32 = -8;

const VIRTIO_HEADER: u32 = 10;
const NEEDS_CSUM: u32 = 1;
const MAX_PACKET: u32 = 65535;

/** Linux before 6.9 refuses a train of more (UDP_MAX_SEGMENTS). */
const UDP_SEGMENTS: u32 = 64;

// groBegin's options
const JOIN_UDP: u32 = 1;
/** For kernels that refuse a train whose last segment is shorter (6.6.44, 6.10.3). */
const NO_SHORT_TAIL: u32 = 2;
/** For kernels that refuse all trains. */
const NO_JOINING: u32 = 4;

const MAX_ITEMS: u32 = 256;
const BUCKETS: u32 = 256;
const NONE: u32 = 0xffff;
/** u16 per bucket: its newest item. */
const HEADS = memory.data(512, 16);
/** u32 per item: length of its slot's content, virtio header included. */
const LENGTHS = memory.data(1024, 16);

const ITEM_SIZE: u32 = 32;
const ITEMS = memory.data(8192, 16);
// An item's fields, as offsets:
const OLDER: usize = 0; // u16 next item of the bucket
const STATE: usize = 2; // u16 flags below
const HASH: usize = 4;
const KIND: usize = 8; // what candidate() found
const GSO: usize = 12; // payload of the largest segment
const SEGMENTS: usize = 16;
const SEQ: usize = 20; // TCP: of the first payload byte
const PAYLOAD: usize = 24;

const PUSHED: u32 = 1; // PSH was seen on the last segment
const SHORT_TAIL: u32 = 2;
const BAD: u32 = 4; // UDP that stays alone: empty, or its checksum does not hold

let slots: usize = 0;
let stride: u32 = 0;
let maxItems: u32 = 0;
let capacity: u32 = 0;
let options: u32 = 0;
let count: u32 = 0;

/** The true length of the decrypted packet in `length` bytes at `ip`, padding cut off, or a drop. Paper §5.4.6. */
export function innerLength(ip: usize, length: u32): i32 {
  if (length < 20) return DROP_SHORT;
  const version = load<u8>(ip) >> 4;
  let total: u32;
  if (version == 4) {
    total = load16be(ip + 2);
    if (total < 20) return DROP_INNER_LENGTH;
  } else if (version == 6) {
    if (length < 40) return DROP_SHORT;
    total = load16be(ip + 4) + 40;
  } else {
    return DROP_VERSION;
  }
  return total > length ? DROP_INNER_LENGTH : <i32>total;
}

/** Forgets all items. The area at `area` holds `max` slots of `step` bytes; 10 + 65,535 of them are of use. */
export function groBegin(area: usize, step: u32, max: u32, choices: u32): void {
  slots = area;
  stride = step;
  maxItems = min<u32>(max, MAX_ITEMS);
  capacity = step < VIRTIO_HEADER ? 0 : min<u32>(step - VIRTIO_HEADER, MAX_PACKET);
  options = choices;
  count = 0;
  for (let at: usize = 0; at < 512; at += 16) v128.store(HEADS + at, i64x2.splat(-1));
}

export function groLengths(): usize {
  return LENGTHS;
}

@inline
function slotOf(index: u32): usize {
  return slots + index * stride;
}

@inline
function itemOf(index: u32): usize {
  return ITEMS + index * ITEM_SIZE;
}

/**
 * Adds the packet of `length` bytes at `ip`, which lies outside of the slots. 0, or GRO_FULL and nothing done, or
 * DROP_LONG for one that no slot can hold.
 */
export function groAdd(ip: usize, length: u32): i32 {
  if (length == 0 || length > capacity) return DROP_LONG;
  const kind = options & NO_JOINING ? 0 : candidate(ip, length, (options & JOIN_UDP) != 0);
  if (kind == 0) return addPlain(ip, length);
  const hash = flowHash(ip, kind);
  const bucket = HEADS + ((hash % BUCKETS) << 1);
  const tcp = isTcp(kind);
  let index = <u32>load<u16>(bucket);
  while (index != NONE) {
    const item = itemOf(index);
    if (load<u32>(item, HASH) == hash && load<u32>(item, KIND) == kind) {
      const target = slotOf(index) + VIRTIO_HEADER;
      if (sameFlow(ip, target, kind)) {
        if (tcp ? joinTcp(ip, length, kind, index) : joinUdp(ip, length, kind, index)) return 0;
        if (!tcp) break;
      }
    }
    index = <u32>load<u16>(item, OLDER);
  }
  return addItem(ip, length, kind, hash, bucket);
}

/** A packet that stays alone. */
function addPlain(ip: usize, length: u32): i32 {
  if (count >= maxItems) return GRO_FULL;
  const slot = slotOf(count);
  store<u64>(slot, 0);
  store<u16>(slot, 0, 8);
  copyBytes(slot + VIRTIO_HEADER, ip, length);
  store<u32>(LENGTHS + (count << 2), VIRTIO_HEADER + length);
  store<u32>(itemOf(count), 0, SEGMENTS);
  count++;
  return 0;
}

/** The first packet of what may become a train. */
function addItem(ip: usize, length: u32, kind: u32, hash: u32, bucket: usize): i32 {
  if (count >= maxItems) return GRO_FULL;
  const slot = slotOf(count);
  const target = slot + VIRTIO_HEADER;
  const item = itemOf(count);
  const headers = headersOf(kind);
  const payload = length - headers;
  store<u64>(slot, 0);
  store<u16>(slot, 0, 8);
  copyBytes(target, ip, headers);
  const good = holds(ip, length, kind, copySum(target + headers, ip + headers, payload, 0));
  store<u32>(LENGTHS + (count << 2), VIRTIO_HEADER + length);
  store<u32>(item, 1, SEGMENTS);
  count++;
  // Nothing may join a corrupt packet. TCP forgets it; a UDP one stays in view, as an empty one does, so that none is
  // joined past it.
  const tcp = isTcp(kind);
  if (tcp && !good) return 0;
  let state = good && payload != 0 ? 0 : BAD;
  if (tcp) {
    const transport = ip + ipHeaderOf(kind);
    if ((<u32>load<u8>(transport, 13)) & PSH) state |= PUSHED;
    store<u32>(item, load32be(transport + 4), SEQ);
  }
  store<u16>(item, <u16>state, STATE);
  store<u32>(item, hash, HASH);
  store<u32>(item, kind, KIND);
  store<u32>(item, payload, GSO);
  store<u32>(item, payload, PAYLOAD);
  store<u16>(item, load<u16>(bucket), OLDER);
  store<u16>(bucket, <u16>(count - 1));
  return 0;
}

/** Copies the payload behind the item's and takes it in if the packet's checksum holds. */
function append(ip: usize, length: u32, kind: u32, index: u32): bool {
  const item = itemOf(index);
  const headers = headersOf(kind);
  const payload = length - headers;
  const had = load<u32>(item, PAYLOAD);
  // What a corrupt packet leaves here lies behind the item's end.
  const sum = copySum(slotOf(index) + VIRTIO_HEADER + headers + had, ip + headers, payload, 0);
  if (!holds(ip, length, kind, sum)) return false;
  if (payload < load<u32>(item, GSO)) store<u16>(item, load<u16>(item, STATE) | <u16>SHORT_TAIL, STATE);
  store<u32>(item, load<u32>(item, SEGMENTS) + 1, SEGMENTS);
  grow(index, item, headers, had + payload);
  return true;
}

@inline
function grow(index: u32, item: usize, headers: u32, payload: u32): void {
  store<u32>(item, payload, PAYLOAD);
  store<u32>(LENGTHS + (index << 2), VIRTIO_HEADER + headers + payload);
}

/** Joins the packet to the item if it fits behind it and is sound. */
function joinUdp(ip: usize, length: u32, kind: u32, index: u32): bool {
  const item = itemOf(index);
  const headers = headersOf(kind);
  const payload = length - headers;
  const gso = load<u32>(item, GSO);
  if (load<u16>(item, STATE) & <u16>(SHORT_TAIL | BAD) || payload > gso || payload == 0) return false;
  if (payload < gso && options & NO_SHORT_TAIL) return false;
  if (load<u32>(item, SEGMENTS) >= UDP_SEGMENTS) return false;
  if (headers + load<u32>(item, PAYLOAD) + payload > capacity) return false;
  if (!sameHeaders(ip, slotOf(index) + VIRTIO_HEADER, kind)) return false;
  return append(ip, length, kind, index);
}

/** As joinUdp. The sequence number says whether the packet goes behind the item or in front of it. */
function joinTcp(ip: usize, length: u32, kind: u32, index: u32): bool {
  const item = itemOf(index);
  const headers = headersOf(kind);
  const payload = length - headers;
  const gso = load<u32>(item, GSO);
  const had = load<u32>(item, PAYLOAD);
  const state = <u32>load<u16>(item, STATE);
  const transport = ip + ipHeaderOf(kind);
  const seq = load32be(transport + 4);
  const target = slotOf(index) + VIRTIO_HEADER;
  if (headers + had + payload > capacity) return false;
  if (seq == load<u32>(item, SEQ) + had) {
    if (state & (PUSHED | SHORT_TAIL) || payload > gso) return false;
    if (payload < gso && options & NO_SHORT_TAIL) return false;
    if (!sameHeaders(ip, target, kind)) return false;
    const joined = append(ip, length, kind, index);
    if (joined && (<u32>load<u8>(transport, 13)) & PSH) {
      store<u16>(item, load<u16>(item, STATE) | <u16>PUSHED, STATE);
    }
    return joined;
  }
  if (seq + payload != load<u32>(item, SEQ)) return false;
  // In front: one that is larger makes a short tail of the only packet the item has.
  if ((<u32>load<u8>(transport, 13)) & PSH || payload < gso) return false;
  const segments = load<u32>(item, SEGMENTS);
  if (payload > gso && (segments > 1 || options & NO_SHORT_TAIL)) return false;
  if (!sameHeaders(ip, target, kind)) return false;
  if (!holds(ip, length, kind, sumBytes(ip + headers, payload, 0))) return false;
  memory.copy(target + headers + payload, target + headers, had);
  copyBytes(target, ip, length);
  if (payload > gso) store<u16>(item, <u16>(state | SHORT_TAIL), STATE);
  store<u32>(item, payload, GSO);
  store<u32>(item, seq, SEQ);
  store<u32>(item, segments + 1, SEGMENTS);
  grow(index, item, headers, had + payload);
  return true;
}

/** Writes the headers of all trains and returns the number of items. Their lengths are at groLengths(). */
export function groFinish(): i32 {
  for (let index: u32 = 0; index < count; index++) {
    if (load<u32>(itemOf(index), SEGMENTS) > 1) finishTrain(slotOf(index), itemOf(index));
  }
  return <i32>count;
}

function finishTrain(slot: usize, item: usize): void {
  const kind = load<u32>(item, KIND);
  const ipHeader = ipHeaderOf(kind);
  const headers = headersOf(kind);
  const ip = slot + VIRTIO_HEADER;
  const transport = ip + ipHeader;
  const v6 = isV6(kind);
  const tcp = isTcp(kind);
  const total = headers + load<u32>(item, PAYLOAD);
  const field: u32 = tcp ? 16 : 6;
  store<u8>(slot, <u8>NEEDS_CSUM);
  store<u8>(slot, tcp ? (v6 ? 4 : 1) : 5, 1);
  store<u16>(slot, <u16>headers, 2);
  store<u16>(slot, <u16>load<u32>(item, GSO), 4);
  store<u16>(slot, <u16>ipHeader, 6);
  store<u16>(slot, <u16>field, 8);
  if (v6) {
    store16be(ip + 4, total - 40);
  } else {
    store16be(ip + 2, total);
    writeHeaderChecksum(ip, 20);
  }
  if (tcp) {
    if (load<u16>(item, STATE) & <u16>PUSHED) store<u8>(transport, load<u8>(transport, 13) | <u8>PSH, 13);
  } else {
    store16be(transport + 4, total - ipHeader);
  }
  // The stack completes it: the sum of the pseudo-header, not inverted.
  store<u16>(transport + field, <u16>fold(pseudoSum(ip, v6, kind >> 16, total - ipHeader)));
}
