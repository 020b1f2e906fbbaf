/**
 * Both implementations of the primitives against published vectors, and against each other.
 * Source: RFC 7693 Appendix B, RFC 7748 §5.2 and §6.1, draft-irtf-cfrg-xchacha-03 A.3.1; the HKDF table of wireguard-go
 * device/kdf_test.go; low-order points of the kernel selftest netns.sh; keyed BLAKE2s by Python's hashlib.
 * @module
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nativePrimitives, objectPrimitives } from '../../../src/device/native-primitives.ts';
import { opensslPrimitives } from '../../../src/device/openssl-primitives.ts';
import { kdf1, kdf2, kdf3 } from '../../../src/noise/kdf.ts';
import { noblePrimitives } from '../../../src/noise/noble.ts';
import { clampPrivateKey, isZero } from '../../../src/noise/primitives.ts';
import { base64, hex, implementations, LOW_ORDER_KEYS, seededRandom, unhex } from './fixtures.ts';

const text = (value: string) => new TextEncoder().encode(value);
const upTo = (length: number) => Uint8Array.from({ length }, (_, i) => i);

describe.each(implementations)('%s primitives', (name, make) => {
  const p = make(seededRandom(7));

  it('hash "abc" as RFC 7693 Appendix B does', () => {
    expect(hex(p.hash(text('abc')))).toBe('508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982');
    expect(hex(p.hash(text('a'), text(''), text('bc')))).toBe(hex(p.hash(text('abc'))));
  });

  it('give the first chaining key and hash of the protocol', () => {
    const chain = p.hash(text('Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s'));
    expect(hex(chain)).toBe('60e26daef327efc02ec335e2a025d2d016eb4206f87277f52d38d1988b78cd36');
    const start = p.hash(chain, text('WireGuard v1 zx2c4 Jason@zx2c4.com'));
    expect(hex(start)).toBe('2211b361081ac566691243db458ad5322d9c6c662293e8b70ee19c65ba079ef3');
  });

  it.each([
    [32, '', '9536f9b267655743dee97b8a670f9f53'],
    [32, 'abc', '61ba5f165c194692e09d12520cc4c74a'],
    [16, '', 'af4e5d3bb230e9ff9096ca6f7c501f76'],
    [16, 'abc', '75296c2d2c0f51210b383f386bc8b1ff'],
  ])('make sixteen-byte macs with a key of %d bytes of "%s"', (keySize, message, mac) => {
    expect(hex(p.mac(upTo(keySize), text(message)))).toBe(mac);
    expect(hex(p.mac(upTo(keySize), text(''), text(message)))).toBe(mac);
  });

  it.each([
    [
      '746573742d6b6579',
      '746573742d696e707574',
      '6f0e5ad38daba1bea8a0d213688736f19763239305e0f58aba697f9ffc41c633',
      'df1194df20802a4fe594cde27e92991c8cae66c366e8106aaa937a55fa371e8a',
      'fac6e2745a325f5dc5d11a5b165aad08b0ada28e7b4e666b7c077934a4d76c24',
    ],
    [
      '776972656775617264',
      '776972656775617264',
      '491d43bbfdaa8750aaf535e334ecbfe5129967cd64635101c566d4caefda96e8',
      '1e71a379baefd8a79aa4662212fcafe19a23e2b609a3db7d6bcba8f560e3d25f',
      '31e1ae48bddfbe5de38f295e5452b1909a1b4e38e183926af3780b0c1e1f0160',
    ],
    [
      '',
      '',
      '8387b46bf43eccfcf349552a095d8315c4055beb90208fb1be23b894bc2ed5d0',
      '58a0e5f6faefccf4807bff1f05fa8a9217945762040bcec2f4b4a62bdfe0e86e',
      '0ce6ea98ec548f8e281e93e32db65621c45eb18dc6f0a7ad94178610a2f7338e',
    ],
  ])('derive keys from "%s" and "%s" as wireguard-go does', (key, input, t1, t2, t3) => {
    expect(hex(kdf1(p, unhex(key), unhex(input)))).toBe(t1);
    expect(kdf2(p, unhex(key), unhex(input)).map(hex)).toEqual([t1, t2]);
    expect(kdf3(p, unhex(key), unhex(input)).map(hex)).toEqual([t1, t2, t3]);
  });

  it.each([
    [
      'a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4',
      'e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c',
      'c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552',
    ],
    [
      '4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d',
      'e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493',
      '95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957',
    ],
  ])('multiply %s as RFC 7748 §5.2 does', (scalar, u, result) => {
    expect(hex(p.dh(unhex(scalar), unhex(u)) ?? new Uint8Array())).toBe(result);
  });

  it('reach the result of RFC 7748 §5.2 after a thousand rounds', () => {
    let k: Uint8Array = unhex(`09${'00'.repeat(31)}`);
    let u = k;
    for (let round = 1; round <= (name === 'noble' ? 1 : 1000); round++) {
      [k, u] = [p.dh(k, u) ?? new Uint8Array(), k];
      if (round === 1)
        expect(hex(k)).toBe('422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079');
    }
    if (name === 'native') {
      expect(hex(k)).toBe('684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51');
    }
  });

  it('agree on the secret of RFC 7748 §6.1', () => {
    const alice = unhex('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a');
    const bob = unhex('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb');
    expect(hex(p.publicKey(alice))).toBe('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a');
    expect(hex(p.publicKey(bob))).toBe('de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f');
    const secret = '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742';
    expect(hex(p.dh(alice, p.publicKey(bob)) ?? new Uint8Array())).toBe(secret);
    expect(hex(p.dh(bob, p.publicKey(alice)) ?? new Uint8Array())).toBe(secret);
  });

  it.each(LOW_ORDER_KEYS)('refuse the low-order point %s', (key) => {
    expect(p.dh(p.generateKeypair().privateKey, base64(key))).toBeNull();
  });

  it('generate clamped keys with their public halves', () => {
    const { privateKey, publicKey } = p.generateKeypair();
    expect(privateKey).toEqual(clampPrivateKey(privateKey));
    expect(hex(publicKey)).toBe(hex(p.publicKey(privateKey)));
  });

  it('seal a cookie as draft-irtf-cfrg-xchacha A.3.1 does', () => {
    const key = upTo(32).map((i) => i + 0x80);
    const nonce = upTo(24).map((i) => i + 0x40);
    const aad = unhex('50515253c0c1c2c3c4c5c6c7');
    const plaintext = text(
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
    );
    const sealed = p.xaeadSeal(key, nonce, plaintext, aad);
    expect(hex(sealed.subarray(0, 16))).toBe('bd6d179d3e83d43b9576579493c0e939');
    expect(hex(sealed.subarray(-16))).toBe('c0875924c1c7987947deafd8780acf49');
    expect(p.xaeadOpen(key, nonce, sealed, aad)).toEqual(plaintext);
    sealed[0] = (sealed[0] ?? 0) ^ 1;
    expect(p.xaeadOpen(key, nonce, sealed, aad)).toBeNull();
  });

  it('answer null for anything that is too short to carry a tag', () => {
    for (let length = 0; length < 16; length++) {
      const short = new Uint8Array(length);
      expect(p.aeadOpen(upTo(32), 0, short, short)).toBeNull();
      expect(p.xaeadOpen(upTo(32), upTo(24), short, short)).toBeNull();
    }
  });

  it('compare equal and unequal bytes', () => {
    expect(p.equal(upTo(16), upTo(16))).toBe(true);
    expect(p.equal(upTo(16), upTo(17))).toBe(false);
    expect(p.equal(upTo(16), upTo(16).fill(99, 15))).toBe(false);
  });

  it('give results that own their memory', () => {
    // A view into a pool would carry foreign secrets to the worker when it is cloned.
    const { privateKey, publicKey } = p.generateKeypair();
    const results = [
      p.hash(text('a')),
      p.hmac(text('k'), text('a')),
      p.dh(privateKey, publicKey) ?? new Uint8Array(),
      p.aeadSeal(upTo(32), 1, text('hello'), upTo(3)),
    ];
    for (const result of results) {
      expect(result.buffer.byteLength).toBe(result.length);
      expect(Buffer.isBuffer(result)).toBe(false);
    }
  });
});

describe('native and noble primitives', () => {
  const native = nativePrimitives(seededRandom(1));
  const noble = noblePrimitives(seededRandom(1));
  const bytes = (min: number, max = min) => fc.uint8Array({ minLength: min, maxLength: max });

  it('are one function: hashes and macs', () => {
    fc.assert(
      fc.property(bytes(0, 80), bytes(0, 300), bytes(0, 70), (key, a, b) => {
        expect(hex(native.hash(a, b))).toBe(hex(noble.hash(a, b)));
        expect(hex(native.hmac(key, a, b))).toBe(hex(noble.hmac(key, a, b)));
        expect(hex(objectPrimitives.hash(a, b))).toBe(hex(noble.hash(a, b)));
        expect(hex(objectPrimitives.hmac(key, a, b))).toBe(hex(noble.hmac(key, a, b)));
      }),
    );
  });

  it('are one function: authenticated encryption, with any counter up to 2^53', () => {
    fc.assert(
      fc.property(
        bytes(32),
        fc.maxSafeNat(),
        bytes(0, 300),
        bytes(0, 64),
        fc.nat(),
        (key, counter, plain, aad, at) => {
          const sealed = native.aeadSeal(key, counter, plain, aad);
          expect(hex(sealed)).toBe(hex(noble.aeadSeal(key, counter, plain, aad)));
          expect(native.aeadOpen(key, counter, sealed, aad)).toEqual(plain);
          expect(noble.aeadOpen(key, counter, sealed, aad)).toEqual(plain);
          sealed[at % sealed.length]! ^= 0x40;
          expect(native.aeadOpen(key, counter, sealed, aad)).toBeNull();
          expect(noble.aeadOpen(key, counter, sealed, aad)).toBeNull();
        },
      ),
    );
  });

  it('are one function: X25519 of any two strings of 32 bytes', () => {
    fc.assert(
      fc.property(bytes(32), bytes(32), (scalar, point) => {
        expect(native.publicKey(scalar)).toEqual(noble.publicKey(scalar));
        expect(native.dh(scalar, point)).toEqual(noble.dh(scalar, point));
        expect(objectPrimitives.publicKey(scalar)).toEqual(noble.publicKey(scalar));
        expect(objectPrimitives.dh(scalar, point)).toEqual(noble.dh(scalar, point));
      }),
      { numRuns: 40 },
    );
  });

  it('find what they want in the OpenSSL of the Node that the project ships with', () => {
    const direct = opensslPrimitives();
    expect(direct).toBeDefined();
    for (const key of LOW_ORDER_KEYS) {
      expect(direct?.dh(upTo(32), base64(key))).toBeNull();
      expect(objectPrimitives.dh(upTo(32), base64(key))).toBeNull();
    }
  });

  it('hash what is longer than the scratch, and take keys longer than a block', () => {
    const long = new Uint8Array(5000).fill(7);
    for (const length of [3900, 3999, 4000, 4001, 4063, 4064, 4065, 5000]) {
      const part = long.subarray(0, length);
      expect(hex(native.hash(part))).toBe(hex(noble.hash(part)));
      expect(hex(native.hmac(upTo(32), part))).toBe(hex(noble.hmac(upTo(32), part)));
    }
    for (const length of [63, 64, 65, 200]) {
      expect(hex(native.hmac(upTo(length), long))).toBe(hex(noble.hmac(upTo(length), long)));
      expect(hex(native.hmac(upTo(length), upTo(3)))).toBe(hex(noble.hmac(upTo(length), upTo(3))));
    }
  });

  it('draw their keys from the randomness they are given', () => {
    const first = nativePrimitives(seededRandom(5)).generateKeypair();
    const second = noblePrimitives(seededRandom(5)).generateKeypair();
    expect(first).toEqual(second);
    expect(isZero(first.privateKey)).toBe(false);
    expect(isZero(nativePrimitives().randomBytes(32))).toBe(false);
  });
});
