/**
 * The fields of handshake messages: ChaCha20-Poly1305 of at most 64 bytes, counter 0, with the 32 bytes of the running hash
 * as additional data. In place:
 *
 *     | hash 32 | field len | tag 16 |
 *
 * Spec: RFC 8439 §2.8; WireGuard paper §5.4.2, §5.4.3.
 * @module
 */
import { prepare } from './chacha20';
import { keystream4 } from './chacha20-four';
import { authenticateWith } from './poly1305';
import { GROUPS, MAC_KEY, TAG, wipe, work } from './work';

const HASH: usize = 32;

/** Keystream, and from its block 0 the key of Poly1305. */
@inline
function begin(key: usize): void {
  const w = work();
  prepare(key, 0, 0);
  keystream4(0, w + GROUPS);
  v128.store(w + MAC_KEY, v128.load(w + GROUPS));
  v128.store(w + MAC_KEY, v128.load(w + GROUPS, 16), 16);
}

@inline
function encrypt(text: usize, len: usize): void {
  const stream = work() + GROUPS + 64;
  for (let i: usize = 0; i < len; i++) store<u8>(text + i, load<u8>(text + i) ^ load<u8>(stream + i));
}

/** Seals the `len` bytes behind the hash at `at`, and writes the tag behind them. */
export function sealField(key: usize, at: usize, len: usize): void {
  begin(key);
  encrypt(at + HASH, len);
  authenticateWith(work() + MAC_KEY, at, HASH, len, at + HASH + len);
  wipe();
}

/** 0 and the plaintext in place, or -1 and nothing changed. */
export function openField(key: usize, at: usize, len: usize): i32 {
  begin(key);
  const tag = work() + TAG;
  authenticateWith(work() + MAC_KEY, at, HASH, len, tag);
  const expected = at + HASH + len;
  const difference = (load<u64>(tag) ^ load<u64>(expected)) | (load<u64>(tag, 8) ^ load<u64>(expected, 8));
  if (difference != 0) {
    wipe();
    return -1;
  }
  encrypt(at + HASH, len);
  wipe();
  return 0;
}
