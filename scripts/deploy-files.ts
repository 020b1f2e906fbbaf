/**
 * Writes deploy/: a manifest for each kind of cluster, one of CoreDNS alone, and the Helm chart. With --check nothing is
 * written, and files that are not what they should be are named (exit status 1).
 * @module
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { version } from '../src/cli/version.ts';
import { chart } from '../src/deploy/chart.ts';
import { manifests, VARIANTS } from '../src/deploy/manifests.ts';
import { monitoringFiles } from '../src/deploy/monitoring.ts';
import { root } from './tree.ts';

const GENERATED = ['deploy/manifests', 'deploy/chart', 'deploy/monitoring'];

/** Path from the root → content. */
export const deployFiles = (): Readonly<Record<string, string>> => ({
  ...Object.fromEntries(
    Object.keys(VARIANTS).map((name) => [`deploy/manifests/kilowire-${name}.yaml`, manifests(name)]),
  ),
  'deploy/manifests/coredns-k3s.yaml': manifests('k3s', {}, 'dns'),
  ...Object.fromEntries(
    Object.entries(chart(version())).map(([path, content]) => [`deploy/chart/${path}`, content]),
  ),
  ...Object.fromEntries(
    Object.entries(monitoringFiles()).map(([path, content]) => [`deploy/monitoring/${path}`, content]),
  ),
});

const present = (): readonly string[] =>
  GENERATED.filter((folder) => existsSync(join(root, folder))).flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((file) => file.isFile())
      .map((file) => relative(root, join(file.parentPath, file.name))),
  );

/** Files that are missing, stale or not generated. */
export const differences = (): readonly string[] => {
  const wanted = deployFiles();
  const wrong = Object.entries(wanted).filter(
    ([path, content]) => !existsSync(join(root, path)) || readFileSync(join(root, path), 'utf8') !== content,
  );
  return [...wrong.map(([path]) => path), ...present().filter((path) => !(path in wanted))];
};

const writeAll = (): void => {
  const wanted = deployFiles();
  for (const path of present().filter((path) => !(path in wanted))) rmSync(join(root, path));
  for (const [path, content] of Object.entries(wanted)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
};

if (process.argv[1]?.endsWith('scripts/deploy-files.ts')) {
  if (process.argv.includes('--check')) {
    const wrong = differences();
    for (const path of wrong) console.error(`${path} is not what the sources say; run: npm run docs`);
    process.exitCode = wrong.length === 0 ? 0 : 1;
  } else writeAll();
}
