/**
 * The Internet checksum said slowly, word by word. RFC 1071 §1; pseudo-headers: RFC 9293 §3.1, RFC 768, RFC 8200 §8.1.
 * @module
 */

/** The 16-bit one's-complement sum of the bytes as big-endian words, not inverted. */
export function naiveSum(bytes: Uint8Array, initial = 0): number {
  let sum = initial;
  for (let at = 0; at < bytes.length; at += 2) {
    sum += (bytes[at]! << 8) | (bytes[at + 1] ?? 0);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return sum;
}

export function naivePseudo(packet: Uint8Array, protocol: number, length: number): number {
  const v6 = packet[0]! >> 4 === 6;
  const addresses = v6 ? packet.subarray(8, 40) : packet.subarray(12, 20);
  return naiveSum(
    Uint8Array.of(0, protocol, length >>> 24, length >>> 16, length >>> 8, length),
    naiveSum(addresses),
  );
}

/** What a receiver checks: RFC 791's header checksum and the transport's own. Not for extension headers. */
export function checksumsHold(packet: Uint8Array): boolean {
  const v6 = packet[0]! >> 4 === 6;
  const ipHeader = v6 ? 40 : (packet[0]! & 15) * 4;
  if (!v6 && naiveSum(packet.subarray(0, ipHeader)) !== 0xffff) return false;
  const protocol = v6 ? packet[6]! : packet[9]!;
  const transport = packet.subarray(ipHeader);
  if (protocol === 17 && transport[6] === 0 && transport[7] === 0) return false;
  return naiveSum(transport, naivePseudo(packet, protocol, transport.length)) === 0xffff;
}
