/**
 * A device that is asked again and again: what it says must be read as if each answer were the first.
 * @module
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KnownStatus } from '../../../src/agent/host/known-status.ts';
import { parseGet } from '../../../src/noise/uapi-text.ts';

interface Told {
  readonly key: number;
  readonly tx: number;
  readonly endpoint: boolean;
  readonly ranges: number;
}

const hex = (number: number): string => number.toString(16).padStart(64, 'a');

const answerOf = (port: number, peers: readonly Told[]): string => {
  const lines = peers.flatMap(({ key, tx, endpoint, ranges }) => [
    `public_key=${hex(key)}`,
    `preshared_key=${hex(key + 100)}`,
    'protocol_version=1',
    ...(endpoint ? [`endpoint=203.0.113.${key}:51820`] : []),
    `last_handshake_time_sec=${tx}`,
    'last_handshake_time_nsec=0',
    `tx_bytes=${tx}`,
    'rx_bytes=0',
    'persistent_keepalive_interval=0',
    ...Array.from({ length: ranges }, (_, at) => `allowed_ip=10.${key}.${at}.0/24`),
  ]);
  return [`private_key=${hex(7)}`, `listen_port=${port}`, ...lines, 'errno=0', '', ''].join('\n');
};

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

const peers = fc.uniqueArray(
  fc.record({
    key: fc.integer({ min: 1, max: 8 }),
    tx: fc.integer({ min: 0, max: 12 }),
    endpoint: fc.boolean(),
    ranges: fc.integer({ min: 0, max: 2 }),
  }),
  { selector: ({ key }) => key, maxLength: 6 },
);

describe('answers of a device, one after the other', () => {
  it('are read as if each were the first', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom(1, 2), peers), { minLength: 1, maxLength: 6 }),
        (answers) => {
          const known = new KnownStatus();
          for (const [port, told] of answers) {
            const text = answerOf(port, told);
            expect(known.read(bytes(text))).toEqual(parseGet(text));
          }
        },
      ),
    );
  });

  const [quiet, busy] = [
    { key: 1, tx: 0, endpoint: true, ranges: 2 },
    { key: 2, tx: 5, endpoint: false, ranges: 1 },
  ];

  it('are the very same value when they are the same, and of peers that did nothing', () => {
    const known = new KnownStatus();
    const first = known.read(bytes(answerOf(1, [quiet, busy])));
    expect(known.read(bytes(answerOf(1, [quiet, busy])))).toBe(first);
    const next = known.read(bytes(answerOf(1, [quiet, { ...busy, tx: 6 }])));
    expect(next.peers[0]).toBe(first.peers[0]);
    expect(next.peers[1]?.txBytes).toBe(6);
  });

  it('are wiped once another has come, for the secrets in them', () => {
    const known = new KnownStatus();
    const [one, same, other] = [[quiet], [quiet], [busy]].map((told) => bytes(answerOf(1, told)));
    known.read(one as Buffer);
    known.read(same as Buffer);
    expect((same as Buffer).every((byte) => byte === 0)).toBe(true);
    known.read(other as Buffer);
    expect((one as Buffer).every((byte) => byte === 0)).toBe(true);
  });

  it('that are no answer are refused, and the next one is read', () => {
    const known = new KnownStatus();
    known.read(bytes(answerOf(1, [quiet])));
    expect(() => known.read(bytes(answerOf(1, [quiet]).replace('errno=0', 'errno=5')))).toThrow('errno 5');
    expect(known.read(bytes(answerOf(1, [quiet]))).peers).toHaveLength(1);
  });
});
