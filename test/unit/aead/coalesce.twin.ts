/**
 * Generic receive offload said slowly: an item is the list of its packets in order, flows are found by going through all
 * items, and the train is put together at the end. From Linux Documentation/networking/segmentation-offloads.rst, the
 * virtio specification §5.1.6.2, and the rules of wireguard-go's TUN writer as facts.
 * @module
 */
import { checksumsHold, naivePseudo, naiveSum } from './checksum.twin.ts';

interface Parsed {
  readonly bytes: Uint8Array;
  readonly flow: string;
  /** Everything two packets must share to stand behind one header. */
  readonly shared: string;
  readonly isTcp: boolean;
  readonly transport: number;
  readonly headers: number;
  readonly payload: number;
  readonly seq: number;
  readonly pushed: boolean;
}

interface Item {
  packets: Parsed[];
  /** null: was never a candidate, or nothing may join it any more. */
  flow: string | null;
}

export interface NaiveOptions {
  readonly udp: boolean;
  readonly even?: boolean;
}

/** Each result is a TUN write: virtio header and packet. */
export function naiveCoalesce(packets: readonly Uint8Array[], options: NaiveOptions): Uint8Array[] {
  const items: Item[] = [];
  for (const bytes of packets) {
    const packet = parse(bytes, options.udp);
    if (packet === null) items.push({ packets: [plain(bytes)], flow: null });
    else if (packet.isTcp) addTcp(items, packet, options);
    else addUdp(items, packet, options);
  }
  return items.map(render);
}

function addTcp(items: Item[], packet: Parsed, options: NaiveOptions): void {
  for (const item of items.toReversed()) {
    if (item.flow !== packet.flow) continue;
    const side = tcpSide(item, packet, options);
    if (side === null) continue;
    if (item.packets.length === 1 && !checksumsHold(item.packets[0]!.bytes)) {
      item.flow = null;
      continue;
    }
    if (!checksumsHold(packet.bytes)) {
      items.push({ packets: [packet], flow: null });
      return;
    }
    if (side === 'behind') item.packets.push(packet);
    else item.packets.unshift(packet);
    return;
  }
  items.push({ packets: [packet], flow: packet.flow });
}

function tcpSide(item: Item, packet: Parsed, options: NaiveOptions): 'behind' | 'before' | null {
  const first = item.packets[0]!;
  const size = total(item);
  if (first.shared !== packet.shared || first.headers + size + packet.payload > 65535) return null;
  const even = item.packets.every((other) => other.payload === first.payload);
  if (packet.seq === (first.seq + size) % 2 ** 32) {
    const fits = even && packet.payload <= first.payload && !item.packets.some((other) => other.pushed);
    return fits && !(options.even && packet.payload < first.payload) ? 'behind' : null;
  }
  if ((packet.seq + packet.payload) % 2 ** 32 !== first.seq || packet.pushed) return null;
  if (packet.payload < first.payload) return null;
  if (packet.payload > first.payload && (item.packets.length > 1 || options.even)) return null;
  return 'before';
}

function addUdp(items: Item[], packet: Parsed, options: NaiveOptions): void {
  const item = items.findLast((other) => other.flow === packet.flow);
  if (item !== undefined && udpFits(item, packet, options)) {
    if (checksumsHold(item.packets[0]!.bytes) && checksumsHold(packet.bytes)) {
      item.packets.push(packet);
      return;
    }
  }
  items.push({ packets: [packet], flow: packet.flow });
}

function udpFits(item: Item, packet: Parsed, options: NaiveOptions): boolean {
  const first = item.packets[0]!;
  return (
    first.shared === packet.shared &&
    item.packets.length < 64 &&
    packet.payload > 0 &&
    first.headers + total(item) + packet.payload <= 65535 &&
    item.packets.every((other) => other.payload === first.payload) &&
    packet.payload <= first.payload &&
    !(options.even && packet.payload < first.payload)
  );
}

function total(item: Item): number {
  return item.packets.reduce((sum, packet) => sum + packet.payload, 0);
}

function plain(bytes: Uint8Array): Parsed {
  return {
    bytes,
    flow: '',
    shared: '',
    isTcp: false,
    transport: 0,
    headers: 0,
    payload: 0,
    seq: 0,
    pushed: false,
  };
}

function parse(bytes: Uint8Array, udp: boolean): Parsed | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const six = bytes[0]! >> 4 === 6;
  const transport = six ? 40 : 20;
  if (bytes.length < transport + 8) return null;
  if (six) {
    if (view.getUint16(4) + 40 !== bytes.length) return null;
  } else if (bytes[0] !== 0x45 || view.getUint16(2) !== bytes.length || (view.getUint16(6) & 0x3fff) !== 0) {
    return null;
  }
  if (!six && naiveSum(bytes.subarray(0, 20)) !== 0xffff) return null;
  const protocol = bytes[six ? 6 : 9];
  const isTcp = protocol === 6;
  if (isTcp ? bytes.length < transport + 20 : protocol !== 17 || !udp) return null;
  const dataOffset = isTcp ? (bytes[transport + 12]! >> 4) * 4 : 8;
  if (isTcp && (dataOffset < 20 || (bytes[transport + 13]! & ~0x08) !== 0x10)) return null;
  if (!isTcp && view.getUint16(transport + 4) !== bytes.length - transport) return null;
  const headers = transport + dataOffset;
  // An empty datagram joins nothing, but what follows it must not overtake it.
  if (bytes.length < headers || (isTcp && bytes.length === headers)) return null;
  const hex = (from: number, to: number) => Buffer.from(bytes.subarray(from, to)).toString('hex');
  const addresses = six ? hex(8, 40) : hex(12, 20);
  const ports = hex(transport, transport + 4);
  return {
    bytes,
    flow: [six, protocol, addresses, ports, isTcp ? hex(transport + 8, transport + 12) : ''].join(),
    shared: [
      six ? [view.getUint16(0) >> 4, bytes[7]] : [bytes[1], bytes[6]! & 0xe0, bytes[8]],
      isTcp ? hex(transport + 20, headers) : '',
      headers,
    ].join(),
    isTcp,
    transport,
    headers,
    payload: bytes.length - headers,
    seq: isTcp ? view.getUint32(transport + 4) : 0,
    pushed: isTcp && (bytes[transport + 13]! & 0x08) !== 0,
  };
}

function render(item: Item): Uint8Array {
  const first = item.packets[0]!;
  if (item.packets.length === 1) return new Uint8Array([...new Uint8Array(10), ...first.bytes]);
  const { headers, transport, isTcp } = first;
  const size = headers + total(item);
  const packet = new Uint8Array(size);
  packet.set(first.bytes.subarray(0, headers));
  let at = headers;
  for (const part of item.packets) {
    packet.set(part.bytes.subarray(headers), at);
    at += part.payload;
  }
  const six = packet[0]! >> 4 === 6;
  const view = new DataView(packet.buffer);
  if (six) {
    view.setUint16(4, size - 40);
  } else {
    view.setUint16(2, size);
    view.setUint16(10, 0);
    view.setUint16(10, ~naiveSum(packet.subarray(0, 20)));
  }
  if (!isTcp) view.setUint16(transport + 4, size - transport);
  else if (item.packets.some((part) => part.pushed)) packet[transport + 13]! |= 0x08;
  const field = isTcp ? 16 : 6;
  view.setUint16(transport + field, naivePseudo(packet, isTcp ? 6 : 17, size - transport));
  const out = new Uint8Array(10 + size);
  const header = new DataView(out.buffer);
  header.setUint8(0, 1);
  header.setUint8(1, isTcp ? (six ? 4 : 1) : 5);
  header.setUint16(2, headers, true);
  header.setUint16(4, Math.max(...item.packets.map((part) => part.payload)), true);
  header.setUint16(6, transport, true);
  header.setUint16(8, field, true);
  out.set(packet, 10);
  return out;
}
