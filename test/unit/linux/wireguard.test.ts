/**
 * Messages to and from the kernel's WireGuard: taken apart here by hand, from the numbers in linux/wireguard.h.
 * @module
 */
import { describe, expect, it } from 'vitest';
import { MessageWriter, readAttributes, readMessages } from '../../../src/linux/netlink-message.ts';
import { changeDevice, type KernelDeviceChange, readDevice } from '../../../src/linux/wireguard.ts';

const PAGE = 4096;
const key = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);
const v4 = (number: number) => ({ address: Uint8Array.of(10, 6, number >> 8, number & 0xff), prefix: 32 });

/** The messages as they go over the socket. */
const sent = (change: KernelDeviceChange): Uint8Array[] =>
  changeDevice(30, 'kilo0', change).map(({ type, flags, body }) => {
    const writer = new MessageWriter();
    writer.message(type, flags, 1, body);
    return writer.bytes.slice();
  });

/** [type, bytes] of each attribute behind nlmsghdr and genlmsghdr. */
const attributesOf = (message: Uint8Array) => readAttributes(message.subarray(20));
const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('hex');

describe('a change of a kernel device', () => {
  it('names link, key, port, mark and flags by their numbers', () => {
    const [message = new Uint8Array()] = sent({
      privateKey: key(9),
      listenPort: 51820,
      fwmark: 7,
      replacePeers: true,
      peers: [],
    });
    expect([...message.subarray(16, 20)]).toEqual([1, 1, 0, 0]); // WG_CMD_SET_DEVICE, version 1
    expect(attributesOf(message).map(({ type, data }) => [type, hex(data)])).toEqual([
      [2, Buffer.from('kilo0\0').toString('hex')],
      [5, '01000000'],
      [3, '09'.repeat(32)],
      [6, '6cca'],
      [7, '07000000'],
    ]);
  });

  it('writes endpoints as socket addresses, ports in network order', () => {
    const endpoint = (address: Uint8Array) => ({ address, port: 51820, scope: 3 });
    const of = (address: Uint8Array): string => {
      const [message = new Uint8Array()] = sent({
        peers: [{ publicKey: key(1), endpoint: endpoint(address) }],
      });
      const list = attributesOf(message).find(({ type }) => type === 8);
      const [peer] = readAttributes(list?.data ?? new Uint8Array());
      return hex(readAttributes(peer?.data ?? new Uint8Array()).find(({ type }) => type === 4)?.data);
    };
    expect(of(Uint8Array.of(192, 0, 2, 1))).toBe(`0200ca6cc0000201${'00'.repeat(8)}`);
    expect(of(Uint8Array.from([0xfe, 0x80, ...new Array(13).fill(0), 1]))).toBe(
      `0a00ca6c00000000fe80${'00'.repeat(13)}0103000000`,
    );
  });

  it('goes in messages of a page at most, a large peer in parts of which the first alone replaces', () => {
    const allowedIps = Array.from({ length: 600 }, (_, number) => v4(number));
    const small = (fill: number) => ({ publicKey: key(fill), keepalive: 25, allowedIps: [v4(fill)] });
    const messages = sent({
      listenPort: 1,
      replacePeers: true,
      peers: [
        ...Array.from({ length: 50 }, (_, at) => small(at + 1)),
        { publicKey: key(200), presharedKey: key(3), replaceAllowedIps: true, allowedIps },
        { publicKey: key(201), remove: true },
      ],
    });
    for (const message of messages) expect(message.length).toBeLessThanOrEqual(PAGE);
    const flags = messages.map((message) => hex(attributesOf(message).find(({ type }) => type === 5)?.data));
    expect(flags.filter((each) => each !== '')).toEqual(['01000000']);
    const parts = messages
      .flatMap((message) =>
        readAttributes(attributesOf(message).find(({ type }) => type === 8)?.data ?? key(0)),
      )
      .map(({ data }) => readAttributes(data));
    const large = parts.filter((part) => part[0]?.data[0] === 200);
    expect(large.length).toBeGreaterThan(5);
    expect(large.map((part) => hex(part.find(({ type }) => type === 3)?.data))).toEqual([
      '02000000',
      ...new Array(large.length - 1).fill(''),
    ]);
    expect(large.filter((part) => part.some(({ type }) => type === 2))).toHaveLength(1);
    const ranges = large.flatMap((part) =>
      readAttributes(part.find(({ type }) => type === 9)?.data ?? key(0)),
    );
    expect(ranges.map(({ data }) => hex(readAttributes(data)[1]?.data))).toEqual(
      allowedIps.map(({ address }) => hex(address)),
    );
    expect(parts.filter((part) => part[0]?.data[0] === 201).map((part) => hex(part[1]?.data))).toEqual([
      '01000000',
    ]);
  });
});

describe('an answer of the kernel', () => {
  const range = (w: MessageWriter, number: number): void =>
    w.nested(0, () => {
      w.attribute(1, () => w.u16(2));
      w.attribute(2, () => w.raw(v4(number).address));
      w.attribute(3, () => w.u8(32));
    });
  const page = (peers: (w: MessageWriter) => void, first: boolean): Uint8Array => {
    const writer = new MessageWriter();
    writer.message(30, 2, 1, (w) => {
      w.u32(0);
      if (first) {
        w.attribute(3, () => w.raw(key(5)));
        w.attribute(6, () => w.u16(51820));
        w.attribute(7, () => w.u32(0));
      }
      w.nested(8, () => peers(w));
    });
    return writer.bytes.slice();
  };

  it('is joined where a peer goes on in the next message', () => {
    const pages = [
      page((w) => {
        w.nested(0, () => {
          w.attribute(1, () => w.raw(key(1)));
          w.attribute(5, () => w.u16(25));
          w.attribute(6, () => {
            w.u64(1_800_000_000);
            w.u64(5);
          });
          w.attribute(8, () => w.u64(2 ** 40));
          w.nested(9, () => {
            range(w, 1);
            range(w, 2);
          });
        });
      }, true),
      page((w) => {
        w.nested(0, () => {
          w.attribute(1, () => w.raw(key(1)));
          w.nested(9, () => range(w, 3));
        });
        w.nested(0, () => w.attribute(1, () => w.raw(key(2))));
      }, false),
    ];
    const device = readDevice(pages.flatMap((each) => readMessages(each)));
    expect([hex(device.privateKey), device.listenPort]).toEqual(['05'.repeat(32), 51820]);
    expect(
      device.peers.map(({ publicKey, keepalive, allowedIps, lastHandshake, txBytes }) => [
        publicKey[0],
        keepalive,
        allowedIps.map(({ address }) => address[3]),
        lastHandshake,
        txBytes,
      ]),
    ).toEqual([
      [1, 25, [1, 2, 3], { seconds: 1_800_000_000, nanoseconds: 5 }, 2 ** 40],
      [2, 0, [], { seconds: 0, nanoseconds: 0 }, 0],
    ]);
  });
});
