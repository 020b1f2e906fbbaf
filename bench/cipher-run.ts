/**
 * Microseconds to seal and open 1424 bytes, the best of many short runs: `cipher-run.ts ours`, or `cipher-run.ts plain FILE`
 * for the plain kernel, compiled to FILE.
 * @module
 */
import { readFileSync } from 'node:fs';
import { loadKernel } from '../src/aead/kernel.ts';

const LENGTH = 1424;
const RUNS = 40;
const CALLS = 2000;

interface Cipher {
  seal(key: number, low: number, high: number, from: number, to: number, length: number): void;
  open(key: number, low: number, high: number, from: number, to: number, length: number): number;
}

const [which, file = ''] = process.argv.slice(2);

function load(): { cipher: Cipher; at: number } {
  if (which === 'ours') {
    const memory = new WebAssembly.Memory({ initial: 64, maximum: 64, shared: true });
    const cipher = loadKernel(memory, { crypto: 'wasm', simd: 256 });
    return { cipher, at: cipher.heapBase() };
  }
  const memory = new WebAssembly.Memory({ initial: 64 } as ConstructorParameters<
    typeof WebAssembly.Memory
  >[0]);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(file)), {
    env: { memory },
  });
  return { cipher: exports as unknown as Cipher, at: 65_536 };
}

const { cipher, at } = load();
const [key, plain, sealed, opened] = [at, at + 4096, at + 8192, at + 12_288];
let best = Number.POSITIVE_INFINITY;
for (let run = 0; run < RUNS; run += 1) {
  const began = performance.now();
  for (let call = 0; call < CALLS; call += 1) {
    cipher.seal(key, call, 0, plain, sealed, LENGTH);
    if (cipher.open(key, call, 0, sealed, opened, LENGTH) !== 0)
      throw new Error('what was sealed does not open');
  }
  best = Math.min(best, ((performance.now() - began) * 1000) / CALLS);
}
console.log(String(best));
