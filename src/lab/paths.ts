/**
 * Where the programs the lab starts lie, whether this file runs as a source or out of the bundle in dist/.
 * @module
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LabError } from './lab-error.ts';

const here = fileURLToPath(import.meta.url);

const findPackageRoot = (): string => {
  for (let directory = dirname(here); directory !== '/'; directory = dirname(directory)) {
    const path = join(directory, 'package.json');
    if (!existsSync(path)) continue;
    if ((JSON.parse(readFileSync(path, 'utf8')) as { name?: unknown }).name === 'kilowire') return directory;
  }
  throw new LabError(
    'ERR_LAB_NOT_BUILT',
    'The package kilowire lies nowhere above its own code: install it anew.',
  );
};

/** A program of ours, or a sentence on how to get it. */
const program = (...path: readonly string[]): string => {
  const found = join(findPackageRoot(), ...path);
  if (existsSync(found)) return found;
  throw new LabError(
    'ERR_LAB_NOT_BUILT',
    `${path.join('/')} is missing: run npm run build in ${findPackageRoot()}.`,
  );
};

/** The WireGuard device; another userspace implementation can stand in for it, to compare. */
export const deviceProgram = (): string =>
  process.env.KILOWIRE_LAB_DEVICE_PROGRAM || program('bin', 'kilowire-wg');

/** The node agent; Kilo's own can stand in for it, to compare. */
export const agentProgram = (): string => process.env.KILOWIRE_LAB_AGENT_PROGRAM || program('bin', 'kg');

export const cniProgram = (): string => program('dist', 'kilowire-cni');

/** This same command line, to be run in another process of this Node. */
export const ownCommandLine = (): readonly string[] =>
  here.endsWith('.ts') ? [program('src', 'cli', 'main.ts')] : [program('dist', 'kilowire.js')];
