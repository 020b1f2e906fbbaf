/**
 * Loads the WASM kernel into the shared memory, tests it, and falls back when it does not hold:
 * from 256-bit code to 128-bit, from there to noble.
 *
 * 256-bit code is V8's doing: `--experimental-wasm-revectorize` joins pairs of equal 128-bit chains. The flag counts
 * when a function is compiled, so it is set here, in the worker that will run the kernel. So is `--no-liftoff`: the
 * self-test has to run the code that will carry the packets, not a baseline that is replaced later.
 * @module
 */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { createForeignCipher } from './noble.ts';
import { SELF_TEST_BYTES, selfTest } from './self-test.ts';

/** The functions of dist/kernel.wasm. Addresses are byte offsets in the shared memory. */
export interface KernelExports {
  /** First byte above the kernel's own data, a multiple of 64 KiB. */
  heapBase(): number;
  /** 0: the kernel's cipher; 1: the imported one (noble). */
  selectCipher(mode: 0 | 1): void;
  /** Writes `len` bytes of ciphertext, then the 16 bytes of the tag. `src` and `dst` are equal or disjoint. */
  seal(key: number, ctrLo: number, ctrHi: number, src: number, dst: number, len: number): void;
  /** 0 and the plaintext, or -1 and nothing written. `src` holds `len` bytes and the tag. */
  open(key: number, ctrLo: number, ctrHi: number, src: number, dst: number, len: number): 0 | -1;

  /** What a mac's key of 1 to 32 bytes is kept as: MAC_KEY_SIZE bytes at `state`. As secret as the key. */
  macBegin(key: number, keyLen: number, state: number): void;
  /** Mac(key, message): 16 bytes of keyed BLAKE2s to `out`. `len` is at least 1. */
  mac(state: number, src: number, len: number, out: number): void;
  /** 1 when the 16 bytes at `expected` are that, else 0; in a time that depends on the length only. */
  macHolds(state: number, src: number, len: number, expected: number): 0 | 1;
  /** Hash(message): 32 bytes of BLAKE2s to `out`. */
  hash(src: number, len: number, out: number): void;
  /** Hmac(key, message): 32 bytes to `out`; the key has at most 64. */
  hmac(key: number, keyLen: number, src: number, len: number, out: number): void;
  /** Aead with counter 0 in place: at `at` are 32 bytes of additional data, `len` ≤ 64 of text, and room for the tag. */
  sealField(key: number, at: number, len: number): void;
  /** 0 and the plaintext in place, or -1 and nothing changed. */
  openField(key: number, at: number, len: number): 0 | -1;
  /** Xaead of a cookie reply: 16 bytes and their tag to `out`; `nonce` has 24 bytes, `mac1` is authenticated with it. */
  sealCookie(key: number, nonce: number, cookie: number, mac1: number, out: number): void;
  /** Forgets what the last packets left in the kernel's working memory. To be called when keys are erased. */
  wipe(): void;
  /** Poly1305 over `len` bytes and their length block; `key` is 32 bytes, the tag goes to `out`. For tests. */
  authenticate(key: number, src: number, len: number, out: number): void;

  // packets: checksum, segment, coalesce
  /** Folded one's-complement sum of `len` bytes and `initial`, big endian, not inverted. For tests and tools. */
  checksum(p: number, len: number, initial: number): number;
  /**
   * Checks a TUN read (virtio header first, `len` bytes in all) and plans its segments: their number, ≥ 1, or a drop of
   * packet-drops.ts. Details at `planAddress()`, as i32: segments, wire size of each but the last, of the last, of all
   * together, IP version, virtio gso type (0: a single packet). The read must stay in place until it is sealed.
   */
  plan(read: number, len: number, mtu: number): number;
  planAddress(): number;
  /** Seals segments `first` to `first + count - 1` one after the other; the first has the counter given. Bytes written. */
  sealPlanned(
    key: number,
    receiver: number,
    ctrLo: number,
    ctrHi: number,
    first: number,
    count: number,
    out: number,
  ): number;
  /** Writes segment `i` of the plan unsealed, as a TUN read of its own with a zero virtio header. Bytes written; 0: none. */
  cutSegment(i: number, out: number): number;
  /** Seals an IP packet that has no virtio header. Bytes written, or DROP_LONG. */
  sealPacket(
    key: number,
    receiver: number,
    ctrLo: number,
    ctrHi: number,
    ip: number,
    len: number,
    mtu: number,
    out: number,
  ): number;
  /** Seals a keepalive. Returns 32. */
  sealEmpty(key: number, receiver: number, ctrLo: number, ctrHi: number, out: number): number;
  /** The length of a decrypted packet without its padding, or a drop. */
  innerLength(ip: number, len: number): number;
  /**
   * Empties the set of items to write. `slots` holds `maxSlots` times `stride` bytes; at most 256 slots are used.
   * Stride: 65,600 takes every packet and does not put all slots on the same cache lines. Options: GRO_… of
   * packet-drops.ts, added up.
   */
  groBegin(slots: number, stride: number, maxSlots: number, options: number): void;
  /** Adds a decrypted packet, by copy. 0, GRO_FULL (flush, then add it again) or DROP_LONG. */
  groAdd(ip: number, len: number): number;
  /** Writes the virtio headers and returns the number of items; item i lies at slots + i × stride. */
  groFinish(): number;
  /** Address of the items' lengths, u32 each, virtio header included. To take a refused item apart: plan and cutSegment. */
  groLengths(): number;
  // end of packets
}

export interface Kernel extends KernelExports {
  /** What runs after all fall-backs. */
  readonly backend: Backend;
  /** Why each better backend was passed over, in order; empty when the wish was met. */
  readonly refused: readonly string[];
}

/** Bytes of a mac's key as `macBegin` leaves it. */
export const MAC_KEY_SIZE = 48;

export type Backend = 'wasm-256' | 'wasm-128' | 'noble';

export interface KernelOptions {
  readonly crypto: 'wasm' | 'noble';
  readonly simd: 128 | 256;
}

export class KernelError extends Error {
  readonly code: 'ERR_KERNEL_MISSING' | 'ERR_KERNEL_MEMORY' | 'ERR_KERNEL_WRONG';

  constructor(code: KernelError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'KernelError';
    this.code = code;
  }
}

/**
 * Compiles, links and tests the kernel. The memory is shared, and one kernel alone computes in it: linking it resets
 * everything below `heapBase()`, and the test writes over the first 16 KiB above.
 */
export function loadKernel(memory: WebAssembly.Memory, options: KernelOptions, test = selfTest): Kernel {
  const wasm = readKernel();
  const refused: string[] = [];
  for (const backend of candidates(options, refused)) {
    const exports = instantiate(wasm, memory, backend);
    exports.selectCipher(backend === 'noble' ? 1 : 0);
    const kernel: Kernel = { ...exports, backend, refused };
    const space = kernel.heapBase();
    if (memory.buffer.byteLength < space + SELF_TEST_BYTES)
      throw new KernelError(
        'ERR_KERNEL_MEMORY',
        `the memory has ${memory.buffer.byteLength} bytes; the kernel needs ${space + SELF_TEST_BYTES}`,
      );
    const fault = test(kernel, memory, space);
    if (fault === null) return kernel;
    refused.push(`${backend}: ${fault}`);
  }
  throw new KernelError(
    'ERR_KERNEL_WRONG',
    `no cipher passed its self-test on this machine (${refused.join('; ')}); run "npm ci" again, and report it if that does not help`,
  );
}

/** What a handshake needs of the kernel. */
export type HandshakeKernel = Pick<
  KernelExports,
  'heapBase' | 'hash' | 'hmac' | 'macBegin' | 'mac' | 'sealField' | 'openField'
>;

/**
 * The kernel in a memory of its own for the thread of the handshakes, which does not run the rest: each function is
 * compiled when it is first called. Whoever calls it tries it with known answers first.
 */
export const loadHandshakeKernel = (memory: WebAssembly.Memory): HandshakeKernel =>
  link(new WebAssembly.Module(readKernel()), memory);

/**
 * Only the V8 it was tested with, that of Node 24: Node 20 does not know the flag, and Node 22 ends the whole process in
 * the middle of compiling, where no self-test can help.
 */
export const revectorizes = (v8: string): boolean => v8.startsWith('13.6.');

const hasRevectorizer = revectorizes(process.versions.v8);

/** Best first. */
function candidates(options: KernelOptions, refused: string[]): Backend[] {
  if (options.crypto === 'noble') return ['noble'];
  if (options.simd === 128) return ['wasm-128', 'noble'];
  if (hasRevectorizer && hasAvx2()) return ['wasm-256', 'wasm-128', 'noble'];
  refused.push(
    `wasm-256: ${hasRevectorizer ? 'this processor has no AVX2' : 'it is tested with Node 24 only'}`,
  );
  return ['wasm-128', 'noble'];
}

function hasAvx2(): boolean {
  if (process.arch !== 'x64') return false;
  try {
    return /^flags\s*:.*\bavx2\b/m.test(readFileSync('/proc/cpuinfo', 'latin1'));
  } catch {
    return false;
  }
}

/** Beside the bundle or one above its chunks; in the working tree, in dist/. */
function readKernel(): Uint8Array<ArrayBuffer> {
  for (const place of ['./kernel.wasm', '../kernel.wasm', '../../dist/kernel.wasm']) {
    const path = fileURLToPath(new URL(place, import.meta.url));
    if (existsSync(path)) return new Uint8Array(readFileSync(path));
  }
  throw new KernelError('ERR_KERNEL_MISSING', 'dist/kernel.wasm is not there; build it with "npm run build"');
}

function instantiate(wasm: Uint8Array, memory: WebAssembly.Memory, backend: Backend): KernelExports {
  if (backend === 'wasm-256') setFlagsFromString('--experimental-wasm-revectorize');
  setFlagsFromString('--no-liftoff');
  setFlagsFromString('--no-wasm-lazy-compilation');
  try {
    return link(new WebAssembly.Module(tagged(wasm, backend)), memory);
  } catch (cause) {
    throw new KernelError(
      'ERR_KERNEL_MEMORY',
      'dist/kernel.wasm does not fit this memory: it must be shared and of 2 to 65536 pages; or build the kernel again with "npm run build"',
      { cause },
    );
  } finally {
    // All of it is compiled by now; modules that others load stay as they were.
    setFlagsFromString('--liftoff');
    setFlagsFromString('--wasm-lazy-compilation');
    if (hasRevectorizer) setFlagsFromString('--no-experimental-wasm-revectorize');
  }
}

function link(module: WebAssembly.Module, memory: WebAssembly.Memory): KernelExports {
  const foreign = createForeignCipher(memory);
  const abort = () => {
    throw new KernelError('ERR_KERNEL_WRONG', 'the kernel stopped itself; report this as a fault');
  };
  const instance = new WebAssembly.Instance(module, { env: { memory, abort, ...foreign } });
  return instance.exports as unknown as KernelExports;
}

/**
 * The same module with a custom section naming the backend: V8 keeps compiled code by the bytes of the module, whatever
 * the flags were, and would hand the refused 256-bit code to the 128-bit attempt.
 */
function tagged(wasm: Uint8Array, backend: Backend): Uint8Array<ArrayBuffer> {
  const name = Buffer.from(backend, 'latin1');
  const out = new Uint8Array(wasm.length + 3 + name.length);
  out.set(wasm);
  out.set([0, name.length + 1, name.length], wasm.length);
  out.set(name, wasm.length + 3);
  return out;
}
