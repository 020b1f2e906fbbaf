/**
 * Bundles the page of `kilowire ui` into dist/ui-page.js: one HTML text with its style and script in it, and nothing that is
 * loaded from anywhere.
 * @module
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { root } from './tree.ts';

const folder = join(root, 'src/ui/page');

export async function buildPage(): Promise<void> {
  const { outputFiles } = await build({
    entryPoints: [join(folder, 'main.ts'), join(folder, 'style.css')],
    outdir: join(root, 'dist'),
    write: false,
    bundle: true,
    minify: true,
    format: 'iife',
    platform: 'browser',
    target: ['chrome111', 'firefox115', 'safari16.4'],
    legalComments: 'none',
    logLevel: 'warning',
  });
  const text = (ending: string): string =>
    outputFiles.find(({ path }) => path.endsWith(ending))?.text.trim() ?? '';
  // A closing tag inside the script would end it.
  const script = text('.js').replaceAll('</script', '<\\/script');
  const html = readFileSync(join(folder, 'index.html'), 'utf8')
    .replace('<!-- style -->', () => `<style>${text('.css')}</style>`)
    .replace('<!-- script -->', () => `<script>${script}</script>`);
  writeFileSync(join(root, 'dist/ui-page.js'), `export const html = ${JSON.stringify(html)};\n`);
}
