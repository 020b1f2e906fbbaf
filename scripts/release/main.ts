/**
 * `npm run release -- --dry-run`: everything a release consists of, in dist/release, with sizes.
 * @module
 */
import { join } from 'node:path';
import { root } from '../tree.ts';
import { buildImage } from './image.ts';

const folder = join(root, 'dist/release');
const mib = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(1)} MiB`;

const image = await buildImage(folder);
console.log(`${image.file}: ${mib(image.bytes)}`);
for (const { architecture, compressed } of image.sizes)
  console.log(`  ${architecture}: ${mib(compressed)} to pull`);
