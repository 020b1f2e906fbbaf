/**
 * The files of a release beside the image: the program in one file and the CNI executable for each machine, the npm package, completions, manual pages, deploy/, the
 * list of what is inside, and checksums of all.
 * Source: CycloneDX by npm-sbom(1); sha256sum(1) for the form of SHA256SUMS.
 * @module
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  createReadStream,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { version } from '../../src/cli/version.ts';
import { buildCni } from '../build-cni.ts';
import { manPages } from '../man-pages.ts';
import { pack } from '../pack.ts';
import { root } from '../tree.ts';
import type { Architecture } from './architecture.ts';
import { npmPackage } from './npm-package.ts';
import { writeSingleFile } from './single-file.ts';

/** The executable with its own Bun, or with that of another machine. */
export const cniExecutable = async ({ node, bun }: Architecture, product: string): Promise<void> => {
  const foreign = join(npmPackage(`@oven/bun-${bun}`), 'bin/bun');
  await buildCni(product, node === process.arch ? undefined : foreign);
};

const completion = (shell: string): string =>
  execFileSync(join(root, 'bin/kilowire'), ['completion', shell], { encoding: 'utf8' });

export const writeFiles = async (folder: string, architectures: readonly Architecture[]): Promise<void> => {
  for (const architecture of architectures) {
    const cni = join(folder, `kilowire-cni-linux-${architecture.node}`);
    await cniExecutable(architecture, cni);
    writeSingleFile(architecture, cni, join(folder, `kilowire-linux-${architecture.node}`));
  }
  pack(folder);
  for (const shell of ['bash', 'zsh', 'fish'])
    writeFileSync(join(folder, `kilowire.${shell}`), completion(shell));
  writeManPages(join(folder, 'kilowire-man.tar.gz'));
  writeArchive(join(folder, 'kilowire-deploy.tar.gz'), root, 'deploy');
};

const writeArchive = (file: string, folder: string, name: string): void => {
  const same = ['--sort=name', '--owner=0', '--group=0'];
  execFileSync('tar', ['-C', folder, ...same, '-czf', file, name]);
};

/** An archive with a man1/ in it, for /usr/local/share/man. */
const writeManPages = (file: string): void => {
  const work = mkdtempSync(join(tmpdir(), 'kilowire-man-'));
  try {
    mkdirSync(join(work, 'man1'));
    const today = new Date().toISOString().slice(0, 10);
    for (const page of manPages(version(), today)) writeFileSync(join(work, 'man1', page.file), page.text);
    writeArchive(file, work, 'man1');
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
};

const SUMS = 'SHA256SUMS';

/** Checksums of everything in the folder; answers names and sizes. */
export const writeSums = async (
  folder: string,
): Promise<readonly { readonly name: string; readonly bytes: number }[]> => {
  const names = readdirSync(folder)
    .filter((name) => name !== SUMS)
    .toSorted();
  const lines: string[] = [];
  for (const name of names) {
    const hash = createHash('sha256');
    await pipeline(createReadStream(join(folder, name)), hash);
    lines.push(`${hash.digest('hex')}  ${name}\n`);
  }
  writeFileSync(join(folder, SUMS), lines.join(''));
  return names.map((name) => ({ name, bytes: statSync(join(folder, name)).size }));
};
