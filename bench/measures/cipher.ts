/**
 * The cipher alone: our kernel against a plain one of 128 bit, in the place of the other program.
 * @module
 */
import { execFile } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { SubjectMeasure } from '../measure.ts';
import { ours } from '../peers.ts';

const run = promisify(execFile);
const root = join(import.meta.dirname, '../..');
const flags = [
  '-O3',
  '--noAssert',
  '--runtime',
  'stub',
  '--enable',
  'simd',
  '--initialMemory',
  '64',
  '--importMemory',
];

async function measure(args: readonly string[]): Promise<number> {
  const program = join(import.meta.dirname, '../cipher-run.ts');
  return Number((await run(process.execPath, [program, ...args], { timeout: 30_000 })).stdout);
}

export const cipher: SubjectMeasure = {
  id: 'cipher',
  name: 'AEAD, 1424 B sealed and opened, against a plain kernel',
  unit: 'µs',
  moreIsBetter: false,
  floor: 1,
  aim: 0.6,
  async runAlone(subject) {
    if (subject === ours) return measure(['ours']);
    const folder = mkdtempSync(join(tmpdir(), 'kilowire-cipher-'));
    try {
      copyFileSync(join(root, 'bench/plain-cipher/index.as'), join(folder, 'index.ts'));
      const file = join(folder, 'plain.wasm');
      const compiler = join(root, 'node_modules/assemblyscript/bin/asc.js');
      const args = [compiler, 'index.ts', ...flags, '--outFile', file];
      await run(process.execPath, args, { cwd: folder, timeout: 30_000 });
      return await measure(['plain', file]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};
