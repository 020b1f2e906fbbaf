/**
 * The kernel's cipher on @noble/ciphers: the twin every result is held against, and the fall-back that
 * `selectCipher(1)` puts in its place. Same addresses in the same memory, so the packet code does not change.
 * Spec: RFC 8439 §2.8; nonce: WireGuard paper §5.4.6.
 * @module
 */
import { chacha20poly1305 } from '@noble/ciphers/chacha.js';

const KEY_BYTES = 32;
export const TAG_BYTES = 16;

export interface ForeignCipher {
  foreignSeal(key: number, ctrLo: number, ctrHi: number, src: number, dst: number, len: number): void;
  foreignOpen(key: number, ctrLo: number, ctrHi: number, src: number, dst: number, len: number): number;
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
  return {
    foreignSeal(key, ctrLo, ctrHi, src, dst, len) {
      // Copies, because the memory is shared and noble may read its input twice.
      const cipher = chacha20poly1305(slice(key, KEY_BYTES).slice(), nonceOf(ctrLo, ctrHi));
      slice(dst, len + TAG_BYTES).set(cipher.encrypt(slice(src, len).slice()));
    },
    foreignOpen(key, ctrLo, ctrHi, src, dst, len) {
      const cipher = chacha20poly1305(slice(key, KEY_BYTES).slice(), nonceOf(ctrLo, ctrHi));
      try {
        slice(dst, len).set(cipher.decrypt(slice(src, len + TAG_BYTES).slice()));
        return 0;
      } catch {
        return -1;
      }
    },
  };
}
