/**
 * Compiles the AssemblyScript kernel to dist/kernel.wasm.
 * -O1 and not -O3: binaryen's -O3 reorders operands so that V8 can no longer join 128-bit pairs into 256-bit ones.
 * @module
 */
import { join } from 'node:path';
import { root, run } from './tree.ts';

export async function buildKernel(): Promise<void> {
  run(join(root, 'node_modules/.bin/asc'), [
    'src/aead/kernel/index.ts',
    '-O1',
    '--noAssert',
    '--runtime',
    'stub',
    '--enable',
    'simd,threads,bulk-memory',
    '--sharedMemory',
    '--importMemory',
    '--initialMemory',
    '2',
    '--maximumMemory',
    '65536',
    '--outFile',
    'dist/kernel.wasm',
    '--textFile',
    'dist/kernel.wat',
  ]);
}
