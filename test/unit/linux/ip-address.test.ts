/**
 * Addresses between text and bytes: RFC 5952's own examples, and node:net as the independent judge of what is an address.
 * @module
 */
import { isIP } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  AddressError,
  formatIp,
  formatMac,
  formatPrefix,
  maskBytes,
  networkOf,
  parseIp,
  parseMac,
  parsePrefix,
} from '../../../src/linux/ip-address.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('IP addresses', () => {
  test.each([
    ['10.42.0.1', '0a2a0001'],
    ['255.255.255.255', 'ffffffff'],
    ['::', '00000000000000000000000000000000'],
    ['::1', '00000000000000000000000000000001'],
    ['fd99::2', 'fd990000000000000000000000000002'],
    ['2001:DB8::ABCD', '20010db800000000000000000000abcd'],
    ['::ffff:192.0.2.1', '00000000000000000000ffffc0000201'],
    ['1:2:3:4:5:6:7::', '00010002000300040005000600070000'],
  ])('%s is read as %s', (text, bytes) => {
    expect(hex(parseIp(text))).toBe(bytes);
  });

  // RFC 5952 §4: leading zeros go, the longest run of zeros is shortened, the first of equal ones, never a single zero.
  test.each([
    ['2001:0db8::0001', '2001:db8::1'],
    ['2001:db8:0:0:0:0:2:1', '2001:db8::2:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:DB8::AAAA', '2001:db8::aaaa'],
    ['0:0:0:0:0:0:0:0', '::'],
  ])('%s is written as %s', (text, canonical) => {
    expect(formatIp(parseIp(text))).toBe(canonical);
  });

  test.each([
    '010.1.1.1',
    '1.2.3',
    '1.2.3.4.5',
    '256.1.1.1',
    '1.2.3.-4',
    ' 1.2.3.4',
    '',
    ':',
    ':::',
    '1::2::3',
    '12345::',
    'g::',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8::',
    '1.2.3.4::',
    '::1.2.3',
    'fe80::1%eth0',
  ])('"%s" is refused with a sentence', (text) => {
    expect(() => parseIp(text)).toThrow(AddressError);
    expect(isIP(text.replace('%eth0', '%'))).toBe(0);
  });

  test('whatever is written is accepted or refused as node:net does', () => {
    const piece = fc.constantFrom('0', '1', 'ff', '255', '256', '01', ':', '::', '.', 'abcd', '10.0.0.1', '');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const text = pieces.join('');
        const version = isIP(text);
        if (version === 0) expect(() => parseIp(text)).toThrow(AddressError);
        else expect(parseIp(text)).toHaveLength(version === 4 ? 4 : 16);
      }),
      { numRuns: 3000 },
    );
  });

  test('bytes survive being written and read, and what is written is an address to node:net too', () => {
    const address = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ minLength: 16, maxLength: 16, max: 3 }),
    );
    fc.assert(
      fc.property(address, (bytes) => {
        const text = formatIp(bytes);
        expect(isIP(text)).toBe(bytes.length === 4 ? 4 : 6);
        expect(hex(parseIp(text))).toBe(hex(bytes));
      }),
    );
  });
});

describe('prefixes', () => {
  test('host bits are kept, a bare address stands for itself', () => {
    expect(formatPrefix(parsePrefix('10.42.0.1/24'))).toBe('10.42.0.1/24');
    expect(formatPrefix(parsePrefix('fd99::1'))).toBe('fd99::1/128');
  });

  test.each([
    ['10.42.255.1/12', '10.32.0.0/12'],
    ['10.42.255.1/0', '0.0.0.0/0'],
    ['10.42.255.1/32', '10.42.255.1/32'],
    ['fd99:1234:ffff::1/33', 'fd99:1234:8000::/33'],
  ])('the network of %s is %s', (text, network) => {
    expect(formatPrefix(networkOf(parsePrefix(text)))).toBe(network);
  });

  test.each(['10.0.0.0/33', '10.0.0.0/', '10.0.0.0/-1', '10.0.0.0/08', '::/129', '10.0.0.0/8/8', '/8'])(
    '"%s" is refused',
    (text) => {
      expect(() => parsePrefix(text)).toThrow(AddressError);
    },
  );

  test('masks fill from the left', () => {
    expect(hex(maskBytes(4, 0))).toBe('00000000');
    expect(hex(maskBytes(4, 9))).toBe('ff800000');
    expect(hex(maskBytes(4, 32))).toBe('ffffffff');
  });
});

describe('MAC addresses', () => {
  test('are read and written in lower case', () => {
    expect(formatMac(parseMac('0A:58:0a:2A:00:01'))).toBe('0a:58:0a:2a:00:01');
  });
  test.each(['0a:58:0a:2a:00', '0a:58:0a:2a:00:1', '0a580a2a0001', ''])('"%s" is refused', (text) => {
    expect(() => parseMac(text)).toThrow(AddressError);
  });
});
