/**
 * Builds everything `bin/` needs into dist/: the WASM kernel, the bundled programs, the CNI executable.
 * Each step is skipped when its product is newer than all of its sources, so it is cheap to call before
 * every run. `--force` builds all.
 * @module
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildBundles } from './build-bundles.ts';
import { buildCni } from './build-cni.ts';
import { buildKernel } from './build-kernel.ts';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Newest modification time below the paths, in ms; 0 when none exists. */
export function newest(paths: readonly string[]): number {
  let latest = 0;
  for (const path of paths) {
    if (!existsSync(path)) continue;
    const stat = statSync(path);
    if (stat.isDirectory())
      latest = Math.max(latest, newest(readdirSync(path).map((name) => join(path, name))));
    else latest = Math.max(latest, stat.mtimeMs);
  }
  return latest;
}

/** Runs a program and lets its complaints through; throws when it fails. */
export function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): void {
  execFileSync(program, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], env });
}

const force = process.argv.includes('--force');
const steps = [
  {
    product: 'dist/kernel.wasm',
    sources: ['src/aead/kernel', 'scripts/build-kernel.ts'],
    build: buildKernel,
  },
  {
    product: 'dist/kilowire.js',
    sources: ['src', 'scripts/build-bundles.ts', 'package.json'],
    build: buildBundles,
  },
  {
    product: 'dist/kilowire-cni',
    sources: ['src/cni', 'src/linux', 'scripts/build-cni.ts', 'package.json'],
    build: buildCni,
  },
];

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  mkdirSync(join(root, 'dist'), { recursive: true });
  for (const { product, sources, build } of steps) {
    const path = join(root, product);
    const fresh =
      existsSync(path) && statSync(path).mtimeMs >= newest(sources.map((name) => join(root, name)));
    if (fresh && !force) continue;
    const started = performance.now();
    await build();
    console.log(`built ${product} in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  }
}
