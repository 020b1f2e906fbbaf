/**
 * Compiles the CNI executable with Bun's compiler, from the npm packages that need no install script.
 * @module
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { root, run } from './tree.ts';

export async function buildCni(): Promise<void> {
  const entry = join(root, 'src/cni/main.ts');
  if (!existsSync(entry)) return;
  const arch = process.arch === 'arm64' ? 'aarch64' : 'x64-baseline';
  run(join(root, `node_modules/@oven/bun-linux-${arch}/bin/bun`), [
    'build',
    '--compile',
    '--minify',
    '--bytecode',
    entry,
    '--outfile',
    join(root, 'dist/kilowire-cni'),
  ]);
}
