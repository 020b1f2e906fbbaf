/**
 * The lines a large configuration is made of, `allowed_ip=ADDRESS/PREFIX`, read from bytes to bytes. It takes what it is
 * sure of and leaves everything else (a sign before the address, a dotted quad in IPv6, whatever is wrong) to ip.ts,
 * whose grammar is the one that counts.
 * Source: wireguard.com/xplatform; RFC 4291 §2.2 (IPv6 text), RFC 4632 §3.1 (CIDR).
 * @module
 */
import type { Cidr } from './ip.ts';

const NAME = Uint8Array.from('allowed_ip=', (letter) => letter.charCodeAt(0));
const NEWLINE = 0x0a;
const DOT = 0x2e;
const SLASH = 0x2f;
const ZERO = 0x30;
const COLON = 0x3a;
const GROUPS = 8;

export class RangeReader {
  readonly #v4 = new Uint8Array(4);
  readonly #v6 = new Uint8Array(16);
  readonly #range = { address: this.#v4, prefix: 0 };
  #bytes: Uint8Array = this.#v4;
  #at = 0;

  /** The range read last, lent until the next. Host bits are as written. */
  get range(): Cidr {
    return this.#range;
  }

  /** Reads one line at `from`, whose newline is there; the place behind it, or -1 when it is none of ours. */
  read(bytes: Uint8Array, from: number): number {
    for (let i = 0; i < NAME.length; i += 1) if (bytes[from + i] !== NAME[i]) return -1;
    this.#bytes = bytes;
    const start = from + NAME.length;
    this.#at = start;
    // Nothing of IPv6 looks like "255." at its beginning, and nothing of IPv4 like anything else.
    if (this.#readIpv4()) this.#range.address = this.#v4;
    else {
      this.#at = start;
      if (!this.#readIpv6()) return -1;
      this.#range.address = this.#v6;
    }
    if (bytes[this.#at] !== SLASH) return -1;
    this.#at += 1;
    const prefix = this.#decimal(8 * this.#range.address.length);
    if (prefix < 0 || bytes[this.#at] !== NEWLINE) return -1;
    this.#range.prefix = prefix;
    return this.#at + 1;
  }

  /** No leading zeros. -1: no number, or one above `max`, which has three digits at most. */
  #decimal(max: number): number {
    const start = this.#at;
    let value = 0;
    for (; this.#at - start < 4; this.#at += 1) {
      const digit = (this.#bytes[this.#at] ?? 0) - ZERO;
      if (digit < 0 || digit > 9) break;
      value = 10 * value + digit;
    }
    const length = this.#at - start;
    if (length === 0 || value > max || (length > 1 && this.#bytes[start] === ZERO)) return -1;
    return value;
  }

  #readIpv4(): boolean {
    for (let i = 0; i < 4; i += 1) {
      if (i > 0) {
        if (this.#bytes[this.#at] !== DOT) return false;
        this.#at += 1;
      }
      const octet = this.#decimal(255);
      if (octet < 0) return false;
      this.#v4[i] = octet;
    }
    return true;
  }

  #readIpv6(): boolean {
    const target = this.#v6;
    let groups = 0;
    /** Groups before "::". */
    let gap = -1;
    if (this.#bytes[this.#at] === COLON && this.#bytes[this.#at + 1] === COLON) {
      gap = 0;
      this.#at += 2;
    }
    for (;;) {
      const group = this.#hexadecimal();
      if (group < 0) {
        // "::" may be the end; a single colon may not.
        if (gap !== groups) return false;
        break;
      }
      if (groups === GROUPS) return false;
      target[2 * groups] = group >> 8;
      target[2 * groups + 1] = group;
      groups += 1;
      if (this.#bytes[this.#at] !== COLON) break;
      this.#at += 1;
      if (this.#bytes[this.#at] !== COLON) continue;
      if (gap >= 0) return false;
      gap = groups;
      this.#at += 1;
    }
    if (gap < 0) return groups === GROUPS;
    if (groups === GROUPS) return false;
    const moved = 2 * (groups - gap);
    target.copyWithin(16 - moved, 2 * gap, 2 * groups);
    target.fill(0, 2 * gap, 16 - moved);
    return true;
  }

  /** Up to four digits; -1: there is none, or one too many. */
  #hexadecimal(): number {
    const start = this.#at;
    let value = 0;
    for (; this.#at - start < 5; this.#at += 1) {
      const code = this.#bytes[this.#at] ?? 0;
      const lower = code | 0x20;
      const digit =
        code >= ZERO && code <= 0x39 ? code - ZERO : lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
      if (digit < 0) break;
      value = 16 * value + digit;
    }
    const length = this.#at - start;
    return length === 0 || length > 4 ? -1 : value;
  }
}
