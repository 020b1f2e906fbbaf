/**
 * `node scripts/differential.ts [--bytes N] [--seed N]`: the kernel's 256-bit code against its 128-bit code, packet by
 * packet, sealed and opened, and every hundredth against OpenSSL (node:crypto). Ends with 1 at the first difference, and
 * says what it was; else stores the count in bench/results/cipher-differential.json.
 * @module
 */
import { createCipheriv } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { describeMachine } from '../bench/machine.ts';
import { type Kernel, loadKernel } from '../src/aead/kernel.ts';
import { root } from './tree.ts';

const PAGES = 16;
const KEY = 32;
const TAG = 16;
const NONCE = 12;
const LONGEST = 65_535;
/** A full packet, and what is usual; one in fifty is of any length. */
const USUAL = 1520;
const POOL = 1 << 20;
const EVERY = 100;

const { values } = parseArgs({
  options: {
    bytes: { type: 'string', default: '1000000000' },
    seed: { type: 'string', default: '20261121' },
  },
});
const wanted = Number(values.bytes);
const seed = Number(values.seed) >>> 0;

/** xorshift32: the same sequence for the same seed, everywhere. */
let state = seed || 1;
function random(below: number): number {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % below;
}

class Side {
  readonly kernel: Kernel;
  readonly bytes: Buffer;
  readonly key: number;
  readonly plain: number;
  readonly sealed: number;
  readonly opened: number;

  constructor(simd: 128 | 256) {
    const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES, shared: true });
    this.kernel = loadKernel(memory, { crypto: 'wasm', simd });
    if (this.kernel.backend !== `wasm-${simd}`)
      throw new Error(`no ${simd}-bit code on this machine: ${this.kernel.refused.join('; ')}`);
    this.bytes = Buffer.from(memory.buffer);
    this.key = this.kernel.heapBase();
    this.plain = this.key + 64;
    this.sealed = this.plain + 66_000;
    this.opened = this.sealed + 66_000;
  }

  /** Seals and opens; false when it does not take back what it made. */
  run(key: Buffer, low: number, high: number, text: Buffer): boolean {
    this.bytes.set(key, this.key);
    this.bytes.set(text, this.plain);
    this.kernel.seal(this.key, low, high, this.plain, this.sealed, text.length);
    return this.kernel.open(this.key, low, high, this.sealed, this.opened, text.length) === 0;
  }

  result(length: number): Buffer {
    return this.bytes.subarray(this.sealed, this.sealed + length + TAG);
  }

  back(length: number): Buffer {
    return this.bytes.subarray(this.opened, this.opened + length);
  }
}

function byOpenssl(key: Buffer, low: number, high: number, text: Buffer): Buffer {
  const nonce = Buffer.alloc(NONCE);
  nonce.writeUInt32LE(low, 4);
  nonce.writeUInt32LE(high, 8);
  const cipher = createCipheriv('chacha20-poly1305', key, nonce, { authTagLength: TAG });
  return Buffer.concat([cipher.update(text), cipher.final(), cipher.getAuthTag()]);
}

const pool = Buffer.alloc(POOL);
for (let i = 0; i < POOL; i += 1) pool[i] = random(256);
const [narrow, wide] = [new Side(128), new Side(256)] as const;
const machine = describeMachine();
let [packets, bytes, sampled] = [0, 0, 0];
while (bytes < wanted) {
  const length = random(50) === 0 ? random(LONGEST + 1) : random(USUAL);
  const key = pool.subarray(random(POOL - KEY)).subarray(0, KEY);
  const text = pool.subarray(random(POOL - length)).subarray(0, length);
  const low = random(2 ** 32);
  const high = random(2 ** 32);
  const isTaken = narrow.run(key, low, high, text) && wide.run(key, low, high, text);
  const isSampled = packets % EVERY === 0;
  const isSame =
    isTaken &&
    narrow.result(length).equals(wide.result(length)) &&
    wide.back(length).equals(text) &&
    narrow.back(length).equals(text) &&
    (!isSampled || wide.result(length).equals(byOpenssl(key, low, high, text)));
  if (!isSame) {
    console.error(`packet ${packets} of seed ${seed} differs: ${length} bytes, counter ${high} ${low}`);
    process.exit(1);
  }
  packets += 1;
  bytes += length;
  if (isSampled) sampled += 1;
}
const result = {
  what: '256-bit against 128-bit code, sealed and opened; a sample against node:crypto',
  command: `node scripts/differential.ts --bytes ${wanted} --seed ${seed}`,
  machine,
  ...{ seed, packets, bytes, sampledAgainstNodeCrypto: sampled, differences: 0 },
};
const file = join(root, 'bench/results/cipher-differential.json');
writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
console.log(
  `${packets} packets of ${bytes} bytes are equal, ${sampled} of them to node:crypto's; stored in ${file}`,
);
