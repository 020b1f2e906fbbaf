/**
 * ChaCha20-Poly1305 and XChaCha20-Poly1305 by Project Wycheproof, in every back end.
 *
 * The kernel knows no additional data and only nonces of four zero bytes and a counter, and no vector has both. But a
 * subkey of XChaCha20 (draft-irtf-cfrg-xchacha-03 §2.2) is used with just such nonces: those vectors go through `seal`
 * and `open`. Where there is additional data the tag is held by `authenticate`, which ends every message with a length
 * block of its own: run over what the vector's tag covers, it must arrive where one more step from that tag leads.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import { chacha20, chacha20poly1305, hchacha } from '@noble/ciphers/chacha.js';
import { describe, expect, it } from 'vitest';
import { nativePrimitives } from '../../src/device/native-primitives.ts';
import { noblePrimitives } from '../../src/noise/noble.ts';
import { backends, type CipherArea, cipherArea } from './aead/cipher-area.ts';
import { littleEndian, toBytes } from './aead/poly1305.twin.ts';
import { seededRandom } from './noise/fixtures.ts';
import { type AeadCase, aeadCases } from './vectors-wycheproof.ts';

const short = aeadCases('chacha20_poly1305');
const extended = aeadCases('xchacha20_poly1305');
const of = (cases: readonly AeadCase[], nonceSize: number) =>
  cases.filter(({ nonce }) => nonce.length === nonceSize);
const short12 = of(short, 12);
const extended24 = of(extended, 24);
const valid = (cases: readonly AeadCase[]) => cases.filter(({ isValid }) => isValid);

/** "expand 32-byte k" */
const SIGMA = new Uint32Array(new TextEncoder().encode('expand 32-byte k').buffer);
const words = (bytes: Uint8Array) => new Uint32Array(bytes.slice().buffer);

/** An XChaCha20 vector as the ChaCha20 one it comes down to. */
function reduced(each: AeadCase): AeadCase {
  const subkey = new Uint32Array(8);
  hchacha(SIGMA, words(each.key), words(each.nonce.subarray(0, 16)), subkey);
  const nonce = new Uint8Array(12);
  nonce.set(each.nonce.subarray(16), 4);
  return { ...each, key: new Uint8Array(subkey.buffer), nonce };
}

const isCounter = ({ nonce }: AeadCase) => nonce.subarray(0, 4).every((byte) => byte === 0);
const byCounter = [...short12.filter(isCounter), ...extended24.map(reduced)];
const withoutAad = byCounter.filter(({ aad }) => aad.length === 0);
const P = 2n ** 130n - 5n;

/** RFC 8439 §2.8: what a tag covers. */
function covered({ aad, ciphertext }: AeadCase): Uint8Array {
  const pad = (bytes: Uint8Array) => [...bytes, ...new Uint8Array(-bytes.length & 15)];
  const lengths = [...toBytes(BigInt(aad.length), 8), ...toBytes(BigInt(ciphertext.length), 8)];
  return Uint8Array.from([...pad(aad), ...pad(ciphertext), ...lengths]);
}

/** The tags that one more block, of the length `length`, may make of the vector's: two bits of the sum are not in it. */
function stepsFrom({ tag }: AeadCase, macKey: Uint8Array, length: number): string[] {
  const r = littleEndian(macKey.subarray(0, 16)) & 0x0ffffffc0ffffffc0ffffffc0fffffffn;
  const s = littleEndian(macKey.subarray(16));
  const low = (littleEndian(tag) - s + 2n ** 128n) % 2n ** 128n;
  return [0n, 1n, 2n, 3n]
    .map((high) => low + high * 2n ** 128n)
    .filter((sum) => sum < P)
    .map((sum) => ((sum + BigInt(length) * 2n ** 64n + 2n ** 128n) * r) % P)
    .map((next) => toBytes((next + s) % 2n ** 128n, 16).toString('hex'));
}

function authenticated(area: CipherArea, macKey: Uint8Array, message: Uint8Array): string {
  area.put(area.key, macKey);
  area.put(area.src, message);
  area.kernel.authenticate(area.key, area.src, message.length, area.dst);
  return area.take(area.dst, 16).toString('hex');
}

const counterHalves = ({ nonce }: AeadCase): [number, number] => {
  const view = new DataView(nonce.buffer, nonce.byteOffset);
  return [view.getUint32(4, true), view.getUint32(8, true)];
};

describe.each(backends.filter(([name]) => name !== 'foreign'))('the %s kernel', (_name, options) => {
  const area = cipherArea(options);
  const { kernel, key, src, dst, back, put, take } = area;

  const sealing = valid(byCounter);
  it(`encrypts like the ${sealing.length} of ${valid(short).length + valid(extended).length} valid vectors whose nonce is a counter`, () => {
    for (const each of sealing) {
      put(key, each.key);
      put(src, each.message);
      kernel.seal(key, ...counterHalves(each), src, dst, each.message.length);
      expect(take(dst, each.ciphertext.length), each.id).toEqual(Buffer.from(each.ciphertext));
    }
  });

  it(`seals and opens the ${withoutAad.length} of these that have no additional data, tag and all`, () => {
    for (const each of withoutAad) {
      put(key, each.key);
      put(src, each.message);
      kernel.seal(key, ...counterHalves(each), src, dst, each.message.length);
      expect(take(dst, each.sealed.length), each.id).toEqual(Buffer.from(each.sealed));
      put(src, each.sealed);
      const verdict = kernel.open(key, ...counterHalves(each), src, back, each.message.length);
      expect(verdict, each.id).toBe(each.isValid ? 0 : -1);
      expect(take(back, each.message.length), each.id).toEqual(Buffer.from(each.message));
    }
  });

  const tagged = [...short12, ...extended24.map(reduced)];
  it(`agrees with the tags of ${valid(tagged).length} valid vectors, and with none of ${tagged.length - valid(tagged).length} that were modified`, () => {
    for (const each of tagged) {
      const macKey = chacha20(each.key, each.nonce, new Uint8Array(32));
      const message = covered(each);
      const found = authenticated(area, macKey, message);
      expect(stepsFrom(each, macKey, message.length).includes(found), each.id).toBe(each.isValid);
    }
  });
});

describe('the cipher behind KILOWIRE_CRYPTO=noble', () => {
  it(`passes all ${short.length} vectors: ${valid(short).length} valid, ${short12.length - valid(short12).length} modified, ${short.length - short12.length} with nonces of a wrong length`, () => {
    for (const each of short) {
      const attempt = () => chacha20poly1305(each.key, each.nonce, each.aad);
      if (each.isValid) {
        expect(attempt().encrypt(each.message), each.id).toEqual(each.sealed);
        expect(attempt().decrypt(each.sealed), each.id).toEqual(each.message);
      } else expect(() => attempt().decrypt(each.sealed), each.id).toThrow();
    }
  });

  it(`seals and opens in the place of the kernel: ${withoutAad.length} vectors`, () => {
    const { kernel, key, src, dst, back, put, take } = cipherArea({ crypto: 'noble', simd: 128 });
    for (const each of withoutAad) {
      put(key, each.key);
      put(src, each.message);
      kernel.seal(key, ...counterHalves(each), src, dst, each.message.length);
      expect(take(dst, each.sealed.length), each.id).toEqual(Buffer.from(each.sealed));
      expect(kernel.open(key, ...counterHalves(each), dst, back, each.message.length), each.id).toBe(0);
    }
  });
});

describe('the cipher of node:crypto', () => {
  it(`passes the ${short12.length} of ${short.length} vectors with a nonce of twelve bytes`, () => {
    for (const each of short12) {
      const settings = { authTagLength: 16 };
      const decipher = createDecipheriv('chacha20-poly1305', each.key, each.nonce, settings);
      decipher.setAAD(each.aad, { plaintextLength: each.ciphertext.length });
      decipher.setAuthTag(each.tag);
      const plaintext = decipher.update(each.ciphertext);
      if (!each.isValid) {
        expect(() => decipher.final(), each.id).toThrow();
        continue;
      }
      decipher.final();
      expect(plaintext, each.id).toEqual(Buffer.from(each.message));
      const cipher = createCipheriv('chacha20-poly1305', each.key, each.nonce, settings);
      cipher.setAAD(each.aad, { plaintextLength: each.message.length });
      const ciphertext = cipher.update(each.message);
      cipher.final();
      const sealed = Buffer.concat([ciphertext, cipher.getAuthTag()]);
      expect(sealed, each.id).toEqual(Buffer.from(each.sealed));
    }
  });
});

describe.each([
  ['noble', noblePrimitives(seededRandom(1))],
  ['native', nativePrimitives(seededRandom(1))],
] as const)('the %s primitives', (_name, p) => {
  it(`pass the ${extended24.length} of ${extended.length} XChaCha20-Poly1305 vectors with a nonce of 24 bytes, and open none of the others`, () => {
    for (const each of extended) {
      const opened = p.xaeadOpen(each.key, each.nonce, each.sealed, each.aad);
      expect(opened, each.id).toEqual(each.isValid ? each.message : null);
      if (!each.isValid) continue;
      expect(p.xaeadSeal(each.key, each.nonce, each.message, each.aad), each.id).toEqual(each.sealed);
    }
  });

  // A counter is a number here, and most nonces of the vectors are beyond 2^53.
  const exact = (each: AeadCase) => {
    const [low, high] = counterHalves(each);
    return BigInt(low) + BigInt(high) * 2n ** 32n;
  };
  const numbered = byCounter.filter((each) => BigInt(Number(exact(each))) === exact(each));
  it(`pass the ${numbered.length} of ${byCounter.length} ChaCha20-Poly1305 vectors whose counter is a number of JavaScript`, () => {
    for (const each of numbered) {
      const counter = Number(exact(each));
      const opened = p.aeadOpen(each.key, counter, each.sealed, each.aad);
      expect(opened, each.id).toEqual(each.isValid ? each.message : null);
      if (each.isValid)
        expect(p.aeadSeal(each.key, counter, each.message, each.aad), each.id).toEqual(each.sealed);
    }
  });
});
