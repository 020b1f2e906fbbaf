/**
 * Text as the C library and the kernel want it: with a 0 at its end.
 * @module
 */

export function cString(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\0`);
}
