/** Poly1305: the naive twin by the RFC's vectors, the kernel by the twin, above all where carries and reductions bite. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backends, cipherArea, pattern } from './cipher-area.ts';
import { littleEndian, poly1305, tagOf, toBytes } from './poly1305.twin.ts';

const hex = (text: string) => Buffer.from(text.replace(/\s/g, ''), 'hex');
const P = 2n ** 130n - 5n;

describe('the naive Poly1305', () => {
  // RFC 8439 §2.5.2 and A.3 #7 to #11 (the ones written against faulty carries and reductions).
  it.each([
    [
      '85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b',
      Buffer.from('Cryptographic Forum Research Group').toString('hex'),
      'a8061dc1305136c6c22b8baf0c0127a9',
    ],
    [`02${'00'.repeat(31)}`, 'ff'.repeat(16), `03${'00'.repeat(15)}`],
    [`02${'00'.repeat(15)}${'ff'.repeat(16)}`, `02${'00'.repeat(15)}`, `03${'00'.repeat(15)}`],
    [
      `01${'00'.repeat(31)}`,
      `${'ff'.repeat(16)}f0${'ff'.repeat(15)}11${'00'.repeat(15)}`,
      `05${'00'.repeat(15)}`,
    ],
    [`01${'00'.repeat(31)}`, `${'ff'.repeat(16)}fb${'fe'.repeat(15)}${'01'.repeat(16)}`, '00'.repeat(16)],
    [`02${'00'.repeat(31)}`, `fd${'ff'.repeat(15)}`, `fa${'ff'.repeat(15)}`],
    [
      `0100000000000000 0400000000000000 ${'00'.repeat(16)}`,
      `e33594d7505e43b9 0000000000000000 3394d7505e4379cd 0100000000000000 ${'00'.repeat(16)} 01${'00'.repeat(15)}`,
      '14000000000000005500000000000000',
    ],
  ])('agrees with the RFC (%#)', (key, message, tag) => {
    expect(poly1305(hex(key), hex(message)).toString('hex')).toBe(tag);
  });
});

describe.each(backends.slice(0, 2))('the Poly1305 of the %s cipher', (_name, options) => {
  const { kernel, key, src, dst, put, take } = cipherArea(options);

  function tag(macKey: Uint8Array, message: Uint8Array): string {
    put(key, macKey);
    put(src, message);
    kernel.authenticate(key, src, message.length, dst);
    return take(dst, 16).toString('hex');
  }

  it('agrees with its twin for every length up to 700', () => {
    const message = pattern(700, 3);
    const macKey = pattern(32, 4);
    for (let len = 0; len <= 700; len++) {
      const expected = tagOf(macKey, message.subarray(0, len)).toString('hex');
      if (tag(macKey, message.subarray(0, len)) !== expected) expect.fail(`${len} bytes`);
    }
  });

  it('agrees with its twin on the largest and smallest keys and messages, where limbs are fullest', () => {
    const halves = [
      '00'.repeat(16),
      'ff'.repeat(16),
      `01${'00'.repeat(15)}`,
      `${'00'.repeat(15)}10`,
      'fb'.repeat(16),
    ];
    const fills = [0x00, 0xff, 0xfe, 0x80, 0x01];
    for (const r of halves)
      for (const s of halves)
        for (const fill of fills)
          for (const len of [0, 16, 64, 336, 352, 368, 384, 400, 416, 432, 1424, 65_000]) {
            if (len > 2000 && s !== halves[1]) continue;
            const message = new Uint8Array(len).fill(fill);
            const expected = tagOf(hex(r + s), message).toString('hex');
            if (tag(hex(r + s), message) !== expected) expect.fail(`r ${r} s ${s} ${len} times ${fill}`);
          }
  });

  it('reduces right when the sum ends around p, 2^128 and the words between', () => {
    const edges = [0n, 2n ** 64n, 2n ** 128n, 2n ** 129n, P].flatMap((edge) =>
      Array.from({ length: 13 }, (_, i) => (((edge + BigInt(i) - 6n) % P) + P) % P),
    );
    for (const blocks of [4, 5, 22, 23, 24, 25, 26, 27, 88]) {
      for (const target of edges) {
        // With r = 1 the polynomial is the sum of the blocks; the first four are chosen so that it meets the target.
        const message = Buffer.from(pattern(16 * blocks, blocks));
        let rest = BigInt(message.length) * 2n ** 64n + BigInt(blocks + 1) * 2n ** 128n;
        for (let i = 4; i < blocks; i++) rest += littleEndian(message.subarray(16 * i, 16 * i + 16));
        let missing = (((target - rest) % P) + P) % P;
        for (let i = 0; i < 4; i++) {
          const part = missing < 2n ** 128n ? missing : 2n ** 128n - 1n;
          message.set(toBytes(part, 16), 16 * i);
          missing -= part;
        }
        const macKey = hex(`01${'00'.repeat(31)}`);
        const expected = tagOf(macKey, message);
        expect(littleEndian(expected)).toBe(target % 2n ** 128n);
        expect(tag(macKey, message)).toBe(expected.toString('hex'));
      }
    }
  });

  it('agrees with its twin on random keys and messages', () => {
    const sparse = fc.array(fc.constantFrom(0, 0, 255, 255, 1, 128, 170), { minLength: 0, maxLength: 900 });
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.oneof(
          fc.uint8Array({ maxLength: 900 }),
          sparse.map((bytes) => Uint8Array.from(bytes)),
        ),
        (macKey, message) => tag(macKey, message) === tagOf(macKey, message).toString('hex'),
      ),
      { numRuns: 1500 },
    );
  });
});
