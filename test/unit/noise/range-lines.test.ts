import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Cidr, formatCidr, parseCidr } from '../../../src/noise/ip.ts';
import { RangeLines } from '../../../src/noise/range-lines.ts';
import { unpack } from './unpack.ts';

const lines = new RangeLines(1000);
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function read(text: string): { ranges: Cidr[]; rest: string } {
  const chunk = bytes(text);
  const ranges = unpack(lines.read(chunk, 0, chunk.lastIndexOf(0x0a) + 1));
  return { ranges, rest: text.slice(lines.next) };
}

const prefix = (max: number) => fc.integer({ min: 0, max });
const range4 = fc.tuple(fc.ipV4(), prefix(32)).map(([address, length]) => `${address}/${length}`);
const range6 = fc
  .tuple(
    fc.ipV6().filter((text) => !text.includes('.')),
    prefix(128),
  )
  .map(([address, length]) => `${address}/${length}`);

describe('lines of ranges', () => {
  it('are all taken when they are plain, and mean what the grammar of addresses says', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(range4, range6), { minLength: 1 }), (texts) => {
        const { ranges, rest } = read(texts.map((text) => `allowed_ip=${text}\n`).join(''));
        expect(rest).toBe('');
        expect(ranges).toEqual(texts.map((text) => parseCidr(text)));
      }),
    );
  });

  it('are never taken when the grammar refuses them, whatever they are', () => {
    const piece = fc.constantFrom(
      '0',
      '1',
      '25',
      '255',
      '256',
      '01',
      '.',
      ':',
      '::',
      '/',
      'f',
      'ff00',
      '12345',
      '-',
      ' ',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
        const text = pieces.join('');
        const { ranges } = read(`allowed_ip=${text}\n`);
        const expected = parseCidr(text);
        if (expected === null) expect(ranges).toEqual([]);
        else if (ranges.length > 0) expect(ranges).toEqual([expected]);
      }),
      { numRuns: 20_000 },
    );
  });

  it.each([
    ['allowed_ip=-10.0.0.0/8\n'],
    ['allowed_ip=::ffff:10.0.0.1/128\n'],
    ['allowed_ips=10.0.0.0/8\n'],
    ['endpoint=1.2.3.4:5\n'],
    ['\n'],
  ])('leaves %j to others', (line) => {
    expect(read(`allowed_ip=10.0.0.0/8\n${line}`)).toEqual({ ranges: [parseCidr('10.0.0.0/8')], rest: line });
  });

  it('stop at a line that is not whole yet, and when there is no more room', () => {
    expect(read('allowed_ip=10.0.0.0/8\nallowed_ip=10.1').rest).toBe('allowed_ip=10.1');
    const small = new RangeLines(2);
    const chunk = bytes('allowed_ip=fd00::/8\n'.repeat(3));
    expect(unpack(small.read(chunk, 0, chunk.length)).map(formatCidr)).toEqual(['fd00::/8', 'fd00::/8']);
    expect(small.next).toBe(40);
  });
});
