/**
 * Netlink messages and attribute tables, against bytes laid out by hand from include/uapi/linux/netlink.h.
 * @module
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  errnoOf,
  extackOf,
  type Message,
  MessageWriter,
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
  NLMSG_ERROR,
  readAttributes,
  readMessages,
} from '../../../src/linux/netlink-message.ts';
import {
  bytes,
  decodeAttributes,
  flag,
  ip,
  list,
  mac,
  nested,
  s32,
  text,
  u8,
  u16,
  u32,
  writeAttributes,
} from '../../../src/linux/netlink-schema.ts';

const hex = (data: Uint8Array): string => Buffer.from(data).toString('hex');
const unhex = (data: string): Uint8Array => Uint8Array.from(Buffer.from(data.replaceAll(' ', ''), 'hex'));

/** A family of every codec, numbered by hand. */
const inner = { mtu: [2, u32], name: [3, text] } as const;
const schema = {
  byte: [1, u8],
  word: [2, u16],
  number: [3, u32],
  signed: [4, s32],
  name: [5, text],
  address: [6, ip],
  mac: [7, mac],
  present: [8, flag],
  inside: [9, nested(inner)],
  names: [10, list(1, text)],
  raw: [11, bytes],
} as const;

describe('writing', () => {
  test('a message is its header, its body and padding that the length does not count in attributes', () => {
    const writer = new MessageWriter(8);
    writer.message(0x1234, 0x0501, 7, (w) => {
      w.u32(0xaabbccdd);
      w.attribute(5, () => w.text('ab'));
      w.nested(9, () => w.attribute(2, () => w.u32(1)));
    });
    expect(hex(writer.bytes)).toBe(
      [
        '28000000', // 16 + 4 + 8 + 12
        '3412',
        '0105',
        '07000000',
        '00000000',
        'ddccbbaa',
        '07000500', // length 7, type 5
        '61620000', // "ab", its NUL, one byte of padding
        '0c000980', // length 12, type 9 with NLA_F_NESTED
        '0800020001000000',
      ].join(''),
    );
  });

  test('a writer that has to grow in the middle of anything writes the same', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 200 }),
        fc.array(fc.nat(0xffff), { maxLength: 60 }),
        (start, values) => {
          const write = (w: MessageWriter): Uint8Array => {
            w.message(1, 2, 3, () => {
              for (const value of values) {
                w.attribute(value & 0xff, () => {
                  w.u8(value & 0xff);
                  w.u16(value);
                  w.u32(value);
                  w.u64(value);
                  w.be16(value);
                  w.be32(value);
                  w.be64(value);
                  w.text(String(value));
                  w.raw(Uint8Array.of(1, 2, 3));
                });
              }
            });
            return w.bytes;
          };
          expect(hex(write(new MessageWriter(start)))).toBe(hex(write(new MessageWriter(1 << 16))));
        },
      ),
    );
  });

  test('an attribute that does not fit its length field is refused', () => {
    const writer = new MessageWriter();
    expect(() => writer.attribute(1, (w) => w.raw(new Uint8Array(65_536)))).toThrow(RangeError);
  });
});

describe('attribute tables', () => {
  test('every codec reads what it wrote', () => {
    const values = {
      byte: 255,
      word: 65535,
      number: 4294967295,
      signed: -1,
      name: 'kube-bridge',
      address: 'fd99::1',
      mac: '0a:58:0a:2a:00:01',
      present: true as const,
      inside: { mtu: 1420, name: 'x' },
      names: ['a', 'b'],
      raw: Uint8Array.of(9, 8),
    };
    const writer = new MessageWriter();
    writeAttributes(writer, schema, values);
    const read = decodeAttributes(schema, writer.bytes.slice());
    expect(read).toEqual({ ...values, inside: { ...values.inside, other: [] }, other: [] });
  });

  test('what a table has no name for is kept as it came', () => {
    const read = decodeAttributes(inner, unhex('08000200 8c050000 0600ff40 aabb0000'));
    expect(read.mtu).toBe(1420);
    expect(read.other).toEqual([{ type: 255, data: Uint8Array.of(0xaa, 0xbb) }]);
  });

  test('data too short for its type reads as zero, not as an exception', () => {
    expect(decodeAttributes(inner, unhex('06000200 8c050000')).mtu).toBe(0);
  });
});

describe('reading', () => {
  test('any bytes are read without an exception and without reading past their end', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (data) => {
        const lengths = readMessages(data).map((message) => message.payload.length + 16);
        expect(lengths.reduce((sum, length) => sum + length, 0)).toBeLessThanOrEqual(data.length);
        for (const message of readMessages(data)) extackOf({ ...message, flags: NLM_F_ACK_TLVS });
        for (const attribute of readAttributes(data)) {
          expect(attribute.data.byteOffset + attribute.data.length).toBeLessThanOrEqual(
            data.byteOffset + data.length,
          );
        }
        decodeAttributes(schema, data);
      }),
      { numRuns: 2000 },
    );
  });

  test('a length that lies ends the reading at what was sound', () => {
    const sound = '14000000 0300 0000 01000000 00000000 00000000';
    expect(readMessages(unhex(`${sound} ff000000 0300 0000 01000000 00000000`))).toHaveLength(1);
    expect(readMessages(unhex(`${sound} 00000000 0300 0000 01000000 00000000`))).toHaveLength(1);
  });

  test("a refusal tells its number and the kernel's words, capped or whole", () => {
    const words = '0d000100 4e6f20776179210000 000000'.replaceAll(' ', ''); // length 13, NLMSGERR_ATTR_MSG, "No way!\0"
    const header = '18000000 1000 0500 07000000 00000000'.replaceAll(' ', '');
    const refusal = (payload: string, flags: number): Message => ({
      type: NLMSG_ERROR,
      flags,
      sequence: 7,
      payload: unhex(payload),
    });
    const capped = refusal(`efffffff${header}${words}`, NLM_F_CAPPED | NLM_F_ACK_TLVS);
    expect(errnoOf(capped)).toBe(17);
    expect(extackOf(capped)).toBe('No way!');
    const whole = refusal(`efffffff${header}aaaaaaaabbbbbbbb${words}`, NLM_F_ACK_TLVS);
    expect(extackOf(whole)).toBe('No way!');
    expect(extackOf(refusal(`efffffff${header}`, 0))).toBeUndefined();
  });
});
