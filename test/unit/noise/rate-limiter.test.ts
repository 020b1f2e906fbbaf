/**
 * Token buckets of the handshake rate limiter, and the "under load" flag.
 * Source: wireguard-go ratelimiter/ratelimiter_test.go; kernel selftest/ratelimiter.c.
 * @module
 */
import { describe, expect, it } from 'vitest';
import { parseAddress } from '../../../src/noise/ip.ts';
import { RateLimiter } from '../../../src/noise/rate-limiter.ts';
import { UnderLoad } from '../../../src/noise/under-load.ts';

const SOURCES = [
  '127.0.0.1',
  '192.168.1.1',
  '172.167.2.3',
  '97.231.252.215',
  '248.97.91.167',
  '188.208.233.47',
  '104.2.183.179',
  '72.129.46.120',
  '2001:db8:a0b:12f0::1',
  'f5c2:818f:c052:655a:9860:b136:6894:25f0',
  'b2d7:15ab:48a7:b07c:a541:f144:a9fe:54fc',
  'a47b:786e:1671:a22b:d6f9:4ab0:abc7:c918',
  'ea1e:d155:7f7a:98fb:2bf5:9483:80f6:5445',
  '3f0e:54a2:f5b4:cd19:a21d:58e1:3746:84c4',
];
const address = (text: string) => parseAddress(text)!;

describe('the rate limiter', () => {
  it('allows five at once and then one every 50 ms, for each source by itself', () => {
    const limiter = new RateLimiter();
    const steps: [number, boolean][] = [
      ...Array.from({ length: 5 }, (): [number, boolean] => [0, true]),
      [0, false],
      [50, true],
      [0, false],
      [100, true],
      [0, true],
      [0, false],
    ];
    let now = 1_000;
    for (const [i, [wait, allowed]] of steps.entries()) {
      now += wait + 1e-6;
      for (const source of SOURCES) {
        expect(limiter.allow(address(source), now), `step ${i} for ${source}`).toBe(allowed);
      }
    }
  });

  it('counts an IPv6 customer by its /64', () => {
    const limiter = new RateLimiter();
    for (let i = 1; i <= 5; i++) expect(limiter.allow(address(`2001:db8::${i}`), 0)).toBe(true);
    expect(limiter.allow(address('2001:db8::ffff:0:0:1'), 0)).toBe(false);
    expect(limiter.allow(address('2001:db8:0:1::1'), 0)).toBe(true);
  });

  it('refuses new sources when its table is full, and remembers nobody for long', () => {
    const limiter = new RateLimiter(3);
    for (let i = 1; i <= 3; i++) expect(limiter.allow(address(`10.0.0.${i}`), 0)).toBe(true);
    expect(limiter.allow(address('10.0.0.4'), 0)).toBe(false);
    expect(limiter.size).toBe(3);
    expect(limiter.allow(address('10.0.0.4'), 1_500)).toBe(true);
    expect(limiter.size).toBe(1);
  });

  it('is not shaken by a clock that steps back', () => {
    const limiter = new RateLimiter();
    const source = address('10.0.0.1');
    for (let i = 0; i < 5; i++) limiter.allow(source, 1_000);
    expect(limiter.allow(source, 0)).toBe(false);
    expect(limiter.allow(source, 60)).toBe(true);
  });
});

describe('the under-load flag', () => {
  it('rises at an eighth of the queue and falls a second after the last time', () => {
    const load = new UnderLoad(4096);
    expect(load.observe(511, 0)).toBe(false);
    expect(load.observe(512, 100)).toBe(true);
    expect(load.observe(0, 1_099)).toBe(true);
    expect(load.observe(0, 1_100)).toBe(false);
  });
});
