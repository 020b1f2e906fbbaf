/**
 * Functions of the OpenSSL that this Node carries, or is linked to, by address and through koffi.
 * Source: EVP_DigestInit(3), EVP_MD_fetch(3); openssl include/crypto/ecx.h. The two of X25519 are OpenSSL's own and not
 * its promise to others: who calls them tries them with known answers first.
 * @module
 */
import koffi from 'koffi';

export interface Openssl {
  /** 32 bytes each; 0 when the shared secret is all zero. */
  readonly x25519: (out: number, privateKey: number, publicKey: number) => number;
  readonly x25519Public: (out: number, privateKey: number) => void;
  /** The 32 bytes of BLAKE2s of `length` bytes at `data`; 0 when it failed. */
  readonly blake2s: (data: number, length: number, out: number) => number;
}

/** undefined when they are not all there. */
export function findOpenssl(): Openssl | undefined {
  try {
    const program = koffi.load(null);
    const fetchDigest = program.func(
      'uintptr_t EVP_MD_fetch(uintptr_t library, const char *name, uintptr_t properties)',
    );
    const blake2s = fetchDigest(0, 'BLAKE2S-256', 0) as number;
    if (blake2s === 0) return undefined;
    const digest = program.func(
      'int EVP_Digest(uintptr_t data, size_t length, uintptr_t out, uintptr_t size, uintptr_t type, uintptr_t engine)',
    );
    return {
      x25519: program.func('int ossl_x25519(uintptr_t out, uintptr_t privateKey, uintptr_t publicKey)'),
      x25519Public: program.func('void ossl_x25519_public_from_private(uintptr_t out, uintptr_t privateKey)'),
      blake2s: (data, length, out) => digest(data, length, out, 0, blake2s, 0) as number,
    };
  } catch {
    return undefined;
  }
}
