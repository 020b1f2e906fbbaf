/**
 * The resolver's grammar: bytes written down from RFC 1035, and any bytes at all.
 * @module
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { answerQuery, createQuery, readAnswer } from '../../../src/lab/dns-message.ts';

const records = new Map([['web.default.svc.cluster.local', '10.43.0.10']]);
const answer = (query: Uint8Array): Uint8Array | null => answerQuery(query, records, 'cluster.local');

/** A query as RFC 1035 §4.1 draws it: id 0x1234, recursion desired, one question. */
const query = (name: string, type = 1, flags = 0x0100): Buffer => {
  const labels = name
    .split('.')
    .map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`, 'latin1'));
  return Buffer.concat([
    Buffer.from([0x12, 0x34, flags >> 8, flags & 0xff, 0, 1, 0, 0, 0, 0, 0, 0]),
    ...labels,
    Buffer.from([0, 0, type, 0, 1]),
  ]);
};
const rcode = (message: Uint8Array | null): number => (message?.[3] ?? 0xff) & 0xf;
const answers = (message: Uint8Array | null): number => message?.[7] ?? -1;

describe('the resolver', () => {
  it('answers an A query with id, question, and one record', () => {
    const asked = query('web.default.svc.cluster.local');
    const got = Buffer.from(answer(asked) ?? []);
    expect(got.subarray(0, 12).toString('hex')).toBe('123485000001000100000000');
    expect(got.subarray(12, asked.length)).toEqual(asked.subarray(12));
    // Pointer to the name at 12, type A, class IN, ttl 5, four bytes.
    expect(got.subarray(asked.length).toString('hex')).toBe('c00c00010001000000050004' + '0a2b000a');
  });

  it('does not mind capital letters', () => {
    expect(answers(answer(query('WEB.Default.svc.CLUSTER.local')))).toBe(1);
  });

  it('says "no data" to AAAA, "no such name" to a stranger in its zone, "refused" outside', () => {
    expect([
      rcode(answer(query('web.default.svc.cluster.local', 28))),
      answers(answer(query('web.default.svc.cluster.local', 28))),
    ]).toEqual([0, 0]);
    expect(rcode(answer(query('nobody.cluster.local')))).toBe(3);
    expect(rcode(answer(query('example.com')))).toBe(5);
    expect(rcode(answer(query('notcluster.local')))).toBe(5);
  });

  it('says "format error" to a query cut short, "not implemented" to another opcode', () => {
    const whole = query('web.default.svc.cluster.local');
    expect(rcode(answer(whole.subarray(0, 20)))).toBe(1);
    expect(rcode(answer(query('web.default.svc.cluster.local', 1, 0x2800)))).toBe(4);
  });

  it('is silent to answers and to what is shorter than a header', () => {
    expect(answer(query('web.default.svc.cluster.local', 1, 0x8180))).toBeNull();
    expect(answer(new Uint8Array(11))).toBeNull();
  });

  it('never throws, never answers at more than 16 bytes beyond the question', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const got = answer(bytes);
        return got === null || got.length <= bytes.length + 16;
      }),
      { numRuns: 2000 },
    );
  });
});

describe('the asking side', () => {
  it('writes the query above, and reads its answer', () => {
    expect(Buffer.from(createQuery(0x1234, 'web.default.svc.cluster.local'))).toEqual(
      query('web.default.svc.cluster.local'),
    );
    const got = answer(createQuery(7, 'web.default.svc.cluster.local'));
    expect(readAnswer(got ?? new Uint8Array(), 7)).toBe('10.43.0.10');
  });

  it('takes no answer to another query, and none that is an error', () => {
    const got = answer(createQuery(7, 'web.default.svc.cluster.local')) ?? new Uint8Array();
    expect(readAnswer(got, 8)).toBeNull();
    expect(readAnswer(answer(createQuery(7, 'nobody.cluster.local')) ?? new Uint8Array(), 7)).toBeNull();
  });

  it('never throws on any bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => readAnswer(bytes, 0) !== undefined));
  });
});
