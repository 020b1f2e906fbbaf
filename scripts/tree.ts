/**
 * Where the checkout lies, how fresh a file is, and how to run a program there.
 * @module
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Newest modification time below the paths, in ms; 0 when none exists. */
export function newest(paths: readonly string[]): number {
  let latest = 0;
  for (const path of paths) {
    if (!existsSync(path)) continue;
    const stat = statSync(path);
    if (stat.isDirectory())
      latest = Math.max(latest, newest(readdirSync(path).map((name) => join(path, name))));
    else latest = Math.max(latest, stat.mtimeMs);
  }
  return latest;
}

/** Runs a program in the checkout and lets its complaints through; throws when it fails. */
export function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): void {
  execFileSync(program, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], env });
}
