/**
 * `npm run pack`: the package as it is published, as a .tgz in dist/ (or in the folder given). Its package.json is made
 * from ours and leaves out what only a checkout needs: scripts, compilers, and what the bundles have taken in already.
 * @module
 */
import { execFileSync } from 'node:child_process';
import { cpSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root } from './tree.ts';

type Manifest = Readonly<Record<string, unknown>> & {
  readonly files: readonly string[];
  readonly dependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
};

/** Fields that mean the same to who installs the package. */
const kept = [
  'name',
  'version',
  'description',
  'license',
  'type',
  'engines',
  'os',
  'bin',
  'exports',
  'files',
];
/** What dist/ imports by name; everything else is inside the bundles. */
const imported = /^(?:koffi|@noble\/.*)$/;
/** The Node the programs run on; Bun only compiles the CNI executable. */
const runtime = /^node-linux-/;

const pick = (names: Readonly<Record<string, string>>, pattern: RegExp): Record<string, string> =>
  Object.fromEntries(Object.entries(names).filter(([name]) => pattern.test(name)));

/** The published package.json. */
export function publishedManifest(manifest: Manifest): Record<string, unknown> {
  return {
    ...Object.fromEntries(kept.map((field) => [field, manifest[field]])),
    dependencies: pick(manifest.dependencies, imported),
    optionalDependencies: pick(manifest.optionalDependencies, runtime),
  };
}

/** Lays the package out in dist/package and packs it. Returns the file's path. */
export function pack(destination: string): string {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;
  const folder = join(root, 'dist/package');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const path of globSync([...manifest.files], { cwd: root })) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    cpSync(join(root, path), join(folder, path), { recursive: true });
  }
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(publishedManifest(manifest), null, 2)}\n`);
  mkdirSync(destination, { recursive: true });
  const npm = ['pack', folder, '--json', '--ignore-scripts', '--pack-destination', destination];
  const [packed] = JSON.parse(execFileSync('npm', npm, { encoding: 'utf8', cwd: root })) as [
    { filename: string; size: number; unpackedSize: number; entryCount: number },
  ];
  rmSync(folder, { recursive: true, force: true });
  const { filename, size, unpackedSize, entryCount } = packed;
  const kib = (bytes: number): string => `${Math.round(bytes / 1024)} KiB`;
  console.log(
    `${join(destination, filename)}: ${entryCount} files, ${kib(size)}, ${kib(unpackedSize)} unpacked`,
  );
  return join(destination, filename);
}

if (process.argv[1]?.endsWith('pack.ts') === true) pack(process.argv[2] ?? join(root, 'dist'));
