/**
 * The sources as the repo tests see them: files, their text, what they import.
 * @module
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

export interface SourceFile {
  /** From the root, e.g. src/noise/replay.ts. */
  readonly path: string;
  /** The folder below src, e.g. noise. */
  readonly area: string;
  readonly text: string;
  /** What it imports: paths from the root, or package names; `typeOnly` ones are gone at run time. */
  readonly imports: readonly { readonly target: string; readonly typeOnly: boolean }[];
}

function importsOf(path: string, text: string): SourceFile['imports'] {
  const found: { target: string; typeOnly: boolean }[] = [];
  const pattern =
    /^\s*(?:import|export)\s+(type\s+)?(?:[\w*\s{},$]+?\s+from\s+)?['"]([^'"]+)['"]|import\(\s*['"]([^'"]+)['"]\s*\)/gm;
  for (const match of text.matchAll(pattern)) {
    const name = match[2] ?? match[3] ?? '';
    const target = name.startsWith('.') ? relative(root, join(root, dirname(path), name)) : name;
    found.push({ target, typeOnly: match[1] !== undefined });
  }
  return found;
}

/** All TypeScript below a folder, by path from the root. */
export function sources(folder: string): SourceFile[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .sort()
    .map((name) => {
      const path = join(folder, name);
      const text = readFileSync(join(root, path), 'utf8');
      return { path, area: path.split('/')[1] ?? '', text, imports: importsOf(path, text) };
    });
}
