/**
 * kilowire-linux-x64 and -arm64: agent, device, commands and CNI executable in one file, with their Node. A shell script that
 * unpacks what follows it, once, as k3s does: a program that runs from where it was unpacked starts no slower than
 * an installed one, and a signed archive, a compiler or a loader of its own is not needed.
 * @module
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { version } from '../../src/cli/version.ts';
import { root } from '../tree.ts';
import { copyApplication } from './application.ts';
import type { Architecture } from './architecture.ts';
import { npmPackage, releaseCache } from './npm-package.ts';

/** The script that stands in front; the offset of what follows is part of its own length. */
const header = (values: Readonly<Record<string, string>>): Buffer => {
  const template = readFileSync(join(root, 'scripts/release/unpack.sh'), 'utf8');
  const fill = (offset: string): Buffer =>
    Buffer.from(
      template.replace(/@([A-Z]+)@/g, (_, name: string) => {
        const value = name === 'OFFSET' ? offset : values[name];
        if (value === undefined) throw new Error(`unpack.sh asks for ${name}, which nobody knows.`);
        return value;
      }),
    );
  // tail -c + counts from 1.
  const { length } = fill('000000');
  return fill(String(length + 1).padStart(6, '0'));
};

/** @param cni the CNI executable of this machine, as it was built */
export const writeSingleFile = (architecture: Architecture, cni: string, file: string): void => {
  mkdirSync(releaseCache(), { recursive: true });
  const work = mkdtempSync(join(releaseCache(), 'single-'));
  try {
    const home = join(work, 'home');
    copyApplication(architecture, home);
    cpSync(cni, join(home, 'dist/kilowire-cni'));
    const node = npmPackage(`node-linux-${architecture.node}`);
    const place = join(home, `node_modules/node-linux-${architecture.node}`);
    mkdirSync(join(place, 'bin'), { recursive: true });
    for (const path of ['bin/node', 'LICENSE']) cpSync(join(node, path), join(place, path));
    for (const path of ['dist/kilowire-cni', `node_modules/node-linux-${architecture.node}/bin/node`])
      chmodSync(join(home, path), 0o755);
    const archive = join(work, 'archive.tar.gz');
    // The same input makes the same file.
    const same = ['--sort=name', '--owner=0', '--group=0', '--numeric-owner', '--mtime=@0'];
    execFileSync('tar', ['-C', home, ...same, '-I', 'gzip -9n', '-cf', archive, '.']);
    const packed = readFileSync(archive);
    const unpacked = Number(execFileSync('du', ['-sm', home], { encoding: 'utf8' }).split('\t')[0]);
    const script = header({
      VERSION: version(),
      MACHINE: architecture.debian,
      UNAME: architecture.node === 'x64' ? 'x86_64' : 'aarch64',
      HASH: `${version()}-${createHash('sha256').update(packed).digest('hex').slice(0, 16)}`,
      MEBIBYTES: String(unpacked),
    });
    writeFileSync(file, Buffer.concat([script, packed]), { mode: 0o755 });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
};
