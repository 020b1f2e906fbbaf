/**
 * Macs and cookies of handshake messages as another implementation made them (test/vectors/wg): mac1 of initiations and
 * responses, mac2 under a cookie, the cookie reply.
 */
import { createHash, createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import { blake2s } from '@noble/hashes/blake2.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAC_KEY_SIZE } from '../../../src/aead/kernel.ts';
import { backends, cipherArea, pattern } from './cipher-area.ts';

interface Answer {
  initiator_static_public: string;
  responder_static_public: string;
  initiation: string;
  response: string;
  initiation_with_mac2: string;
  cookie: string;
  cookie_nonce: string;
  cookie_reply: string;
}
const { cases } = JSON.parse(
  readFileSync(new URL('../../vectors/wg/wg-kat.json', import.meta.url), 'utf8'),
) as { cases: Answer[] };

const unhex = (text: string): Buffer => Buffer.from(text, 'hex');
const keyOf = (label: string, publicKey: string): Buffer =>
  createHash('blake2s256').update(label).update(unhex(publicKey)).digest();

describe.each(backends)('macs of the %s kernel', (_name, options) => {
  const { kernel, key, src, dst, back, put, take } = cipherArea(options);
  const state = key + 64;
  const hold = (macKey: Uint8Array, message: Uint8Array): [number, number] => {
    put(key, macKey);
    put(src, message);
    kernel.macBegin(key, macKey.length, state);
    const good = kernel.macHolds(state, src, message.length - 16, src + message.length - 16);
    put(src + message.length - 1, Uint8Array.of((message.at(-1) ?? 0) ^ 1));
    return [good, kernel.macHolds(state, src, message.length - 16, src + message.length - 16)];
  };

  it('take the mac1 of every message and refuse it changed', () => {
    for (const answer of cases) {
      const initiation = unhex(answer.initiation).subarray(0, -16);
      const response = unhex(answer.response).subarray(0, -16);
      expect(hold(keyOf('mac1----', answer.responder_static_public), initiation)).toEqual([1, 0]);
      expect(hold(keyOf('mac1----', answer.initiator_static_public), response)).toEqual([1, 0]);
    }
    expect(cases).toHaveLength(32);
  });

  it('take a mac2 made with a cookie', () => {
    for (const answer of cases)
      expect(hold(unhex(answer.cookie), unhex(answer.initiation_with_mac2))).toEqual([1, 0]);
  });

  it('seal a cookie as the reply has it', () => {
    for (const answer of cases) {
      put(key, keyOf('cookie--', answer.responder_static_public));
      put(src, unhex(answer.cookie_nonce));
      put(src + 32, unhex(answer.cookie));
      put(src + 64, unhex(answer.initiation).subarray(-32, -16));
      kernel.sealCookie(key, src, src + 32, src + 64, dst);
      expect(take(dst, 32).toString('hex')).toBe(answer.cookie_reply.slice(-64));
    }
  });

  it("are noble's for any key and message", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 32 }), fc.integer({ min: 1, max: 400 }), (keyLength, length) => {
        const macKey = pattern(keyLength, length);
        const message = pattern(length, keyLength);
        put(key, macKey);
        put(src, message);
        put(back, new Uint8Array(MAC_KEY_SIZE + 16).fill(0xa5));
        kernel.macBegin(key, keyLength, back);
        kernel.mac(back, src, length, dst);
        expect(take(dst, 16)).toEqual(Buffer.from(blake2s(message, { key: macKey, dkLen: 16 })));
        expect(take(back + MAC_KEY_SIZE, 16)).toEqual(Buffer.alloc(16, 0xa5));
      }),
    );
  });
});

describe('hashes and fields of the kernel', () => {
  const { kernel, key, src, dst, put, take } = cipherArea({ crypto: 'wasm', simd: 128 });

  it("hash as node:crypto's BLAKE2s does, for every length up to 300", () => {
    for (let length = 0; length <= 300; length += 1) {
      put(src, pattern(length, length));
      kernel.hash(src, length, dst);
      const expected = createHash('blake2s256').update(pattern(length, length)).digest();
      expect(take(dst, 32), `${length} bytes`).toEqual(expected);
    }
  });

  it("are node:crypto's HMAC for any key of up to a block and any message", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 64 }), fc.integer({ min: 0, max: 200 }), (keyLength, length) => {
        put(key, pattern(keyLength, length));
        put(src, pattern(length, keyLength));
        kernel.hmac(key, keyLength, src, length, dst);
        const hmac = createHmac('blake2s256', pattern(keyLength, length));
        expect(take(dst, 32)).toEqual(hmac.update(pattern(length, keyLength)).digest());
      }),
    );
  });

  it('seal and open as noble does, for every length up to 64, and change nothing that they refuse', () => {
    const hash = pattern(32, 5);
    for (let length = 0; length <= 64; length += 1) {
      const text = pattern(length, 7);
      put(key, pattern(32, length));
      put(src, Buffer.concat([hash, text]));
      kernel.sealField(key, src, length);
      const expected = chacha20poly1305(pattern(32, length), new Uint8Array(12), hash).encrypt(text);
      expect(take(src, 32 + length + 16), `${length} bytes`).toEqual(Buffer.concat([hash, expected]));
      for (const wrong of [0, 31, 32 + length, 32 + length + 15]) {
        const changed = Buffer.concat([hash, expected]);
        changed[wrong]! ^= 0x40;
        put(src, changed);
        expect(kernel.openField(key, src, length)).toBe(-1);
        expect(take(src, changed.length)).toEqual(changed);
      }
      put(src, Buffer.concat([hash, expected]));
      expect(kernel.openField(key, src, length)).toBe(0);
      expect(take(src + 32, length)).toEqual(Buffer.from(text));
    }
  });
});
