/**
 * Key derivation: HKDF over HMAC-BLAKE2s.
 * Source: WireGuard paper §5.4 (Kdf_n), RFC 5869.
 * @module
 */
import { type Primitives, wipe } from './primitives.ts';

const ONE = Uint8Array.of(1);
const TWO = Uint8Array.of(2);
const THREE = Uint8Array.of(3);

/** τ0 = Hmac(key, input); τ1 = Hmac(τ0, 0x1). */
export function kdf1(p: Primitives, key: Uint8Array, input: Uint8Array): Uint8Array {
  const t0 = p.hmac(key, input);
  const t1 = p.hmac(t0, ONE);
  wipe(t0);
  return t1;
}

/** τ2 = Hmac(τ0, τ1 ‖ 0x2). */
export function kdf2(p: Primitives, key: Uint8Array, input: Uint8Array): [Uint8Array, Uint8Array] {
  const t0 = p.hmac(key, input);
  const t1 = p.hmac(t0, ONE);
  const t2 = p.hmac(t0, t1, TWO);
  wipe(t0);
  return [t1, t2];
}

/** τ3 = Hmac(τ0, τ2 ‖ 0x3). */
export function kdf3(
  p: Primitives,
  key: Uint8Array,
  input: Uint8Array,
): [Uint8Array, Uint8Array, Uint8Array] {
  const t0 = p.hmac(key, input);
  const t1 = p.hmac(t0, ONE);
  const t2 = p.hmac(t0, t1, TWO);
  const t3 = p.hmac(t0, t2, THREE);
  wipe(t0);
  return [t1, t2, t3];
}
