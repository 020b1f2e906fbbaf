/**
 * Poly1305 as RFC 8439 §2.5.1 writes it down, in whole numbers.
 * @module
 */
const P = 2n ** 130n - 5n;

export function littleEndian(bytes: Uint8Array): bigint {
  return bytes.reduceRight((sum, byte) => sum * 256n + BigInt(byte), 0n);
}

export function toBytes(value: bigint, length: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, i) => Number((value >> BigInt(8 * i)) & 255n)));
}

export function poly1305(key: Uint8Array, message: Uint8Array): Buffer {
  const r = littleEndian(key.subarray(0, 16)) & 0x0ffffffc0ffffffc0ffffffc0fffffffn;
  const s = littleEndian(key.subarray(16, 32));
  let h = 0n;
  for (let i = 0; i < message.length; i += 16) {
    const block = message.subarray(i, i + 16);
    h = ((h + littleEndian(block) + 2n ** BigInt(8 * block.length)) * r) % P;
  }
  return toBytes((h + s) % 2n ** 128n, 16);
}

/** The tag RFC 8439 §2.8 asks for when there is no additional data: over the padded message and both lengths. */
export function tagOf(key: Uint8Array, ciphertext: Uint8Array): Buffer {
  const padded = Buffer.alloc(Math.ceil(ciphertext.length / 16) * 16 + 16);
  padded.set(ciphertext);
  padded.writeUInt32LE(ciphertext.length, padded.length - 8);
  return poly1305(key, padded);
}
