/**
 * The Internet checksum, alone and folded into a copy, 64 bytes a step.
 * RFC 1071: the sum does not care for byte order, so words are added as this machine reads them and the result is
 * stored the same way. Inside the kernel a sum is an unfolded u64; `fold` makes 16 bits of it.
 *
 * A vector of eight u16 words is turned to signed by flipping the top bits (each word loses 2^15), so that one
 * multiply-add (i32x4.dot_i16x8_s by ones) adds neighbours; what was taken away is given back once at the end.
 * A lane moves by less than 2^16 per step and direction: 2^15 steps, half a mebibyte, fit into 32 bits.
 * @module
 */

const FLIP: i16 = -0x8000;

@inline
export function load16be(p: usize): u32 {
  return <u32>bswap<u16>(load<u16>(p));
}

@inline
export function store16be(p: usize, v: u32): void {
  store<u16>(p, bswap<u16>(<u16>v));
}

@inline
export function load32be(p: usize): u32 {
  return bswap<u32>(load<u32>(p));
}

@inline
export function store32be(p: usize, v: u32): void {
  store<u32>(p, bswap<u32>(v));
}

/** 16-bit one's-complement sum of an accumulator; 0 only when every word was 0. */
export function fold(acc: u64): u32 {
  const x = (acc & 0xffffffff) + (acc >> 32);
  let y = <u32>(x & 0xffff) + <u32>((x >> 16) & 0xffff) + <u32>(x >> 32);
  y = (y & 0xffff) + (y >> 16);
  return (y & 0xffff) + (y >> 16);
}

@inline
function words(v: v128): v128 {
  return i32x4.dot_i16x8_s(v128.xor(v, i16x8.splat(FLIP)), i16x8.splat(1));
}

/** Sum of the lanes, with 8 × 2^15 given back for each of `count` vectors. */
@inline
function unflip(sum: v128, count: usize): u64 {
  const wide = i64x2.add(i64x2.extend_low_i32x4_s(sum), i64x2.extend_high_i32x4_s(sum));
  return <u64>(i64x2.extract_lane(wide, 0) + i64x2.extract_lane(wide, 1)) + ((<u64>count) << 18);
}

/** The last `rest` (1–15) bytes of `v` moved to its front, zeros behind them. */
@inline
function lastBytes(v: v128, rest: usize): v128 {
  return i8x16.swizzle(
    v,
    i8x16.add(i8x16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), i8x16.splat(<i8>(16 - rest))),
  );
}

/** Adds the words of `n` bytes at `p` to `acc`. An odd last byte counts as if a zero followed. */
export function sumBytes(p: usize, n: usize, acc: u64): u64 {
  if (n >= 16) {
    let a = i32x4.splat(0);
    let b = i32x4.splat(0);
    const end = p + n;
    const vectors = (n + 15) >> 4;
    while (n >= 64) {
      a = i32x4.add(i32x4.add(a, words(v128.load(p))), words(v128.load(p, 32)));
      b = i32x4.add(i32x4.add(b, words(v128.load(p, 16))), words(v128.load(p, 48)));
      p += 64;
      n -= 64;
    }
    while (n >= 16) {
      a = i32x4.add(a, words(v128.load(p)));
      p += 16;
      n -= 16;
    }
    if (n) b = i32x4.add(b, words(lastBytes(v128.load(end - 16), n)));
    return acc + unflip(i32x4.add(a, b), vectors);
  }
  if (n >= 8) {
    const x = load<u64>(p);
    acc += (x & 0xffffffff) + (x >> 32);
    p += 8;
  }
  if (n & 4) {
    acc += <u64>load<u32>(p);
    p += 4;
  }
  if (n & 2) {
    acc += <u64>load<u16>(p);
    p += 2;
  }
  if (n & 1) acc += <u64>load<u8>(p);
  return acc;
}

/**
 * Copies `n` bytes and adds their words to `acc`, reading each byte once. Reads and writes exactly the `n` bytes: a
 * rest below 16 is copied by a vector that ends with it. The areas must not overlap.
 */
export function copySum(dst: usize, src: usize, n: usize, acc: u64): u64 {
  if (n >= 16) {
    let a = i32x4.splat(0);
    let b = i32x4.splat(0);
    const srcLast = src + n - 16;
    const dstLast = dst + n - 16;
    const vectors = (n + 15) >> 4;
    while (n >= 64) {
      const v0 = v128.load(src);
      const v1 = v128.load(src, 16);
      const v2 = v128.load(src, 32);
      const v3 = v128.load(src, 48);
      v128.store(dst, v0);
      v128.store(dst, v1, 16);
      v128.store(dst, v2, 32);
      v128.store(dst, v3, 48);
      a = i32x4.add(i32x4.add(a, words(v0)), words(v2));
      b = i32x4.add(i32x4.add(b, words(v1)), words(v3));
      src += 64;
      dst += 64;
      n -= 64;
    }
    while (n >= 16) {
      const v = v128.load(src);
      v128.store(dst, v);
      a = i32x4.add(a, words(v));
      src += 16;
      dst += 16;
      n -= 16;
    }
    if (n) {
      const v = v128.load(srcLast);
      v128.store(dstLast, v);
      b = i32x4.add(b, words(lastBytes(v, n)));
    }
    return acc + unflip(i32x4.add(a, b), vectors);
  }
  if (n >= 8) {
    const x = load<u64>(src);
    store<u64>(dst, x);
    acc += (x & 0xffffffff) + (x >> 32);
    src += 8;
    dst += 8;
  }
  if (n & 4) {
    const x = load<u32>(src);
    store<u32>(dst, x);
    acc += <u64>x;
    src += 4;
    dst += 4;
  }
  if (n & 2) {
    const x = load<u16>(src);
    store<u16>(dst, x);
    acc += <u64>x;
    src += 2;
    dst += 2;
  }
  if (n & 1) {
    const x = load<u8>(src);
    store<u8>(dst, x);
    acc += <u64>x;
  }
  return acc;
}

/** Copies exactly `n` bytes between areas that do not overlap. Inline vectors: memory.copy leaves WebAssembly. */
export function copyBytes(dst: usize, src: usize, n: usize): void {
  if (n >= 16) {
    const srcLast = src + n - 16;
    const dstLast = dst + n - 16;
    while (n >= 64) {
      const v0 = v128.load(src);
      const v1 = v128.load(src, 16);
      const v2 = v128.load(src, 32);
      const v3 = v128.load(src, 48);
      v128.store(dst, v0);
      v128.store(dst, v1, 16);
      v128.store(dst, v2, 32);
      v128.store(dst, v3, 48);
      src += 64;
      dst += 64;
      n -= 64;
    }
    while (n > 16) {
      v128.store(dst, v128.load(src));
      src += 16;
      dst += 16;
      n -= 16;
    }
    v128.store(dstLast, v128.load(srcLast));
    return;
  }
  if (n & 8) {
    store<u64>(dst, load<u64>(src));
    src += 8;
    dst += 8;
  }
  if (n & 4) {
    store<u32>(dst, load<u32>(src));
    src += 4;
    dst += 4;
  }
  if (n & 2) {
    store<u16>(dst, load<u16>(src));
    src += 2;
    dst += 2;
  }
  if (n & 1) store<u8>(dst, load<u8>(src));
}

/** RFC 9293 §3.1, RFC 768, RFC 8200 §8.1: sum of the pseudo-header of the packet at `ip`, `length` of transport bytes. */
export function pseudoSum(ip: usize, v6: bool, protocol: u32, length: u32): u64 {
  const tail = <u64>(protocol << 8) + <u64>bswap<u32>(length);
  if (v6) return sumBytes(ip + 8, 32, tail);
  const addresses = load<u64>(ip, 12);
  return (addresses & 0xffffffff) + (addresses >> 32) + tail;
}

/** Writes the header checksum of the IPv4 header at `ip` (RFC 791 §3.1). */
export function writeHeaderChecksum(ip: usize, headerLength: usize): void {
  store<u16>(ip, 0, 10);
  store<u16>(ip, <u16>~fold(sumBytes(ip, headerLength, 0)), 10);
}

/** For tests and tools: the folded sum of `n` bytes, not complemented, and `initial`, as big-endian values. */
export function checksum(p: usize, n: usize, initial: u32): u32 {
  return <u32>bswap<u16>(<u16>fold(sumBytes(p, n, <u64>bswap<u32>(initial))));
}
