/**
 * What a TUN read becomes on the wire, said slowly: arrays instead of memory, one segment at a time, from the virtio
 * specification §5.1.6.2, RFC 9293 §3.1, RFC 768 and the WireGuard paper §5.4.6.
 * @module
 */
import { naivePseudo, naiveSum } from './checksum.twin.ts';

/** The packets of a well-formed read, complete with checksums. */
export function naiveSegments(read: Uint8Array): Uint8Array[] {
  const header = new DataView(read.buffer, read.byteOffset, 10);
  const packet = read.slice(10);
  const gsoType = header.getUint8(1) & 0x7f;
  const gsoSize = header.getUint16(4, true);
  const start = header.getUint16(6, true);
  const field = start + header.getUint16(8, true);
  if (gsoType === 0) {
    if (header.getUint8(0) & 1) {
      const pseudo = (packet[field]! << 8) | packet[field + 1]!;
      packet[field] = packet[field + 1] = 0;
      write16(packet, field, complement(naiveSum(packet.subarray(start), pseudo), field - start === 6));
    }
    return [packet];
  }
  const isUdp = gsoType === 5;
  const headers = start + (isUdp ? 8 : (packet[start + 12]! >> 4) * 4);
  const payload = packet.subarray(headers);
  const segments: Uint8Array[] = [];
  for (let at = 0; at === 0 || at < payload.length; at += gsoSize) {
    const part = payload.subarray(at, at + gsoSize);
    const out = new Uint8Array([...packet.subarray(0, headers), ...part]);
    const last = at + gsoSize >= payload.length;
    if (out[0]! >> 4 === 4) {
      const ipHeader = (out[0]! & 15) * 4;
      write16(out, 2, out.length);
      write16(out, 4, read16(packet, 4) + segments.length);
      write16(out, 10, 0);
      write16(out, 10, ~naiveSum(out.subarray(0, ipHeader)));
    } else {
      write16(out, 4, out.length - 40);
    }
    if (isUdp) {
      write16(out, start + 4, out.length - start);
    } else {
      const seq = read16(packet, start + 4) * 65536 + read16(packet, start + 6) + at;
      write16(out, start + 4, Math.floor(seq / 65536) % 65536);
      write16(out, start + 6, seq % 65536);
      if (!last) out[start + 13]! &= ~0x09;
      if (at > 0) out[start + 13]! &= ~0x80;
    }
    write16(out, field, 0);
    const pseudo = naivePseudo(out, isUdp ? 17 : 6, out.length - start);
    write16(out, field, complement(naiveSum(out.subarray(start), pseudo), isUdp));
    segments.push(out);
  }
  return segments;
}

/** The plaintext of a transport message: the packet and its zeros. */
export function naivePadded(packet: Uint8Array, mtu: number): Uint8Array {
  let length = packet.length;
  const within = () => mtu === 0 || length % mtu !== 0 || length === 0;
  // One more zero until it is a multiple of 16, or the (last) MTU is full. A packet above the MTU counts from its last part.
  const base = mtu !== 0 && length > mtu ? length - (length % mtu) : 0;
  while ((length - base) % 16 !== 0 && within()) length++;
  const out = new Uint8Array(length);
  out.set(packet);
  return out;
}

function complement(sum: number, isUdp: boolean): number {
  const value = ~sum & 0xffff;
  return isUdp && value === 0 ? 0xffff : value;
}

function read16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

function write16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}
