/**
 * Functions of the OpenSSL that this Node carries, or is linked to, by address and through koffi.
 * Source: openssl include/crypto/ecx.h. They are OpenSSL's own and not its promise to others: who calls them tries them
 * with known answers first.
 * @module
 */
import koffi from 'koffi';

export interface Openssl {
  /** 32 bytes each; 0 when the shared secret is all zero. */
  readonly x25519: (out: number, privateKey: number, publicKey: number) => number;
  readonly x25519Public: (out: number, privateKey: number) => void;
}

/** undefined when they are not all there. */
export function findOpenssl(): Openssl | undefined {
  try {
    const program = koffi.load(null);
    return {
      x25519: program.func('int ossl_x25519(uintptr_t out, uintptr_t privateKey, uintptr_t publicKey)'),
      x25519Public: program.func('void ossl_x25519_public_from_private(uintptr_t out, uintptr_t privateKey)'),
    };
  } catch {
    return undefined;
  }
}
