/**
 * Keys of a client, made in the browser: the private one is put into the file that is shown, and goes nowhere else.
 * Source: RFC 7748 (X25519; clamping as wg genkey does it).
 * @module
 */
import { x25519 } from '@noble/curves/ed25519.js';

export interface ClientKeys {
  /** Base64, both. */
  readonly privateKey: string;
  readonly publicKey: string;
}

const base64 = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes));

const random32 = (): Uint8Array => crypto.getRandomValues(new Uint8Array(32));

/** `random`: 32 bytes. */
export const keysFrom = (random: Uint8Array): ClientKeys => {
  const secret = Uint8Array.from(random);
  secret[0] = (secret[0] ?? 0) & 248;
  secret[31] = ((secret[31] ?? 0) & 127) | 64;
  const keys = { privateKey: base64(secret), publicKey: base64(x25519.getPublicKey(secret)) };
  secret.fill(0);
  return keys;
};

export const newKeys = (): ClientKeys => keysFrom(random32());

export const newPresharedKey = (): string => base64(random32());

/** Stands in a file from the server where the private key belongs. */
const PLACEHOLDER = /^(PrivateKey\s*=\s*)PRIVATE_KEY$/m;

/** @throws Error when there is no place for it. */
export const withPrivateKey = (file: string, privateKey: string): string => {
  if (!PLACEHOLDER.test(file)) throw new Error('The file has no place for a private key.');
  return file.replace(PLACEHOLDER, (_line, start: string) => start + privateKey);
};
