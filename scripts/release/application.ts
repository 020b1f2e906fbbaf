/**
 * Our programs with what they need of node_modules, laid out as in a checkout: for the image, and for the single file.
 * @module
 */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../tree.ts';
import type { Architecture } from './architecture.ts';
import { npmPackage } from './npm-package.ts';

/** What dist/ needs of itself: bundles and kernel, not the library. */
const APPLICATION = [
  'dist/kilowire.js',
  'dist/kilowire-wg.js',
  'dist/data-plane.js',
  'dist/ui-page.js',
  'dist/kernel.wasm',
  'dist/chunks',
  'bin',
  'package.json',
  'LICENSE',
];

/** All but the CNI executable. */
export const copyApplication = (architecture: Architecture, home: string): void => {
  for (const path of APPLICATION) cpSync(join(root, path), join(home, path), { recursive: true });
  for (const name of ['koffi', `@koromix/koffi-linux-${architecture.node}`]) {
    const from = npmPackage(name);
    // koffi carries its C sources along.
    const keep = (path: string): boolean =>
      !/\/(?:vendor|doc|musl_\w+|.*\.(?:cc|hh|cpp|hpp|c|h|S|asm|inc))$/.test(path.slice(from.length));
    cpSync(from, join(home, 'node_modules', name), { recursive: true, filter: keep });
  }
};
