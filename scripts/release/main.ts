/**
 * `npm run release -- --dry-run`: everything a release consists of, in dist/release, with sizes. With --image only the
 * image, with --this-machine only for this kind of machine.
 * @module
 */
import { join } from 'node:path';
import { root } from '../tree.ts';
import { ARCHITECTURES } from './architecture.ts';
import { buildImage } from './image.ts';

const folder = join(root, 'dist/release');
const mib = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(1)} MiB`;

const own = process.argv.includes('--this-machine');
const architectures = ARCHITECTURES.filter(({ node }) => !own || node === process.arch);
const image = await buildImage(folder, architectures);
console.log(`${image.file}: ${mib(image.bytes)}`);
for (const { architecture, compressed } of image.sizes)
  console.log(`  ${architecture}: ${mib(compressed)} to pull`);
