/**
 * Preshared keys that two nodes make by themselves. Expected values come from another implementation of X25519 and HKDF.
 * @module
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { x25519 } from '@noble/curves/ed25519.js';
import { hkdf } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { afterAll, describe, expect, it } from 'vitest';
import { PresharedKeys } from '../../../src/agent/preshared-keys.ts';
import type { Ability } from '../../../src/routing/node.ts';
import { keyOf } from '../routing/clusters.ts';

const folder = mkdtempSync(join(tmpdir(), 'kilowire-psk-'));
afterAll(() => rmSync(folder, { recursive: true }));

const secretOf = (byte: number) => new Uint8Array(32).fill(byte);
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
const node = (name: string, byte: number, ...abilities: Ability[]) => ({
  name,
  abilities: new Set<Ability>(abilities),
  pskKey: base64(x25519.getPublicKey(secretOf(byte))),
});
const [KEY_A, KEY_B, KEY_B2] = [keyOf('a'), keyOf('b'), keyOf('b2')];
const expected = (salt: readonly string[], ...more: Uint8Array[]) => {
  const shared = x25519.getSharedSecret(secretOf(1), x25519.getPublicKey(secretOf(2)));
  const ikm = Buffer.concat([shared, ...more]);
  const salted = Buffer.concat(salt.toSorted().map((key) => Buffer.from(key, 'base64')));
  return base64(hkdf(sha256, ikm, salted, new TextEncoder().encode('kilowire preshared key 1'), 32));
};
const text = (bytes: Uint8Array | undefined) => (bytes === undefined ? undefined : base64(bytes));

describe('preshared keys', () => {
  const a = new PresharedKeys({ privateKey: secretOf(1), directory: null });
  const b = new PresharedKeys({ privateKey: secretOf(2), directory: null });

  it('are the same on both sides, and others after a rotation', () => {
    const [ofA, ofB] = [node('a', 1, 'preshared-keys'), node('b', 2, 'preshared-keys')];
    expect(text(a.between(KEY_A, ofB, KEY_B))).toBe(expected([KEY_A, KEY_B]));
    expect(text(b.between(KEY_B, ofA, KEY_A))).toBe(expected([KEY_A, KEY_B]));
    expect(text(a.between(KEY_A, ofB, KEY_B2))).toBe(expected([KEY_A, KEY_B2]));
    expect(text(b.between(KEY_B2, ofA, KEY_A))).toBe(expected([KEY_A, KEY_B2]));
    expect(expected([KEY_A, KEY_B2])).not.toBe(expected([KEY_A, KEY_B]));
  });

  it('are not made with who does not make them, nor with a key that makes no secret', () => {
    expect(a.between(KEY_A, node('b', 2, 'kilowire'), KEY_B)).toBeUndefined();
    const { pskKey: _, ...without } = node('b', 2, 'preshared-keys');
    expect(a.between(KEY_A, without, KEY_B)).toBeUndefined();
    const small = { ...without, pskKey: base64(Uint8Array.of(1, ...new Uint8Array(31))) };
    expect(a.between(KEY_A, small, KEY_B)).toBeUndefined();
  });

  it('come from a file for the node, or from both, and are read anew', () => {
    const file = secretOf(7);
    writeFileSync(join(folder, 'b'), `${base64(file)}\n`);
    const both = new PresharedKeys({ privateKey: secretOf(1), directory: folder });
    const alone = new PresharedKeys({ privateKey: null, directory: folder });
    const full = node('b', 2, 'preshared-keys', 'psk-dir');
    expect(text(both.between(KEY_A, full, KEY_B))).toBe(expected([KEY_A, KEY_B], file));
    expect(text(alone.between(KEY_A, full, KEY_B))).toBe(base64(file));
    writeFileSync(join(folder, 'b'), base64(secretOf(8)));
    expect(text(alone.between(KEY_A, full, KEY_B))).toBe(base64(secretOf(8)));
    expect(alone.between(KEY_A, node('b', 2, 'preshared-keys'), KEY_B)).toBeUndefined();
    expect(alone.between(KEY_A, { ...full, name: 'c' }, KEY_B)).toBeUndefined();
    writeFileSync(join(folder, 'b'), 'no key');
    expect(alone.between(KEY_A, full, KEY_B)).toBeUndefined();
  });
});
