/**
 * Project Wycheproof's files (test/vectors/wycheproof), as their schemas describe them, with hexadecimal made bytes.
 * @module
 */
import { readFileSync } from 'node:fs';

export interface AeadCase {
  readonly id: string;
  readonly key: Uint8Array;
  readonly nonce: Uint8Array;
  readonly aad: Uint8Array;
  readonly message: Uint8Array;
  readonly ciphertext: Uint8Array;
  readonly tag: Uint8Array;
  /** Ciphertext, then tag. */
  readonly sealed: Uint8Array;
  readonly isValid: boolean;
}

export interface DhCase {
  readonly id: string;
  readonly privateKey: Uint8Array;
  readonly publicKey: Uint8Array;
  readonly shared: Uint8Array;
}

interface File {
  readonly numberOfTests: number;
  readonly testGroups: readonly { readonly tests: readonly Readonly<Record<string, string>>[] }[];
}

function casesOf(name: string): readonly Readonly<Record<string, string>>[] {
  const path = new URL(`../vectors/wycheproof/${name}_test.json`, import.meta.url);
  const file = JSON.parse(readFileSync(path, 'utf8')) as File;
  const cases = file.testGroups.flatMap(({ tests }) => tests);
  if (cases.length !== file.numberOfTests) throw new Error(`${name}: ${cases.length} cases`);
  return cases;
}

const unhex = (text: string | undefined): Uint8Array => Uint8Array.from(Buffer.from(text ?? '', 'hex'));

export function aeadCases(name: 'chacha20_poly1305' | 'xchacha20_poly1305'): readonly AeadCase[] {
  return casesOf(name).map((each) => ({
    id: `${name} ${each.tcId}`,
    key: unhex(each.key),
    nonce: unhex(each.iv),
    aad: unhex(each.aad),
    message: unhex(each.msg),
    ciphertext: unhex(each.ct),
    tag: unhex(each.tag),
    sealed: unhex(`${each.ct}${each.tag}`),
    isValid: each.result === 'valid',
  }));
}

export function dhCases(): readonly DhCase[] {
  return casesOf('x25519').map((each) => ({
    id: `x25519 ${each.tcId}`,
    privateKey: unhex(each.private),
    publicKey: unhex(each.public),
    shared: unhex(each.shared),
  }));
}
