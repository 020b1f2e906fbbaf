/**
 * An npm package for another machine than this: npm fetches it, and it must be the one that package-lock.json names.
 * @module
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { root } from '../tree.ts';

interface Locked {
  readonly version: string;
  readonly integrity: string;
}

const lockedPackage = (name: string): Locked => {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, Locked | undefined>>;
  };
  const found = lock.packages[`node_modules/${name}`];
  if (found === undefined) throw new Error(`package-lock.json does not name ${name}.`);
  return found;
};

/** Where fetched packages stay; KILOWIRE_RELEASE_CACHE moves it. */
export const releaseCache = (): string =>
  process.env.KILOWIRE_RELEASE_CACHE ?? join(homedir(), '.cache/kilowire-release');

/** The folder of a package's files: the installed one, or one fetched and checked. */
export const npmPackage = (name: string): string => {
  const installed = join(root, 'node_modules', name);
  if (existsSync(join(installed, 'package.json'))) return installed;
  const { version, integrity } = lockedPackage(name);
  const folder = join(releaseCache(), `${name.replace(/[@/]/g, '_')}-${version}`);
  if (existsSync(folder)) return join(folder, 'package');
  mkdirSync(releaseCache(), { recursive: true });
  const draft = mkdtempSync(join(releaseCache(), 'draft-'));
  try {
    const args = ['pack', `${name}@${version}`, '--json', '--pack-destination', draft];
    const [packed] = JSON.parse(execFileSync('npm', args, { encoding: 'utf8' })) as [{ filename: string }];
    const file = join(draft, packed.filename.replace(/^@/, '').replace('/', '-'));
    const digest = `sha512-${createHash('sha512').update(readFileSync(file)).digest('base64')}`;
    if (digest !== integrity)
      throw new Error(`${name}@${version} is not what package-lock.json says: ${digest}`);
    execFileSync('tar', ['-xzf', file, '-C', draft]);
    rmSync(file);
    renameSync(draft, folder);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  return join(folder, 'package');
};
