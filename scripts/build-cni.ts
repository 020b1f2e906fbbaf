/**
 * Compiles the CNI executable with Bun's compiler, from the npm packages that need no install script.
 * It gets a door, see door/program.ts.
 * A runtime may be executing the file at this moment: the new one is renamed into its place.
 * @module
 */
import { existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installDoor } from './door/install.ts';
import { copyWithLateModules } from './late-modules.ts';
import { root, run } from './tree.ts';

const packages: Readonly<Record<string, string>> = {
  x64: 'bun-linux-x64-baseline',
  arm64: 'bun-linux-aarch64',
};

/**
 * @param product where the executable goes
 * @param runtime the Bun that it carries, of another machine than this: a path
 */
export async function buildCni(
  product: string = join(root, 'dist/kilowire-cni'),
  runtime?: string,
): Promise<void> {
  const bun = join(root, `node_modules/@oven/${packages[process.arch] ?? process.arch}/bin/bun`);
  if (!existsSync(bun))
    throw new Error(`${bun} is missing; run npm ci without --omit=optional, it brings Bun's compiler.`);
  // Two builds at once must not take each other's draft.
  const draft = `${product}.${process.pid}`;
  const folder = mkdtempSync(join(tmpdir(), 'kilowire-cni-'));
  try {
    compile(bun, copyWithLateModules(folder), draft, runtime);
  } finally {
    rmSync(folder, { recursive: true });
  }
  installDoor(draft);
  renameSync(draft, product);
}

function compile(bun: string, entry: string, draft: string, runtime: string | undefined): void {
  run(bun, [
    'build',
    '--compile',
    '--minify',
    '--bytecode',
    '--format=esm',
    '--splitting',
    // A call is over before compiled code could pay: the JIT takes a thousand times as long to decide, a millisecond less.
    '--compile-jit-policy=1000',
    // The directory a runtime stands in must not decide how its plugin behaves.
    '--no-compile-autoload-dotenv',
    '--no-compile-autoload-bunfig',
    ...(runtime === undefined ? [] : [`--compile-executable-path=${runtime}`]),
    entry,
    '--outfile',
    draft,
  ]);
}
