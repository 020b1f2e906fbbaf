/**
 * Keys in base64, as people and configuration files write them.
 * Source: RFC 4648 §4; wg(8) genkey.
 * @module
 */

/** 32 bytes in base64: 43 digits and one sign; the last digit holds four bits, so it is one of sixteen. */
const BASE64_KEY = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/;

/** A key as wg(8) writes it, or null. */
export function parseBase64Key(text: string): Uint8Array | null {
  if (!BASE64_KEY.test(text)) return null;
  return Uint8Array.from(atob(text), (digit) => digit.charCodeAt(0));
}

/** As `wg genkey` prints it, and as logs must not show it when it is private. */
export function formatBase64Key(key: Uint8Array): string {
  return btoa(String.fromCharCode(...key));
}
