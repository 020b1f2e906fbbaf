/**
 * `npm run release`: everything a release consists of, in dist/release, with sizes. Nothing is published. A release is made
 * of a clean checkout whose changes are written down; --dry-run makes one of whatever is there. With --image only
 * the image, with --this-machine only for this kind of machine.
 * @module
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { version } from '../../src/cli/version.ts';
import { root } from '../tree.ts';
import { ARCHITECTURES } from './architecture.ts';
import { billOfMaterials } from './bill.ts';
import { writeFiles, writeSums } from './files.ts';
import { buildImage } from './image.ts';

const { values } = parseArgs({
  options: {
    'dry-run': { type: 'boolean', default: false },
    image: { type: 'boolean', default: false },
    'this-machine': { type: 'boolean', default: false },
  },
});

/** What stands in the way of calling it a release. */
const obstacles = (): readonly string[] => {
  const changed = execFileSync('git', ['status', '--porcelain'], { cwd: root, encoding: 'utf8' });
  const written = readFileSync(join(root, 'CHANGELOG.md'), 'utf8').includes(`## ${version()} (`);
  return [
    ...(changed === '' ? [] : ['the checkout has changes that are not committed']),
    ...(written ? [] : [`CHANGELOG.md has no "## ${version()} (DATE)"`]),
  ];
};

const make = async (): Promise<void> => {
  const folder = join(root, 'dist/release');
  const size = (bytes: number): string =>
    bytes < 1 << 20 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
  const machines = ARCHITECTURES.filter(({ node }) => !values['this-machine'] || node === process.arch);
  if (!values.image) rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  if (!values.image) await writeFiles(folder, machines);
  const image = await buildImage(folder, machines);
  if (!values.image) writeFileSync(join(folder, 'kilowire.cdx.json'), billOfMaterials(image.debianFiles));
  for (const { name, bytes } of await writeSums(folder)) console.log(`${name}: ${size(bytes)}`);
  for (const { architecture, compressed } of image.sizes)
    console.log(`to pull for ${architecture}: ${size(compressed)}`);
};

const wrong = values['dry-run'] || values.image ? [] : obstacles();
if (wrong.length > 0) {
  console.error(`There is no release: ${wrong.join('; ')}. With --dry-run it is made all the same.`);
  process.exitCode = 1;
} else await make();
