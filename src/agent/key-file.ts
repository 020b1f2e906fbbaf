/**
 * The node's private key on disk, where Kilo keeps it: the same file is the same identity.
 * Source: Kilo's /var/lib/kilo/key (base64, 44 characters; a newline after it is tolerated).
 * @module
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { formatBase64Key, parseBase64Key } from '../noise/base64-key.ts';
import { AgentError } from './agent-error.ts';
import type { KeyRotation } from './next-key.ts';

const KEY_LENGTH = 32;
/** RFC 8410 §7: what stands before the 32 bytes of an X25519 private key in PKCS #8. */
export const PKCS8_HEAD = Buffer.from('302e020100300506032b656e04220420', 'hex');

export interface NodeKey {
  /** A secret. */
  readonly privateKey: Uint8Array;
  /** Base64. */
  readonly publicKey: string;
  /** False when it was made just now. */
  readonly found: boolean;
  /** Absent: it stays. */
  readonly rotation?: KeyRotation;
}

/** Reads the key, or makes one. A file that holds none is replaced, as Kilo does. */
export const loadNodeKey = (directory: string): NodeKey => {
  const path = join(directory, 'key');
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const found = readKey(path);
    const privateKey = found ?? makeKey(path);
    return { privateKey, publicKey: publicKeyOf(privateKey), found: found !== null };
  } catch (cause) {
    if (cause instanceof AgentError) throw cause;
    throw new AgentError(
      'ERR_AGENT_KEY',
      `The node's key cannot be kept in ${path}: is the directory writable?`,
      { cause },
    );
  }
};

/** The second key pair, which preshared keys are made of; made when there is none. A secret. */
export const loadPresharedKeyPair = (directory: string): Uint8Array => {
  const path = join(directory, 'psk-key');
  try {
    return readKey(path) ?? makeKey(path);
  } catch (cause) {
    throw new AgentError('ERR_AGENT_KEY', `The key for preshared keys cannot be kept in ${path}.`, { cause });
  }
};

/** A secret; null when there is none. */
export const readKey = (path: string): Uint8Array | null => {
  try {
    const key = parseBase64Key(readFileSync(path, 'latin1').trim());
    return key === null ? null : clamped(key);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
};

/** RFC 7748 §5, in place: devices keep a key so, and one that was not would look changed for ever. */
const clamped = (key: Uint8Array): Uint8Array => {
  key[0] = (key[0] ?? 0) & 248;
  key[31] = ((key[31] ?? 0) & 127) | 64;
  return key;
};

/** A secret. */
export const newPrivateKey = (): Uint8Array => {
  const der = generateKeyPairSync('x25519').privateKey.export({ format: 'der', type: 'pkcs8' });
  const key = Uint8Array.from(der.subarray(-KEY_LENGTH));
  der.fill(0);
  return key;
};

/** A secret. */
export const makeKey = (path: string): Uint8Array => {
  const key = newPrivateKey();
  // Whole or not at all: half a key would be another identity after a crash.
  const draft = `${path}.${process.pid}`;
  const fd = openSync(draft, 'w', 0o600);
  try {
    writeSync(fd, formatBase64Key(key));
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  chmodSync(draft, 0o600);
  renameSync(draft, path);
  return key;
};

/** Base64. */
export const publicKeyOf = (privateKey: Uint8Array): string => {
  const der = Buffer.concat([PKCS8_HEAD, privateKey]);
  const secret = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  der.fill(0);
  const spki = createPublicKey(secret).export({ format: 'der', type: 'spki' });
  return spki.subarray(-KEY_LENGTH).toString('base64');
};
