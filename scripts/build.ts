/**
 * Builds everything `bin/` needs into dist/: the WASM kernel, the bundled programs, the CNI executable.
 * Each step is skipped when its product is newer than all of its sources, so it is cheap to call before
 * every run. `--force` builds all.
 * @module
 */
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { buildBundles } from './build-bundles.ts';
import { buildCni } from './build-cni.ts';
import { buildKernel } from './build-kernel.ts';
import { buildLibrary } from './build-library.ts';
import { buildPage } from './build-page.ts';
import { newest, root } from './tree.ts';

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
    product: 'dist/ui-page.js',
    sources: ['src/ui', 'src/noise', 'scripts/build-page.ts', 'package.json'],
    build: buildPage,
  },
  {
    product: 'dist/lib/noise.js',
    sources: ['src', 'scripts/build-library.ts', 'package.json', 'tsconfig.build.json'],
    build: buildLibrary,
  },
  {
    product: 'dist/kilowire-cni',
    sources: [
      'src/cni',
      'src/linux',
      'src/noise/ip.ts',
      'scripts/build-cni.ts',
      'scripts/door',
      'scripts/late-modules.ts',
      'package.json',
    ],
    build: buildCni,
  },
];

mkdirSync(join(root, 'dist'), { recursive: true });
for (const { product, sources, build } of steps) {
  const path = join(root, product);
  const fresh = existsSync(path) && statSync(path).mtimeMs >= newest(sources.map((name) => join(root, name)));
  if (fresh && !force) continue;
  const started = performance.now();
  await build();
  console.log(`built ${product} in ${((performance.now() - started) / 1000).toFixed(1)} s`);
}
