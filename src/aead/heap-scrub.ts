/**
 * Makes V8 forget what nobody refers to any more: BigInts, strings and short arrays, which cannot be wiped or have been
 * moved, and which @noble computes with. The young generation is filled with zeros; then a collection of the kind that
 * gives memory back zeroes or discards what is free in the old one (`--zero-unused-memory`). It takes some tens of
 * milliseconds, so it is only for where @noble does all the cryptography. SECURITY.md says what it is good for.
 * @module
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Twice both halves of V8's young generation at its largest. */
const YOUNG = 96 << 20;
const PIECE = 4096;

let collect: (() => void) | undefined;

function collector(): () => void {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as (how: object) => void;
  return () => gc({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}

/** Overwrites both halves of the young generation, as far as nothing in them lives. */
function fillYoung(): void {
  let last: unknown[] = [];
  for (let filled = 0; filled < YOUNG; filled += PIECE) last = new Array(PIECE / 8).fill(last.length & 0);
}

/** A full collection that gives memory back to the system: tens of milliseconds. */
export function collectGarbage(): void {
  collect ??= collector();
  collect();
}

export function scrubHeap(): void {
  setFlagsFromString('--zero-unused-memory');
  // First where it is, for a collection may give pages away as they are; then what the collection has moved from.
  fillYoung();
  collectGarbage();
  fillYoung();
  collectGarbage();
}
