/**
 * The kernel's cipher on @noble/ciphers: the twin every result is held against, and the fall-back that
 * `selectCipher(1)` puts in its place. Same addresses in the same memory, so the packet code does not change.
 * Spec: RFC 8439 §2.8; nonce: WireGuard paper §5.4.6; Mac and Xaead: §5.4.4, §5.4.7.
 * @module
 */
import { chacha20poly1305, xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { blake2s } from '@noble/hashes/blake2.js';

const KEY_BYTES = 32;
export const TAG_BYTES = 16;
/** A mac, and a cookie: keyed BLAKE2s with a short output. */
export const MAC_BYTES = 16;
export const COOKIE_NONCE_BYTES = 24;

export interface ForeignCipher {
  foreignSeal(key: number, ctrLo: number, ctrHi: number, src: number, dst: number, len: number): void;
  foreignOpen(key: number, ctrLo: number, ctrHi: number, src: number, dst: number, len: number): number;
  foreignMac(key: number, keyLen: number, src: number, len: number, out: number): void;
  foreignSealCookie(key: number, nonce: number, cookie: number, mac1: number, out: number): void;
}

/** Four zero bytes, then the counter, little endian; the halves may come signed, as wasm hands them over. */
export function nonceOf(ctrLo: number, ctrHi: number): Uint8Array {
  const nonce = new Uint8Array(12);
  const view = new DataView(nonce.buffer);
  view.setUint32(4, ctrLo, true);
  view.setUint32(8, ctrHi, true);
  return nonce;
}

export function createForeignCipher(memory: WebAssembly.Memory): ForeignCipher {
  // The memory may grow, and a view made before that is too short; wasm addresses come in as signed numbers.
  const slice = (at: number, len: number) => new Uint8Array(memory.buffer, at >>> 0, len >>> 0);
  // Copies, because the memory is shared and noble may read its input twice.
  const copy = (at: number, len: number) => slice(at, len).slice();
  // Of a key there is one, in a buffer that the garbage collector does not move, and it is wiped when it has served.
  const keyCopy = new Uint8Array(new ArrayBuffer(KEY_BYTES));
  const withKey = <T>(at: number, len: number, use: (key: Uint8Array) => T): T => {
    keyCopy.set(slice(at, len));
    try {
      return use(keyCopy.subarray(0, len));
    } finally {
      keyCopy.fill(0);
    }
  };
  return {
    foreignSeal(key, ctrLo, ctrHi, src, dst, len) {
      const nonce = nonceOf(ctrLo, ctrHi);
      const sealed = withKey(key, KEY_BYTES, (k) => chacha20poly1305(k, nonce).encrypt(copy(src, len)));
      slice(dst, len + TAG_BYTES).set(sealed);
    },
    foreignOpen(key, ctrLo, ctrHi, src, dst, len) {
      const nonce = nonceOf(ctrLo, ctrHi);
      try {
        const sealed = copy(src, len + TAG_BYTES);
        slice(dst, len).set(withKey(key, KEY_BYTES, (k) => chacha20poly1305(k, nonce).decrypt(sealed)));
        return 0;
      } catch {
        return -1;
      }
    },
    foreignMac(key, keyLen, src, len, out) {
      const mac = withKey(key, keyLen, (k) => blake2s(copy(src, len), { key: k, dkLen: MAC_BYTES }));
      slice(out, MAC_BYTES).set(mac);
    },
    foreignSealCookie(key, nonce, cookie, mac1, out) {
      const aad = copy(mac1, MAC_BYTES);
      const sealed = withKey(key, KEY_BYTES, (k) =>
        xchacha20poly1305(k, copy(nonce, COOKIE_NONCE_BYTES), aad).encrypt(copy(cookie, MAC_BYTES)),
      );
      slice(out, MAC_BYTES + TAG_BYTES).set(sealed);
    },
  };
}
