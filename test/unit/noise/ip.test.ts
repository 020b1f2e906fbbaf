/**
 * Addresses, prefixes and endpoints: what is read, what is refused, and that text and bytes are one.
 * Source: RFC 4291 §2.2, RFC 5952 §4 and §5 (their examples), RFC 4632; node:net is the second opinion.
 * @module
 */
import { isIPv4, isIPv6 } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  cidr,
  contains,
  endpointBytes,
  formatAddress,
  formatCidr,
  formatEndpoint,
  hostCidr,
  network,
  parseAddress,
  parseCidr,
  parseEndpoint,
  sameAddress,
  sameCidr,
  sameEndpoint,
} from '../../../src/noise/ip.ts';
import { hex } from './fixtures.ts';

const ipv4 = fc.uint8Array({ minLength: 4, maxLength: 4 });
// Zeros are common, so that runs of them are.
const ipv6 = fc
  .array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff })), { minLength: 8, maxLength: 8 })
  .map((groups) => Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff])));
const address = fc.oneof(ipv4, ipv6);

describe('an address', () => {
  it.each([
    ['10.0.0.1', '0a000001'],
    ['255.255.255.255', 'ffffffff'],
    ['::', '00000000000000000000000000000000'],
    ['::1', '00000000000000000000000000000001'],
    ['2001:DB8::8:800:200C:417A', '20010db80000000000080800200c417a'],
    ['1:2:3:4:5:6:7::', '00010002000300040005000600070000'],
    ['::ffff:129.144.52.38', '00000000000000000000ffff81903426'],
    ['64:ff9b::192.0.2.33', '0064ff9b0000000000000000c0000221'],
  ])('is read from %s', (text, bytes) => {
    expect(hex(parseAddress(text)!)).toBe(bytes);
  });

  it.each([
    ['2001:0db8:0:0:0:0:2:1', '2001:db8::2:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['1:0:0:0:0:0:0:0', '1::'],
    ['::ffff:c000:0201', '::ffff:192.0.2.1'],
    ['2001:DB8::AAAA', '2001:db8::aaaa'],
  ])('%s is written %s, as RFC 5952 says', (text, canonical) => {
    expect(formatAddress(parseAddress(text)!)).toBe(canonical);
  });

  it.each([
    '',
    '1.2.3',
    '1.2.3.4.5',
    '01.2.3.4',
    '1.2.3.256',
    ' 1.2.3.4',
    '1.2.3.4 ',
    '+1.2.3.4',
    '0x1.2.3.4',
    ':',
    ':::',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7:8::',
    '::1::',
    '12345::',
    'g::',
    '1.2.3.4::',
    '::1.2.3.4:5',
    'fe80::1%eth0',
    '[::1]',
    '::1/128',
  ])('is not "%s"', (text) => {
    expect(parseAddress(text)).toBeNull();
  });

  it('comes back from its text', () => {
    fc.assert(fc.property(address, (bytes) => sameAddress(parseAddress(formatAddress(bytes))!, bytes)));
  });

  it('is one exactly when node:net says so', () => {
    const near = fc
      .array(fc.constantFrom(':', '::', '.', '0', '00', '1', '255', '256', 'f', 'ffff', 'fffff', '1.2.3.4'), {
        maxLength: 16,
      })
      .map((parts) => parts.join(''));
    const texts = fc.oneof(near, address.map(formatAddress), fc.string());
    fc.assert(
      fc.property(texts, (text) => {
        // node:net takes a zone, which an address here does not have.
        const expected = isIPv4(text) || (isIPv6(text) && !text.includes('%'));
        expect(parseAddress(text) !== null).toBe(expected);
      }),
      { numRuns: 3000 },
    );
  });
});

describe('a range', () => {
  it('keeps its host bits until its network is asked for', () => {
    const range = cidr('10.4.0.1/16');
    expect(formatCidr(range)).toBe('10.4.0.1/16');
    expect(formatCidr(network(range))).toBe('10.4.0.0/16');
    expect(formatCidr(network(cidr('255.255.255.255/13')))).toBe('255.248.0.0/13');
    expect(formatCidr(network(cidr('ffff:ffff::1/33')))).toBe('ffff:ffff::/33');
    expect(formatCidr(network(cidr('ffff::1/0')))).toBe('::/0');
    expect(formatCidr(hostCidr(parseAddress('::1')!))).toBe('::1/128');
  });

  it.each([
    '10.0.0.0',
    '10.0.0.0/33',
    '::/129',
    '10.0.0.0/',
    '10.0.0.0/08',
    '10.0.0.0/-1',
    '/8',
    '10.0.0.0/8/8',
  ])('is not "%s"', (text) => {
    expect(parseCidr(text)).toBeNull();
    expect(() => cidr(text)).toThrow(RangeError);
  });

  it('contains what shares its first bits', () => {
    const bits = (bytes: Uint8Array) => [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
    fc.assert(
      fc.property(address, address, fc.nat(128), fc.nat(127), (a, b, length, flip) => {
        const prefix = length % (a.length * 8 + 1);
        // A neighbour that differs in one bit is nearer the edge than a random address.
        const neighbour = Uint8Array.from(a);
        neighbour[(flip >> 3) % a.length]! ^= 1 << (flip & 7);
        for (const other of [a, b, neighbour]) {
          const shares =
            a.length === other.length && bits(a).slice(0, prefix) === bits(other).slice(0, prefix);
          expect(contains({ address: a, prefix }, other)).toBe(shares);
        }
        const masked = network({ address: a, prefix });
        expect(bits(masked.address)).toBe(
          bits(a)
            .slice(0, prefix)
            .padEnd(a.length * 8, '0'),
        );
        expect(sameCidr(parseCidr(formatCidr(masked))!, masked)).toBe(true);
      }),
    );
  });
});

describe('an endpoint', () => {
  it('comes back from its text', () => {
    const zone = fc.constantFrom(undefined, 'eth0', 'br-lan.7', '3');
    fc.assert(
      fc.property(address, fc.nat(0xffff), zone, (bytes, port, name) => {
        const endpoint =
          name === undefined || bytes.length === 4
            ? { address: bytes, port }
            : { address: bytes, port, zone: name };
        expect(sameEndpoint(parseEndpoint(formatEndpoint(endpoint))!, endpoint)).toBe(true);
      }),
    );
  });

  it('keeps the zone of a link-local address', () => {
    expect(parseEndpoint('[fe80::1%eth0]:51820')).toMatchObject({ port: 51820, zone: 'eth0' });
  });

  it.each([
    '1.2.3.4',
    '1.2.3.4:',
    '1.2.3.4:65536',
    '1.2.3.4:-1',
    '::1:51820',
    '[::1]',
    '[::1]51820',
    '[1.2.3.4]:1',
    '[fe80::1%]:1',
    '[fe80::1%a]b]:1',
    'example.org:51820',
    ':51820',
    '[::1:51820',
    '1.2.3.4:51820 ',
  ])('is not "%s"', (text) => {
    expect(parseEndpoint(text)).toBeNull();
  });

  it('as bytes is its address and then its port, big-endian', () => {
    expect(hex(endpointBytes(parseEndpoint('192.0.2.1:51820')!))).toBe('c0000201ca6c');
    expect(hex(endpointBytes(parseEndpoint('[::1]:1')!))).toBe(`${'00'.repeat(15)}010001`);
  });
});
