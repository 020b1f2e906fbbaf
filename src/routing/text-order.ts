/**
 * The order in which every agent of a mesh sorts names, locations and CIDR texts.
 * Source: Kilo sorts with Go's string comparison, which compares UTF-8 bytes (docs/topology). JavaScript's `<`
 * compares UTF-16 code units; the two differ only once a surrogate pair meets U+E000..U+FFFF.
 * @module
 */

/** Negative, zero or positive, as the UTF-8 bytes of `a` sort before, with or after those of `b`. */
export const compareText = (a: string, b: string): number => {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return codePointRank(x) - codePointRank(y);
  }
  return a.length - b.length;
};

/** Surrogates stand for code points above U+FFFF, so they rank above every other unit. */
const codePointRank = (unit: number): number => {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
};

/** A comparator by name, for `toSorted`. */
export const byName = (a: { readonly name: string }, b: { readonly name: string }): number =>
  compareText(a.name, b.name);
