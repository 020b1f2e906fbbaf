/**
 * The kernel is written so that V8 joins its pairs of vectors; an innocent change of the source can lose that without any
 * wrong result. V8 says what it joined: `--trace-wasm-revectorize`.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const kernel = fileURLToPath(new URL('../../../dist/kernel.wasm', import.meta.url));
const hasAvx2 = process.arch === 'x64' && / avx2 /.test(readFileSync('/proc/cpuinfo', 'latin1'));

it.skipIf(!hasAvx2)('joins the rounds of ChaCha20 and the steps of Poly1305 into 256-bit code', () => {
  const script = `
    const v8 = require('node:v8');
    for (const flag of ['--single-threaded', '--no-liftoff', '--no-wasm-lazy-compilation', '--experimental-wasm-revectorize',
      '--trace-wasm-revectorize']) v8.setFlagsFromString(flag);
    new WebAssembly.Module(require('node:fs').readFileSync(${JSON.stringify(kernel)}));`;
  const { stdout, status } = spawnSync(process.execPath, ['-e', script], {
    encoding: 'latin1',
    maxBuffer: 64 << 20,
  });
  expect(status).toBe(0);
  const joined = [...stdout.matchAll(/Save: (\d+), cost: (\d+)/g)]
    .map(([, save, cost]) => ({ save: Number(save), cost: Number(cost) }))
    .filter(({ save, cost }) => save > 20 && cost === 0)
    .map(({ save }) => save)
    .sort((a, b) => b - a);
  // By size: two groups of Poly1305, a double round, one group, the last multiplication, the first group, the transposition.
  const wanted = [200, 150, 130, 90, 30, 20];
  expect(joined.length).toBeGreaterThanOrEqual(wanted.length);
  for (const [i, save] of wanted.entries()) expect(joined[i]).toBeGreaterThanOrEqual(save);
});
