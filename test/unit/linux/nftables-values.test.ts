/**
 * Values, intervals and rules of nftables before the kernel sees them.
 * @module
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MessageWriter, readAttributes } from '../../../src/linux/netlink-message.ts';
import { concat, icmp, ip, ip6, tcp, udp } from '../../../src/linux/nftables-match.ts';
import { RuleError, RuleWriter, type Statement } from '../../../src/linux/nftables-rule.ts';
import { ElementError, elementBodies, readElements, type SetSpec } from '../../../src/linux/nftables-set.ts';
import {
  formatInterval,
  parseInterval,
  stepBytes,
  type TableFamily,
  types,
  ValueError,
} from '../../../src/linux/nftables-type.ts';

const hex = (data: Uint8Array): string => Buffer.from(data).toString('hex');

const expressionsOf = (family: TableFamily, ...statements: readonly Statement[]): readonly string[] => {
  const rule = new RuleWriter(family);
  for (const statement of statements) statement(rule);
  return rule.names;
};

/** What the kernel would give back for these elements. */
const echo = (
  set: SetSpec,
  keys: readonly (string | readonly string[])[],
): readonly (readonly string[])[] => {
  const writer = new MessageWriter();
  for (const body of elementBodies(
    set,
    keys.map((key) => ({ key })),
  )) {
    body(writer);
  }
  const elements = readAttributes(writer.bytes).flatMap((attribute) => readAttributes(attribute.data));
  return readElements(set, elements).map((element) => element.key);
};

describe('values', () => {
  test.each([
    ['ipv4_addr', '10.42.0.1', '0a2a0001'],
    ['inet_service', 8080, '1f90'],
    ['inet_service', '53', '0035'],
    ['inet_proto', 'udp', '11'],
    ['mark', 0x2000, '00200000'],
    ['ct_state', 'established', '02000000'],
    ['ifname', 'eth0', '65746830000000000000000000000000'],
    ['ether_addr', '02:00:00:00:00:01', '020000000001'],
    ['fib_addrtype', 'local', '02000000'],
  ] as const)('%s %s is %s', (type, value, bytes) => {
    expect(hex(types[type].parse(value))).toBe(bytes);
  });

  test.each([
    ['inet_service', 65536],
    ['inet_service', -1],
    ['inet_service', 1.5],
    ['inet_service', ''],
    ['inet_service', 'http'],
    ['inet_proto', 256],
    ['ipv4_addr', 'fd00::1'],
    ['ipv6_addr', '10.0.0.1'],
    ['ifname', ''],
    ['ifname', 'a-name-of-16-chr'],
  ] as const)('%s refuses "%s"', (type, value) => {
    expect(() => types[type].parse(value)).toThrow(ValueError);
  });
});

describe('intervals', () => {
  test.each([
    ['ipv4_addr', '10.0.0.0/8', '0a000000', '0affffff'],
    ['ipv4_addr', '10.0.0.7/8', '0a000000', '0affffff'],
    ['ipv4_addr', '0.0.0.0/0', '00000000', 'ffffffff'],
    ['ipv4_addr', '1.2.3.4', '01020304', '01020304'],
    ['ipv4_addr', '1.2.3.4-1.2.4.0', '01020304', '01020400'],
    ['inet_service', '8000-8010', '1f40', '1f4a'],
    ['ipv6_addr', 'fd00::/8', `fd${'00'.repeat(15)}`, `fd${'ff'.repeat(15)}`],
  ] as const)('%s %s runs from %s to %s', (type, value, first, last) => {
    const interval = parseInterval(types[type], value);
    expect(hex(interval.first)).toBe(first);
    expect(hex(interval.last)).toBe(last);
  });

  test('one that runs backwards is refused', () => {
    expect(() => parseInterval(types.inet_service, '10-9')).toThrow(ValueError);
  });

  test('any two addresses make an interval that reads as itself', () => {
    const address = fc.uint8Array({ minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(address, address, (a, b) => {
        const [first, last] = hex(a) <= hex(b) ? [a, b] : [b, a];
        const again = parseInterval(types.ipv4_addr, formatInterval(types.ipv4_addr, { first, last }));
        expect([hex(again.first), hex(again.last)]).toEqual([hex(first), hex(last)]);
      }),
      { numRuns: 1000 },
    );
  });

  test('the value after and before carries, and ends where it would wrap', () => {
    expect(hex(stepBytes(Uint8Array.of(0, 255, 255), 1) ?? new Uint8Array())).toBe('010000');
    expect(hex(stepBytes(Uint8Array.of(1, 0, 0), -1) ?? new Uint8Array())).toBe('00ffff');
    expect(stepBytes(Uint8Array.of(255, 255), 1)).toBeUndefined();
    expect(stepBytes(Uint8Array.of(0, 0), -1)).toBeUndefined();
  });
});

describe('elements', () => {
  const prefixes: SetSpec = { name: 'local', key: ['ipv4_addr'], interval: true };

  test('adjacent intervals, single addresses and the last address come back apart and sorted', () => {
    expect(
      echo(prefixes, ['240.0.0.0/4', '11.0.0.0/8', '10.0.0.0/8', '9.255.255.255', '12.0.0.1-12.0.0.2']),
    ).toEqual([['9.255.255.255'], ['10.0.0.0/8'], ['11.0.0.0/8'], ['12.0.0.1-12.0.0.2'], ['240.0.0.0/4']]);
  });

  test('concatenations keep their parts', () => {
    const set: SetSpec = { name: 'ports', key: ['ipv4_addr', 'inet_proto', 'inet_service'] };
    expect(echo(set, [['10.0.0.1', 'tcp', '8080']])).toEqual([['10.0.0.1', 'tcp', '8080']]);
    const ranges: SetSpec = { name: 'pairs', key: ['ipv4_addr', 'inet_service'], interval: true };
    expect(echo(ranges, [['10.0.0.0/8', '1-1024']])).toEqual([['10.0.0.0/8', '1-1024']]);
  });

  test('what the set does not hold is refused before anything is sent', () => {
    expect(() => echo({ name: 's', key: ['ipv4_addr'] }, ['10.0.0.0/8'])).toThrow(ElementError);
    expect(() => echo({ name: 's', key: ['ipv4_addr', 'inet_service'] }, ['10.0.0.1'])).toThrow(ElementError);
    expect(() => elementBodies({ name: 'm', key: ['mark'], data: 'verdict' }, [{ key: 1 }])).toThrow(
      ElementError,
    );
  });

  test('thousands of elements are spread over messages that fit', () => {
    const elements = Array.from({ length: 5000 }, (_, at) => ({ key: `10.${at >> 8}.${at & 255}.0/24` }));
    const writer = new MessageWriter();
    for (const body of elementBodies(prefixes, elements)) body(writer);
    expect(readAttributes(writer.bytes).length).toBeGreaterThan(1);
  });
});

describe('rules', () => {
  test('what a match needs is matched first, and once', () => {
    expect(expressionsOf('ip', tcp.dport.is(80), tcp.sport.is(1))).toEqual([
      'meta',
      'cmp',
      'payload',
      'cmp',
      'payload',
      'cmp',
    ]);
    expect(expressionsOf('ip', ip.saddr.is('10.0.0.1'))).toEqual(['payload', 'cmp']);
    expect(expressionsOf('inet', ip.saddr.is('10.0.0.1'), ip.daddr.is('10.0.0.2'))).toEqual([
      'meta',
      'cmp',
      'payload',
      'cmp',
      'payload',
      'cmp',
    ]);
  });

  test('a concatenation matches what its parts need before it loads any of them', () => {
    expect(expressionsOf('inet', concat(ip.daddr, tcp.dport).in('ports'))).toEqual([
      'meta',
      'cmp',
      'meta',
      'cmp',
      'payload',
      'payload',
      'lookup',
    ]);
  });

  test('a rule that no packet can match is refused', () => {
    expect(() => expressionsOf('ip', ip6.saddr.is('::1'))).toThrow(RuleError);
    expect(() => expressionsOf('ip', udp.dport.is(1), icmp.type.is(8))).toThrow(RuleError);
  });
});
