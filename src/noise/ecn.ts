/**
 * Explicit congestion notification through the tunnel: the outer packet may be marked on its way if the inner one may,
 * and the mark is carried over to the inner packet at the end.
 * Source: RFC 6040 §4, RFC 3168 §5, RFC 1624 (checksum); linux include/net/inet_ecn.h as WireGuard's kernel module uses
 * it: no DSCP is copied, and a mark on a packet that cannot take it is ignored.
 * @module
 */

const MASK = 3;
const ECT_0 = 2;
const CE = 3;

/** The ECN field of the outer header for the IP packet at `offset`. */
export function outerEcn(bytes: Uint8Array, offset: number): number {
  const second = bytes[offset + 1] as number;
  const inner = ((bytes[offset] as number) >>> 4 === 4 ? second : second >>> 4) & MASK;
  return inner === CE ? ECT_0 : inner;
}

/** The IP packet at `offset` met congestion: it says so from now on, if its transport can take it. */
export function markCongestion(bytes: Uint8Array, offset: number): void {
  const second = bytes[offset + 1] as number;
  if ((bytes[offset] as number) >>> 4 !== 4) {
    const ecn = (second >>> 4) & MASK;
    if (ecn !== 0) bytes[offset + 1] = second | (CE << 4);
    return;
  }
  if ((second & MASK) === 0 || (second & MASK) === CE) return;
  bytes[offset + 1] = second | CE;
  // The header's first word grew by this much, so its checksum shrinks by it, in one's complement.
  const grown = (second | CE) - second;
  let sum = (((bytes[offset + 10] as number) << 8) | (bytes[offset + 11] as number)) - grown;
  if (sum < 0) sum += 0xffff;
  bytes[offset + 10] = sum >>> 8;
  bytes[offset + 11] = sum & 0xff;
}
