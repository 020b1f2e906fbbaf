/**
 * Known answers: RFC 8439 where its nonce begins with four zero bytes, as WireGuard's do, and the transport packets of
 * test/vectors/wg, which another implementation made.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { backends, cipherArea } from './cipher-area.ts';
import { tagOf } from './poly1305.twin.ts';

interface Answer {
  initiator_send_key: string;
  initiator_recv_key: string;
  data: { direction: 'i2r' | 'r2i'; counter: number; plaintext: string; packet: string }[];
}
const answers: { cases: Answer[] } = JSON.parse(
  readFileSync(new URL('../../vectors/wg/wg-kat.json', import.meta.url), 'utf8'),
);

const SUNSCREEN =
  "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
const SUNSCREEN_SEALED =
  '6e2e359a2568f98041ba0728dd0d6981e97e7aec1d4360c20a27afccfd9fae0bf91b65c5524733ab8f593dabcd62b357' +
  '1639d624e65152ab8f530c359f0861d807ca0dbf500d6a6156a38e088a22b65e52bc514d16ccf806818ce91ab7793736' +
  '5af90bbf74a35be6b40b8eedf2785e42874d';

describe.each(backends)('the %s cipher', (_name, options) => {
  const { kernel, bytes, key, src, dst, back, put, take } = cipherArea(options);

  it('makes the ciphertext of RFC 8439 §2.4.2', () => {
    put(
      key,
      Uint8Array.from({ length: 32 }, (_, i) => i),
    );
    put(src, Buffer.from(SUNSCREEN));
    kernel.seal(key, 0x4a000000, 0, src, dst, SUNSCREEN.length);
    expect(take(dst, SUNSCREEN.length).toString('hex')).toBe(SUNSCREEN_SEALED);
  });

  // RFC 8439 A.1 #2 and #3: block 1 of the keystream, which is what zeros become.
  it.each([
    [
      0,
      '9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f',
    ],
    [
      1,
      '3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0',
    ],
  ])('makes the keystream of RFC 8439 A.1 under key %d', (last, stream) => {
    bytes.fill(0, key, key + 32);
    bytes[key + 31] = last;
    bytes.fill(0, src, src + 64);
    kernel.seal(key, 0, 0, src, dst, 64);
    expect(take(dst, 64).toString('hex')).toBe(stream);
  });

  it('keys Poly1305 as RFC 8439 A.4 #2 does', () => {
    bytes.fill(0, key, key + 32);
    bytes[key + 31] = 1;
    kernel.seal(key, 0, 0x02000000, src, dst, 0);
    const oneTime = Buffer.from('ecfa254f845f647473d3cb140da9e87606cb33066c447b87bc2666dde3fbb739', 'hex');
    expect(take(dst, 16)).toEqual(tagOf(oneTime, new Uint8Array(0)));
  });

  it("seals and opens another implementation's packets", () => {
    let packets = 0;
    for (const answer of answers.cases)
      for (const { direction, counter, plaintext, packet } of answer.data) {
        const plain = Buffer.from(plaintext, 'hex');
        const sealed = Buffer.from(packet, 'hex').subarray(16);
        const padded = Buffer.alloc(sealed.length - 16);
        padded.set(plain);
        put(
          key,
          Buffer.from(direction === 'i2r' ? answer.initiator_send_key : answer.initiator_recv_key, 'hex'),
        );
        put(src, padded);
        kernel.seal(key, counter, 0, src, dst, padded.length);
        expect(take(dst, sealed.length)).toEqual(sealed);
        put(dst, sealed);
        expect(kernel.open(key, counter, 0, dst, back, padded.length)).toBe(0);
        expect(take(back, plain.length)).toEqual(plain);
        packets++;
      }
    expect(packets).toBeGreaterThan(3);
  });
});
