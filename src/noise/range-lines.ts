/**
 * The lines a large configuration is made of, `allowed_ip=ADDRESS/PREFIX`, from text to packed-prefixes.ts in one pass. It
 * takes what it is sure of and stops at everything else (a sign before the address, a dotted quad in IPv6, whatever is
 * wrong), which is read by ip.ts, whose grammar is the one that counts.
 * Source: wireguard.com/xplatform; RFC 4291 §2.2 (IPv6 text), RFC 4632 §3.1 (CIDR).
 * @module
 */
import { PACKED_ADDRESS, PACKED_PREFIX_SIZE } from './packed-prefixes.ts';

const NAME = Uint8Array.from('allowed_ip=', (letter) => letter.charCodeAt(0));
const NEWLINE = 0x0a;
const DOT = 0x2e;
const SLASH = 0x2f;
const ZERO = 0x30;
const COLON = 0x3a;
const GROUPS = 8;

export class RangeLines {
  /** Where the first line begins that was not taken. */
  next = 0;
  readonly #out: Uint8Array;

  /** `limit`: how many ranges one reading gives. */
  constructor(limit: number) {
    this.#out = new Uint8Array(limit * PACKED_PREFIX_SIZE);
  }

  /**
   * The ranges of the lines at `from`; `to` lies behind a newline. The array is lent until the next reading.
   *
   * One function of local variables: it runs a few thousand times in a program's life, mostly before V8 has compiled it.
   */
  read(bytes: Uint8Array, from: number, to: number): Uint8Array {
    const out = this.#out;
    let written = 0;
    this.next = from;
    while (this.next < to && written < out.length) {
      let at = this.next;
      for (let i = 0; i < NAME.length; i += 1, at += 1) {
        if (bytes[at] !== NAME[i]) return out.subarray(0, written);
      }
      let target = written + PACKED_ADDRESS;
      // A dot or a colon ends the first number.
      let mark = at;
      while (mark < at + 5 && bytes[mark] !== DOT && bytes[mark] !== COLON && bytes[mark] !== NEWLINE)
        mark += 1;
      const isIpv4 = bytes[mark] === DOT;
      if (isIpv4) {
        for (let octet = 0; octet < 4; octet += 1) {
          if (octet > 0) {
            if (bytes[at] !== DOT) return out.subarray(0, written);
            at += 1;
          }
          const start = at;
          let value = 0;
          for (let digit = (bytes[at] as number) - ZERO; digit >= 0 && digit <= 9; ) {
            value = 10 * value + digit;
            at += 1;
            if (at === start + 3) break;
            digit = (bytes[at] as number) - ZERO;
          }
          // RFC 6943 §3.1.1: "010" would mean eight to some.
          if (at === start || value > 255 || (at > start + 1 && bytes[start] === ZERO)) {
            return out.subarray(0, written);
          }
          out[target] = value;
          target += 1;
        }
      } else {
        let groups = 0;
        /** Groups before "::". */
        let gap = -1;
        if (bytes[at] === COLON && bytes[at + 1] === COLON) {
          gap = 0;
          at += 2;
        }
        for (;;) {
          const start = at;
          let value = 0;
          for (;;) {
            const code = bytes[at] as number;
            const letter = (code | 0x20) - 0x57;
            if (code >= ZERO && code <= 0x39) value = (value << 4) | (code - ZERO);
            else if (letter >= 10 && letter <= 15) value = (value << 4) | letter;
            else break;
            at += 1;
          }
          if (at === start) {
            // "::" may be the end; a single colon may not.
            if (gap !== groups) return out.subarray(0, written);
            break;
          }
          if (at > start + 4 || groups === GROUPS) return out.subarray(0, written);
          out[target + 2 * groups] = value >> 8;
          out[target + 2 * groups + 1] = value;
          groups += 1;
          if (bytes[at] !== COLON) break;
          at += 1;
          if (bytes[at] !== COLON) continue;
          if (gap >= 0) return out.subarray(0, written);
          gap = groups;
          at += 1;
        }
        if (gap < 0 ? groups !== GROUPS : groups === GROUPS) return out.subarray(0, written);
        if (gap >= 0) {
          // What follows the gap moves to the end, from behind so that nothing is overwritten.
          const moved = 2 * (groups - gap);
          for (let i = 1; i <= moved; i += 1) out[target + 16 - i] = out[target + 2 * groups - i] as number;
          for (let i = 2 * gap; i < 16 - moved; i += 1) out[target + i] = 0;
        }
      }
      if (bytes[at] !== SLASH) return out.subarray(0, written);
      at += 1;
      const start = at;
      let prefix = 0;
      for (let digit = (bytes[at] as number) - ZERO; digit >= 0 && digit <= 9; ) {
        prefix = 10 * prefix + digit;
        at += 1;
        if (at === start + 3) break;
        digit = (bytes[at] as number) - ZERO;
      }
      if (at === start || prefix > (isIpv4 ? 32 : 128) || (at > start + 1 && bytes[start] === ZERO)) break;
      if (bytes[at] !== NEWLINE) break;
      out[written] = isIpv4 ? 4 : 6;
      out[written + 1] = prefix;
      written += PACKED_PREFIX_SIZE;
      this.next = at + 1;
    }
    return out.subarray(0, written);
  }
}
