/**
 * Builds what `import … from 'kilowire/noise'` and `'kilowire/device'` give: one ECMAScript module each and the
 * declarations they need. Dependencies stay imports, so that a program that has @noble has it once.
 *
 *     dist/lib/noise.js  dist/lib/device.js  dist/lib/chunks/   code both share
 *     dist/lib/types/                                           declarations, one a source
 * @module
 */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { build } from 'esbuild';
import { root, run } from './tree.ts';

/** Entry → source. package.json's `exports` names the same. */
export const libraries: Readonly<Record<string, string>> = {
  noise: 'src/noise/library.ts',
  device: 'src/device/library.ts',
};

const importOf = /(from\s+|import\(\s*)(['"])(\.[^'"]+)\.ts\2/g;

/** The declarations an entry leads to; those of private parts stay behind. */
function reachable(entries: readonly string[]): Set<string> {
  const found = new Set<string>();
  const open = [...entries];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (found.has(path)) continue;
    found.add(path);
    for (const [, , , name] of readFileSync(path, 'utf8').matchAll(importOf)) {
      open.push(join(dirname(path), `${name}.d.ts`));
    }
  }
  return found;
}

/** Declarations of all that the libraries draw in. */
export function emitDeclarations(folder: string): void {
  run(join(root, 'node_modules/.bin/tsc'), ['-p', 'tsconfig.build.json', '--outDir', folder]);
}

/** Where `emitDeclarations` put those of a source. */
export const declarationFile = (folder: string, source: string): string =>
  join(folder, relative('src', source).replace(/\.ts$/, '.d.ts'));

function buildTypes(): void {
  const all = join(root, 'dist/.types');
  const types = join(root, 'dist/lib/types');
  rmSync(all, { recursive: true, force: true });
  rmSync(types, { recursive: true, force: true });
  emitDeclarations(all);
  const entries = Object.values(libraries).map((source) => declarationFile(all, source));
  for (const path of reachable(entries)) {
    const target = join(types, relative(all, path));
    mkdirSync(dirname(target), { recursive: true });
    // The sources import each other as .ts; what is published is .js beside .d.ts.
    writeFileSync(target, readFileSync(path, 'utf8').replace(importOf, '$1$2$3.js$2'));
  }
  rmSync(all, { recursive: true, force: true });
}

export async function buildLibrary(): Promise<void> {
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  const folder = join(root, 'dist/lib');
  const fresh = join(root, 'dist/.lib');
  rmSync(fresh, { recursive: true, force: true });
  await build({
    entryPoints: Object.fromEntries(
      Object.entries(libraries).map(([name, source]) => [name, join(root, source)]),
    ),
    outdir: fresh,
    bundle: true,
    splitting: true,
    chunkNames: 'chunks/[name]-[hash]',
    format: 'esm',
    platform: 'node',
    target: 'node20',
    external: Object.keys(dependencies).flatMap((name) => [name, `${name}/*`]),
    logLevel: 'warning',
  });
  if (existsSync(folder)) rmSync(join(folder, 'chunks'), { recursive: true, force: true });
  cpSync(fresh, folder, { recursive: true });
  rmSync(fresh, { recursive: true, force: true });
  buildTypes();
}
