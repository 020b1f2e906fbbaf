/** Decrypted packets joined into trains, by the tables of wireguard-go's TUN offload tests (as facts). */
import { describe, expect, it } from 'vitest';
import { DROP_LONG, GRO_EVEN, GRO_FULL, GRO_OFF, GRO_UDP } from '../../../src/aead/packet-drops.ts';
import { checksumsHold, naiveSum } from './checksum.twin.ts';
import { KernelAreas, SLOTS, STRIDE, simd128 } from './kernel-areas.ts';
import {
  ACK,
  type Addresses,
  B4,
  B6,
  C4,
  C6,
  FIN,
  hundred,
  lengths,
  PSH,
  pattern,
  spoilt,
  tcp,
  tcpAt,
  udp,
  udpTo,
  virtio,
} from './packets.ts';

describe('coalescing', () => {
  const areas = new KernelAreas(simd128);
  const join = (packets: readonly Uint8Array[], options: number = GRO_UDP) =>
    lengths(areas.coalesce(packets, options));

  it('joins several flows at once, in the order of their first packets', () => {
    const packets = [
      tcpAt(B4, 1),
      udpTo(B4),
      udpTo(C4),
      tcpAt(B4, 101),
      tcpAt(C4, 201),
      tcpAt(B6, 1),
      tcpAt(B6, 101),
      tcpAt(C6, 201),
      udpTo(B4, 2),
      udpTo(B6),
      udpTo(B6, 2),
    ];
    expect(join(packets)).toEqual([240, 228, 128, 140, 260, 160, 248]);
    expect(join(packets, 0)).toEqual([240, 128, 128, 140, 260, 160, 128, 148, 148]);
    expect(join(packets, GRO_UDP | GRO_OFF)).toEqual(lengths(packets).map((length) => length + 10));
  });

  it('appends nothing behind a PSH', () => {
    for (const [of, expected] of [
      [B4, [240, 240]],
      [B6, [260, 260]],
    ] as const) {
      const packets = [tcpAt(of, 1), tcpAt(of, 101, { flags: ACK | PSH }), tcpAt(of, 201), tcpAt(of, 301)];
      const writes = areas.coalesce(packets, 0);
      expect(lengths(writes)).toEqual(expected);
      const flags = of === B4 ? 43 : 63;
      expect(writes.map((write) => write[flags])).toEqual([ACK | PSH, ACK]);
    }
  });

  it('leaves a packet with a wrong checksum alone, and does not join past it in UDP', () => {
    expect(join([spoilt(tcpAt(B4, 1)), tcpAt(B4, 101), tcpAt(B4, 201)])).toEqual([140, 240]);
    expect(join([spoilt(udpTo(B4)), udpTo(B4, 2), udpTo(B4, 3)])).toEqual([128, 228]);
    expect(join([tcpAt(B4, 1), spoilt(tcpAt(B4, 101)), tcpAt(B4, 101)])).toEqual([240, 140]);
    expect(join([udpTo(B4, 1), spoilt(udpTo(B4, 2)), udpTo(B4, 3), udpTo(B4, 4)])).toEqual([128, 128, 228]);
    const writes = areas.coalesce([tcpAt(B4, 1), spoilt(tcpAt(B4, 101)), tcpAt(B4, 201)], 0);
    expect(writes[1]).toEqual(virtio({}, spoilt(tcpAt(B4, 101))));
  });

  it('never joins UDP over IPv4 that has no checksum', () => {
    const bare = (seed: number) => {
      const packet = udpTo(B4, seed);
      packet[26] = packet[27] = 0;
      return packet;
    };
    expect(join([bare(1), bare(2), udpTo(B4, 3), udpTo(B4, 4)])).toEqual([128, 128, 228]);
    // Nor when the sum comes out as if the 0 were one: the payload takes the place of the checksum.
    const payload = pattern(100);
    payload[0] = payload[1] = 0;
    payload.set(udp({ addresses: B4, payload }).subarray(26, 28));
    const zero = udp({ addresses: B4, payload });
    expect([...zero.subarray(26, 28)]).toEqual([0xff, 0xff]);
    zero[26] = zero[27] = 0;
    expect(join([zero, zero])).toEqual([128, 128]);
    expect(join([udpTo(B4), zero])).toEqual([128, 128]);
  });

  it('puts sequences 101, 1, 201 into one packet of 340', () => {
    const writes = areas.coalesce([tcpAt(B4, 101), tcpAt(B4, 1), tcpAt(B4, 201)], 0);
    expect(lengths(writes)).toEqual([340]);
    expect([...writes[0]!.subarray(50)]).toEqual([...hundred(1), ...hundred(101), ...hundred(201)]);
    expect(areas.unmerge(writes[0]!).map((write) => write.subarray(10))).toEqual([
      tcpAt(B4, 1),
      tcpAt(B4, 101, { id: 1 }),
      tcpAt(B4, 201, { id: 2 }),
    ]);
  });

  it('joins nothing that differs in TTL, TOS, DF, hop limit, traffic class, TCP options or acknowledgement', () => {
    const differences: [Addresses, object, object][] = [
      [B4, { ttl: 64 }, { ttl: 65 }],
      [B4, { tos: 0 }, { tos: 1 }],
      [B4, { fragment: 0x40 }, {}],
      [B4, {}, { fragment: 0x80 }],
      [B4, { fragment: 0x20 }, { fragment: 0x20 }],
      [B6, { ttl: 64 }, { ttl: 65 }],
      [B6, { tos: 0 }, { tos: 1 }],
      [B6, { tos: 0 }, { tos: 0x10 }],
    ];
    for (const [of, one, other] of differences) {
      expect(join([tcpAt(of, 1, one), tcpAt(of, 101, other)])).toHaveLength(2);
      expect(join([tcpAt(of, 101, one), tcpAt(of, 1, other)])).toHaveLength(2);
      expect(join([udpTo(of, 1, one), udpTo(of, 2, other)])).toHaveLength(2);
    }
    for (const of of [B4, B6]) {
      expect(join([tcpAt(of, 1, { ack: 1 }), tcpAt(of, 101, { ack: 2 })])).toHaveLength(2);
      expect(join([tcpAt(of, 1), tcpAt(of, 101, { options: pattern(12) })])).toHaveLength(2);
      const options = pattern(40, 1);
      expect(join([tcpAt(of, 1, { options }), tcpAt(of, 101, { options })])).toHaveLength(1);
      for (const at of [0, 20, 39]) {
        const other = options.slice();
        other[at]! ^= 1;
        expect(join([tcpAt(of, 1, { options }), tcpAt(of, 101, { options: other })])).toHaveLength(2);
      }
      expect(join([tcpAt(of, 1, { window: 1 }), tcpAt(of, 101, { window: 2 })])).toHaveLength(1);
    }
  });

  it('takes only whole, plain packets as candidates', () => {
    const twice = (packet: Uint8Array) => join([packet, packet]).length;
    const changed = (packet: Uint8Array, at: number, value: number) => {
      const copy = packet.slice();
      copy[at] = value;
      if (at >= 20) return copy;
      // Nothing but the change itself may be the reason.
      copy[10] = copy[11] = 0;
      new DataView(copy.buffer).setUint16(10, ~naiveSum(copy.subarray(0, 20)));
      return copy;
    };
    const datagram = udpTo(B4);
    expect(twice(datagram)).toBe(1);
    expect(twice(udp({ addresses: B4, payload: pattern(0) }))).toBe(2);
    expect(twice(changed(datagram, 0, 0x05))).toBe(2);
    expect(twice(changed(datagram, 0, 0x46))).toBe(2);
    expect(twice(changed(datagram, 9, 47))).toBe(2);
    expect(twice(changed(datagram, 3, 127))).toBe(2);
    // A UDP length of 107 where the packet has 108, one more in the first word of data so that the checksum holds.
    const odd = udp({ addresses: B4, payload: Uint8Array.of(7, 7, ...pattern(98)) });
    const shorter = changed(changed(odd, 25, 107), 29, 8);
    expect(checksumsHold(shorter)).toBe(true);
    expect(twice(odd)).toBe(1);
    expect(twice(shorter)).toBe(2);
    expect(twice(changed(datagram, 7, 1))).toBe(2);
    expect(twice(changed(datagram, 8, 63))).toBe(1);
    const wrongHeader = datagram.slice();
    wrongHeader[10]! ^= 1;
    expect(twice(wrongHeader)).toBe(2);
    for (const flags of [0, FIN | ACK, 0x12, 0x14, 0x18 | 0x20, ACK | 0x40, ACK | 0x80]) {
      expect(join([tcpAt(B4, 1, { flags }), tcpAt(B4, 101, { flags })])).toHaveLength(2);
    }
    for (const [packet, length] of [
      [tcpAt(B4, 1), 39],
      [tcpAt(B6, 1), 59],
      [udpTo(B4), 27],
      [udpTo(B6), 47],
    ] as const) {
      expect(twice(packet.slice(0, length))).toBe(2);
    }
  });

  it('lets UDP of equal or smaller size follow, nothing behind a smaller one, and never a larger', () => {
    const sized = (...sizes: number[]) =>
      join(sizes.map((size, i) => udp({ addresses: B4, payload: pattern(size, i) })));
    expect(sized(100, 100, 50)).toEqual([278]);
    expect(sized(100, 50, 50)).toEqual([178, 78]);
    expect(sized(50, 100)).toEqual([78, 128]);
    expect(sized(100, 50, 100, 100)).toEqual([178, 228]);
    expect(sized(100, 0, 100, 100)).toEqual([128, 28, 228]);
    expect(sized(0, 0, 100)).toEqual([28, 28, 128]);
  });

  it('puts at most 64 UDP datagrams into a train', () => {
    const packets = Array.from({ length: 130 }, (_, i) => udp({ addresses: B6, payload: pattern(10, i) }));
    expect(join(packets)).toEqual([48 + 640, 48 + 640, 48 + 20]);
    expect(join(Array.from({ length: 130 }, (_, i) => tcpAt(B6, 1 + 100 * i)))).toEqual([13060]);
  });

  it('keeps an IP packet within 65,535 bytes and a slot within its stride', () => {
    const packets = Array.from({ length: 50 }, (_, i) =>
      tcp({ addresses: B4, seq: 1 + 1400 * i, payload: pattern(1400, i) }),
    );
    expect(join(packets)).toEqual([40 + 46 * 1400, 40 + 4 * 1400]);
    expect(lengths(areas.coalesce(packets, 0, SLOTS, 4096))).toEqual(Array(25).fill(40 + 2800));
    expect(areas.guardsHold()).toBe(true);
    expect(
      join([
        tcp({ addresses: B4, seq: 1, payload: pattern(35_000) }),
        tcp({ addresses: B4, seq: 35_001, payload: pattern(30_495) }),
      ]),
    ).toEqual([65_535]);
    expect(
      join([
        tcp({ addresses: B4, seq: 1, payload: pattern(35_000) }),
        tcp({ addresses: B4, seq: 35_001, payload: pattern(30_496) }),
      ]),
    ).toHaveLength(2);
    expect(areas.guardsHold()).toBe(true);
  });

  it('joins over the wrap of the sequence number, behind and in front', () => {
    expect(join([tcpAt(B4, 0xffffffce), tcpAt(B4, 50)])).toEqual([240]);
    expect(join([tcpAt(B4, 50), tcpAt(B4, 0xffffffce)])).toEqual([240]);
  });

  it('ends no train with a short segment where the kernel cannot take it', () => {
    const packets = [tcpAt(B4, 1), tcpAt(B4, 101), tcp({ addresses: B4, seq: 201, payload: pattern(50) })];
    expect(join(packets, 0)).toEqual([290]);
    expect(join(packets, GRO_EVEN)).toEqual([240, 90]);
    expect(join(packets.toReversed(), GRO_EVEN)).toEqual([90, 240]);
  });

  it('writes a virtio header on every path, whatever lay in the slots before', () => {
    areas.bytes.fill(0xff, areas.slots, areas.slots + SLOTS * STRIDE);
    const packets = [
      tcpAt(B4, 1),
      spoilt(tcpAt(C4, 1)),
      spoilt(udpTo(B4)),
      udpTo(B4),
      pattern(33),
      tcpAt(B6, 1, { flags: FIN }),
    ];
    for (const write of areas.coalesce(packets, GRO_UDP)) {
      expect([...write.subarray(0, 10)]).toEqual(Array(10).fill(0));
    }
    const [merged] = areas.coalesce([udpTo(B6, 1), udpTo(B6, 2)], GRO_UDP);
    expect([...merged!.subarray(0, 10)]).toEqual([1, 5, 48, 0, 100, 0, 40, 0, 6, 0]);
  });

  it('says when all slots are taken, still joins, and takes the packet after a flush', () => {
    const { kernel, bytes, read, slots } = areas;
    const add = (packet: Uint8Array) => {
      bytes.set(packet, read);
      return kernel.groAdd(read, packet.length);
    };
    kernel.groBegin(slots, STRIDE, 2, GRO_UDP);
    expect(add(tcpAt(B4, 1))).toBe(0);
    expect(add(tcpAt(C4, 1))).toBe(0);
    expect(add(tcpAt(B6, 1))).toBe(GRO_FULL);
    expect(add(pattern(40))).toBe(GRO_FULL);
    expect(add(spoilt(tcpAt(B4, 101)))).toBe(GRO_FULL);
    expect(add(tcpAt(B4, 101))).toBe(0);
    expect(lengths(areas.flush())).toEqual([240, 140]);
    kernel.groBegin(slots, STRIDE, 2, GRO_UDP);
    expect(add(tcpAt(B6, 1))).toBe(0);
    expect(lengths(areas.flush())).toEqual([160]);
    kernel.groBegin(slots, STRIDE, 0, 0);
    expect(add(tcpAt(B6, 1))).toBe(GRO_FULL);
    expect(kernel.groFinish()).toBe(0);
  });

  it('holds 256 items at most, whatever it is given', () => {
    const { kernel, bytes, read, slots } = areas;
    kernel.groBegin(slots, 512, 100_000, 0);
    let added = 0;
    for (;;) {
      const packet = tcp({ addresses: B4, seq: 1000 * added, payload: pattern(100) });
      bytes.set(packet, read);
      if (kernel.groAdd(read, packet.length) !== 0) break;
      added++;
    }
    expect(added).toBe(256);
    expect(areas.flush(512)).toHaveLength(256);
  });

  it('refuses what no slot can hold', () => {
    areas.kernel.groBegin(areas.slots, STRIDE, 4, 0);
    expect(areas.kernel.groAdd(areas.read, 0)).toBe(DROP_LONG);
    expect(areas.kernel.groAdd(areas.read, 65_536)).toBe(DROP_LONG);
    areas.kernel.groBegin(areas.slots, 100, 4, 0);
    expect(areas.kernel.groAdd(areas.read, 91)).toBe(DROP_LONG);
    areas.kernel.groBegin(areas.slots, 5, 4, 0);
    expect(areas.kernel.groAdd(areas.read, 1)).toBe(DROP_LONG);
  });
});
