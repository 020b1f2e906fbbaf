/**
 * What `kilowire top` makes of readings: rates, ages, order, drops.
 * @module
 */
import { describe, expect, test } from 'vitest';
import { formatAge, type Sample, screen, sparkline, topView } from '../../../src/cli/top-view.ts';

const KEY_A = new Uint8Array(32).fill(1);
const KEY_B = new Uint8Array(32).fill(2);
/** `base64` of coreutils on 32 bytes of 0x01 and 0x02. */
const TEXT_A = 'AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=';
const TEXT_B = 'AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=';

interface Counts {
  readonly a?: readonly [received: number, sent: number];
  readonly b?: readonly [received: number, sent: number];
  readonly drops?: number;
}

function sampleAt(second: number, { a, b, drops }: Counts): Sample {
  const peer = (publicKey: Uint8Array, [rxBytes, txBytes]: readonly [number, number], seconds: number) => ({
    publicKey,
    allowedIps: [{ address: Uint8Array.of(10, 0, 0, publicKey[0] ?? 0), prefix: 32 }],
    lastHandshake: { seconds, nanoseconds: seconds === 0 ? 0 : 500_000_000 },
    rxBytes,
    txBytes,
  });
  return {
    at: second * 1000,
    wall: 1_000_000_000_000 + second * 1000,
    status: {
      listenPort: 51820,
      fwmark: 0xca6c,
      peers: [
        ...(a === undefined ? [] : [peer(KEY_A, a, 999_999_990)]),
        ...(b === undefined
          ? []
          : [{ ...peer(KEY_B, b, 0), endpoint: { address: Uint8Array.of(192, 0, 2, 2), port: 7 } }]),
      ],
    },
    metrics: drops === undefined ? {} : { 'drop_no-peer': drops, 'drop_bad-tag': 0, mtu: 1420 },
  };
}

describe('a view', () => {
  test('has the rates between the last two readings and the age of the handshake', () => {
    const view = topView('wg0', [sampleAt(0, { a: [1000, 0] }), sampleAt(2, { a: [5000, 600] })]);
    expect(view.peers).toEqual([
      {
        publicKey: TEXT_A,
        endpoint: null,
        allowedIps: ['10.0.0.1/32'],
        handshakeAge: 11.5,
        roundTripMs: null,
        pathMtu: null,
        rxBytes: 5000,
        txBytes: 600,
        rxBytesPerSecond: 2000,
        txBytesPerSecond: 300,
        history: [2300],
      },
    ]);
  });

  test('takes a counter that went back for one that began anew', () => {
    const view = topView('wg0', [sampleAt(0, { a: [9000, 9000] }), sampleAt(1, { a: [100, 200] })]);
    expect(view.peers[0]).toMatchObject({ rxBytesPerSecond: 100, txBytesPerSecond: 200 });
  });

  test('of one reading has no rates, and of none cannot be', () => {
    expect(topView('wg0', [sampleAt(0, { a: [1, 2] })]).peers[0]).toMatchObject({
      rxBytesPerSecond: 0,
      history: [],
    });
    expect(() => topView('wg0', [])).toThrow(RangeError);
  });

  test('keeps half a minute of history', () => {
    const samples = Array.from({ length: 50 }, (_, second) => sampleAt(second, { a: [second * 10, 0] }));
    expect(topView('wg0', samples).peers[0]?.history).toEqual(new Array(30).fill(10));
  });

  test('tells drops and their rates apart from everything else that is counted', () => {
    const view = topView('wg0', [sampleAt(0, { drops: 4 }), sampleAt(2, { drops: 10 })]);
    expect(view.drops).toEqual({ 'no-peer': 10, 'bad-tag': 0 });
    expect(view.dropsPerSecond).toEqual({ 'no-peer': 3, 'bad-tag': 0 });
    expect(view.metrics).toEqual({ mtu: 1420 });
  });

  test('of a device that tells no metrics has none', () => {
    const view = topView('wg0', [sampleAt(0, { a: [0, 0] })]);
    expect([view.drops, view.metrics]).toEqual([{}, {}]);
  });
});

describe('the screen', () => {
  const samples = [
    sampleAt(0, { a: [0, 0], b: [0, 0], drops: 1 }),
    sampleAt(1, { a: [0, 0], b: [2048, 4096], drops: 1 }),
  ];

  test('shows the busiest peer first, and drops that happened', () => {
    const lines = screen(topView('wg0', samples), 10);
    expect(lines[0]).toBe('wg0  port 51820  MTU 1420  mark 0xca6c  2 peers');
    expect(lines[4]).toMatch(
      /^AgICAgICAg… {2}192\.0\.2\.2:7 +never +- +- +2\.0 KiB\/s +4\.0 KiB\/s +2\.0 KiB +4\.0 KiB {2}█$/,
    );
    expect(lines[5]).toMatch(/^AQEBAQEBAQ… {2}\(not known\) +10 s +- +- +- +- +0 B +0 B/);
    expect(lines.slice(-1)[0]).toMatch(/^no-peer +1 +0\.0\/s$/);
    expect(lines.join('\n')).not.toContain('bad-tag');
    expect(lines.join('\n')).not.toContain(TEXT_B);
  });

  test('says how many peers there is no room for', () => {
    expect(screen(topView('wg0', samples), 1)).toContain('… and 1 more');
  });

  test('of an interface without peers is its heading', () => {
    expect(screen(topView('wg0', [sampleAt(0, {})]), 5)).toEqual([
      'wg0  port 51820  mark 0xca6c  0 peers',
      '',
    ]);
  });
});

test('a sparkline is as high as its highest value, and blank where nothing was', () => {
  expect(sparkline([0, 1, 4, 8])).toBe(' ▂▅█');
  expect(sparkline([0, 0])).toBe('  ');
  expect(sparkline([])).toBe('');
});

test.each([
  [0.9, '0 s'],
  [119, '119 s'],
  [120, '2 min'],
  [7199, '119 min'],
  [7200, '2 h'],
  [172_800, '2 d'],
])('an age of %d seconds reads %s', (age, text) => expect(formatAge(age)).toBe(text));
