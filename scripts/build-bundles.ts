/**
 * Bundles the programs into dist/*.js: one file system look-up instead of eighty at start, and no type stripper
 * in memory. The sources run as they are too (`node src/cli/main.ts`).
 * @module
 */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { build } from 'esbuild';
import { root } from './tree.ts';

const entries: Record<string, string> = {
  kilowire: 'src/cli/main.ts',
  'kilowire-wg': 'src/device/main.ts',
  'data-plane': 'src/device/data-plane.ts',
};

export async function buildBundles(): Promise<void> {
  const present = Object.fromEntries(
    Object.entries(entries)
      .map(([name, path]) => [name, join(root, path)] as const)
      .filter(([, path]) => existsSync(path)),
  );
  const { metafile } = await build({
    metafile: true,
    entryPoints: present,
    outdir: join(root, 'dist'),
    bundle: true,
    splitting: true,
    chunkNames: 'chunks/[name]-[hash]',
    format: 'esm',
    platform: 'node',
    target: 'node20',
    external: ['koffi'],
    // Its CommonJS build, which Node would take, has nothing but a default when it is imported late out of a bundle.
    alias: { yaml: join(root, 'node_modules/yaml/browser/index.js') },
    logLevel: 'warning',
    banner: {
      js: "import { createRequire as kwCreateRequire } from 'node:module'; const require = kwCreateRequire(import.meta.url);",
    },
  });
  // Chunks are named by their content: those of earlier builds would be packed too.
  const chunks = join(root, 'dist/chunks');
  const made = new Set(Object.keys(metafile.outputs).map((path) => basename(path)));
  for (const name of existsSync(chunks) ? readdirSync(chunks) : []) {
    if (!made.has(name)) rmSync(join(chunks, name));
  }
}
