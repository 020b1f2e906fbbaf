/**
 * WireGuard keys as Kubernetes carries them: standard base64 of 32 bytes.
 * Source: RFC 4648 §4; wg(8) for keys.
 * @module
 */

const KEY = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/;
const ZERO_KEY = `${'A'.repeat(43)}=`;

/** 32 bytes, not all of them zero. */
export const isKey = (text: string): boolean => KEY.test(text) && text !== ZERO_KEY;

/** The 32 bytes; for text that `isKey` has seen. */
export const keyBytes = (text: string): Uint8Array => {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
};

export const keyText = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes));
