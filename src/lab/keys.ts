/**
 * WireGuard key pairs for devices that have no agent, made afresh for each lab and never written to disk.
 * Source: RFC 7748 §5 (X25519), RFC 8410 §7 (the private key's wrapping, 32 bytes at its end).
 * @module
 */
import { createPublicKey, generateKeyPairSync } from 'node:crypto';

export interface KeyPair {
  readonly privateKey: Uint8Array;
  /** As `wg` prints it. */
  readonly publicKey: string;
}

const KEY_LENGTH = 32;

export function generateKeyPair(): KeyPair {
  const { privateKey } = generateKeyPairSync('x25519');
  const der = privateKey.export({ format: 'der', type: 'pkcs8' });
  const secret = Uint8Array.from(der.subarray(-KEY_LENGTH));
  der.fill(0);
  const publicDer = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  return { privateKey: secret, publicKey: publicDer.subarray(-KEY_LENGTH).toString('base64') };
}
