/**
 * The OCI image, built without a container engine: a C library and iptables from Debian, Node, and our programs.
 * @module
 */
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { version } from '../../src/cli/version.ts';
import { copyApplication } from './application.ts';
import { ARCHITECTURES, type Architecture } from './architecture.ts';
import { unpackDebian } from './debian-files.ts';
import { cniExecutable } from './files.ts';
import { npmPackage, releaseCache } from './npm-package.ts';
import { type Layer, OciArchive } from './oci-archive.ts';

export interface BuiltImage {
  readonly file: string;
  readonly name: string;
  readonly bytes: number;
  readonly sizes: readonly { readonly architecture: string; readonly compressed: number }[];
  /** NAME_VERSION_ARCHITECTURE of each package that is in it. */
  readonly debianFiles: readonly string[];
}

const write = (path: string, text: string): void => {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
};

const application = async (architecture: Architecture, into: string): Promise<void> => {
  const home = join(into, 'kilowire');
  copyApplication(architecture, home);
  await cniExecutable(architecture, join(home, 'dist/kilowire-cni'));
};

const node = ({ node: name }: Architecture, into: string): void => {
  const from = npmPackage(`node-linux-${name}`);
  mkdirSync(join(into, 'usr/bin'), { recursive: true });
  cpSync(join(from, 'bin/node'), join(into, 'usr/bin/node'));
  chmodSync(join(into, 'usr/bin/node'), 0o755);
  cpSync(join(from, 'LICENSE'), join(into, 'usr/share/doc/node/LICENSE'));
};

interface Filled {
  readonly layers: readonly Layer[];
  readonly debianFiles: readonly string[];
}

const layersOf = async (architecture: Architecture, archive: OciArchive): Promise<Filled> => {
  mkdirSync(releaseCache(), { recursive: true });
  const work = mkdtempSync(join(releaseCache(), 'image-'));
  try {
    const [base, runtime, ours] = ['base', 'node', 'kilowire'].map((name) => join(work, name)) as [
      string,
      string,
      string,
    ];
    for (const folder of [base, runtime, ours]) mkdirSync(folder);
    const debianFiles = unpackDebian(architecture, base, write);
    // Where a read-only root still needs a folder.
    for (const name of ['proc', 'sys', 'dev', 'run', 'tmp', 'var/lib/kilo', 'etc'])
      mkdirSync(join(base, name), { recursive: true });
    write(join(base, 'etc/os-release'), 'ID=kilowire\nNAME="Kilowire"\nPRETTY_NAME="Kilowire image"\n');
    write(join(base, 'usr/share/kilowire/debian-packages'), `${debianFiles.join('\n')}\n`);
    node(architecture, runtime);
    await application(architecture, ours);
    const layers = [
      archive.layer(base, 'files of Debian packages'),
      archive.layer(runtime, 'Node'),
      archive.layer(ours, 'kilowire'),
    ];
    return { layers, debianFiles };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
};

/** Writes kilowire-image-VERSION.tar into a folder. */
export const buildImage = async (
  folder: string,
  architectures: readonly Architecture[] = ARCHITECTURES,
): Promise<BuiltImage> => {
  const name = `docker.io/library/kilowire:${version()}`;
  mkdirSync(folder, { recursive: true });
  const archive = new OciArchive(join(folder, 'image'));
  const images: object[] = [];
  const sizes: { architecture: string; compressed: number }[] = [];
  const all: string[] = [];
  // This machine's first: what busybox can do is asked of it.
  const own = (each: Architecture): number => (each.node === process.arch ? 0 : 1);
  for (const architecture of architectures.toSorted((a, b) => own(a) - own(b))) {
    const { layers, debianFiles } = await layersOf(architecture, archive);
    all.push(...debianFiles);
    images.push(archive.image({ architecture, layers, version: version() }));
    const compressed = layers.reduce((sum, { descriptor }) => sum + descriptor.size, 0);
    sizes.push({ architecture: architecture.debian, compressed });
  }
  const file = join(folder, `kilowire-image-${version()}.tar`);
  return { file, name, bytes: archive.finish(images, name, file), sizes, debianFiles: all };
};
