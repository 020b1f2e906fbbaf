/**
 * Typed arrays that grow: tables indexed by peer start small and double, so that ten peers cost what ten peers need.
 * Growth happens when a peer is added, never on the packet path.
 * @module
 */

/** The next capacity that holds `needed` entries: doubling, so that adding n entries copies O(n) in all. */
export function grownCapacity(capacity: number, needed: number): number {
  let next = Math.max(capacity, 16);
  while (next < needed) next *= 2;
  return next;
}

/** A longer copy; entries beyond the old ones hold `fill`. */
export function growInt32(old: Int32Array, length: number, fill: number): Int32Array<ArrayBuffer> {
  const grown = new Int32Array(length);
  grown.set(old);
  if (fill !== 0) grown.fill(fill, old.length);
  return grown;
}

/** A longer copy; entries beyond the old ones hold `fill`. */
export function growFloat64(old: Float64Array, length: number, fill: number): Float64Array<ArrayBuffer> {
  const grown = new Float64Array(length);
  grown.set(old);
  if (fill !== 0) grown.fill(fill, old.length);
  return grown;
}
