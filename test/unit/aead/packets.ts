/**
 * IP packets for the tests, built field by field from RFC 791 §3.1, RFC 8200 §3, RFC 9293 §3.1 and RFC 768, and the
 * virtio_net_hdr (linux/virtio_net.h) a TUN read puts before them.
 * @module
 */
import { naivePseudo, naiveSum } from './checksum.twin.ts';

export const FIN = 0x01;
export const PSH = 0x08;
export const ACK = 0x10;
export const CWR = 0x80;

export interface Addresses {
  readonly src: Uint8Array;
  readonly dst: Uint8Array;
}

export const v4 = (last: number, to = 2): Addresses => ({
  src: Uint8Array.of(10, 0, 0, last),
  dst: Uint8Array.of(10, 0, 1, to),
});

export const v6 = (last: number, to = 2): Addresses => ({
  src: Uint8Array.of(0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last),
  dst: Uint8Array.of(0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, to),
});

export interface IpFields {
  readonly addresses: Addresses;
  readonly payload: Uint8Array;
  readonly ports?: readonly [number, number];
  readonly tos?: number;
  readonly ttl?: number;
  readonly id?: number;
  /** The high byte of flags and fragment offset: 0x40 is DF, 0x20 MF. */
  readonly fragment?: number;
  readonly ipOptions?: Uint8Array;
  /** IPv6 extension headers, and the protocol number the first of them has. */
  readonly extensions?: { readonly next: number; readonly bytes: Uint8Array };
  /** Leaves the transport checksum as the kernel does for offload: the pseudo-header's sum. */
  readonly partial?: boolean;
}

export interface TcpFields extends IpFields {
  readonly seq: number;
  readonly ack?: number;
  readonly flags?: number;
  readonly window?: number;
  readonly options?: Uint8Array;
}

const put16 = (bytes: Uint8Array, at: number, value: number): void => {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
};
const put32 = (bytes: Uint8Array, at: number, value: number): void => {
  put16(bytes, at, value >>> 16);
  put16(bytes, at + 2, value);
};

function ip(fields: IpFields, protocol: number, transport: Uint8Array, field: number): Uint8Array {
  const { src, dst } = fields.addresses;
  const six = src.length === 16;
  const between = six
    ? (fields.extensions?.bytes ?? new Uint8Array())
    : (fields.ipOptions ?? new Uint8Array());
  const header = six ? 40 : 20 + between.length;
  const total = (six ? 40 : 20) + between.length + transport.length;
  const packet = new Uint8Array(total);
  if (six) {
    const tos = fields.tos ?? 0;
    packet[0] = 0x60 | (tos >> 4);
    packet[1] = (tos << 4) & 0xf0;
    put16(packet, 4, total - 40);
    packet[6] = fields.extensions?.next ?? protocol;
    packet[7] = fields.ttl ?? 64;
    packet.set(src, 8);
    packet.set(dst, 24);
    packet.set(between, 40);
  } else {
    packet[0] = 0x40 | (header / 4);
    packet[1] = fields.tos ?? 0;
    put16(packet, 2, total);
    put16(packet, 4, fields.id ?? 0);
    packet[6] = fields.fragment ?? 0;
    packet[8] = fields.ttl ?? 64;
    packet[9] = protocol;
    packet.set(src, 12);
    packet.set(dst, 16);
    packet.set(between, 20);
    put16(packet, 10, ~naiveSum(packet.subarray(0, header)));
  }
  const start = total - transport.length;
  packet.set(transport, start);
  put16(packet, start + field, 0);
  const pseudo = naivePseudo(packet, protocol, transport.length);
  if (fields.partial) {
    put16(packet, start + field, pseudo);
  } else {
    const sum = ~naiveSum(packet.subarray(start), pseudo) & 0xffff;
    put16(packet, start + field, sum === 0 && protocol === 17 ? 0xffff : sum);
  }
  return packet;
}

export function tcp(fields: TcpFields): Uint8Array {
  const options = fields.options ?? new Uint8Array();
  const header = 20 + options.length;
  const transport = new Uint8Array(header + fields.payload.length);
  put16(transport, 0, fields.ports?.[0] ?? 1);
  put16(transport, 2, fields.ports?.[1] ?? 1);
  put32(transport, 4, fields.seq);
  put32(transport, 8, fields.ack ?? 1);
  transport[12] = (header / 4) << 4;
  transport[13] = fields.flags ?? ACK;
  put16(transport, 14, fields.window ?? 3000);
  transport.set(options, 20);
  transport.set(fields.payload, header);
  return ip(fields, 6, transport, 16);
}

export function udp(fields: IpFields): Uint8Array {
  const transport = new Uint8Array(8 + fields.payload.length);
  put16(transport, 0, fields.ports?.[0] ?? 1);
  put16(transport, 2, fields.ports?.[1] ?? 1);
  put16(transport, 4, transport.length);
  transport.set(fields.payload, 8);
  return ip(fields, 17, transport, 6);
}

export interface VirtioFields {
  readonly flags?: number;
  readonly gsoType?: number;
  readonly headerLength?: number;
  readonly gsoSize?: number;
  readonly checksumStart?: number;
  readonly checksumOffset?: number;
}

export function virtio(fields: VirtioFields, packet: Uint8Array): Uint8Array {
  const read = new Uint8Array(10 + packet.length);
  const view = new DataView(read.buffer);
  view.setUint8(0, fields.flags ?? 0);
  view.setUint8(1, fields.gsoType ?? 0);
  view.setUint16(2, fields.headerLength ?? 0, true);
  view.setUint16(4, fields.gsoSize ?? 0, true);
  view.setUint16(6, fields.checksumStart ?? 0, true);
  view.setUint16(8, fields.checksumOffset ?? 0, true);
  read.set(packet, 10);
  return read;
}

/** Bytes that differ from place to place and from seed to seed. */
export function pattern(length: number, seed = 1): Uint8Array {
  let state = (seed * 2654435761 + 1) >>> 0;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

/** A hundred bytes of payload, and packets that carry them. */
export const hundred = (seed: number) => pattern(100, seed);
export const tcpAt = (addresses: Addresses, seq: number, fields = {}) =>
  tcp({ addresses, seq, payload: hundred(seq), ...fields });
export const udpTo = (addresses: Addresses, seed = 1, fields = {}) =>
  udp({ addresses, payload: hundred(seed), ...fields });
export const spoilt = (packet: Uint8Array) => {
  const copy = packet.slice();
  copy[copy.length - 1]! ^= 1;
  return copy;
};
export const lengths = (writes: readonly Uint8Array[]) => writes.map((write) => write.length - 10);
export const B4 = v4(1, 2);
export const C4 = v4(1, 3);
export const B6 = v6(1, 2);
export const C6 = v6(1, 3);

/** A TUN read of a TCP or UDP_L4 train. */
export const tcpTrain = (packet: Uint8Array, gsoSize: number, extra = {}) => {
  const six = packet[0]! >> 4 === 6;
  const checksumStart = six ? 40 : (packet[0]! & 15) * 4;
  return virtio(
    {
      flags: 1,
      gsoType: six ? 4 : 1,
      headerLength: 54,
      gsoSize,
      checksumStart,
      checksumOffset: 16,
      ...extra,
    },
    packet,
  );
};
export const udpTrain = (packet: Uint8Array, gsoSize: number, extra = {}) => {
  const checksumStart = packet[0]! >> 4 === 6 ? 40 : (packet[0]! & 15) * 4;
  return virtio(
    { flags: 1, gsoType: 5, headerLength: 28, gsoSize, checksumStart, checksumOffset: 6, ...extra },
    packet,
  );
};
