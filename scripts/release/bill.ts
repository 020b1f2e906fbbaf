/**
 * What is inside a release, for who has to know: the packages of npm that it needs or has in it, those bundled into the page among
 * them, and the Debian packages of the image.
 * Source: CycloneDX 1.5 by npm-sbom(1); package URL types npm and deb.
 * @module
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../tree.ts';
import { ARCHITECTURES } from './architecture.ts';

interface Component {
  readonly 'bom-ref': string;
  readonly type: string;
  readonly name: string;
  readonly version: string;
  readonly purl: string;
}

interface Bill {
  readonly components: readonly Component[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn?: readonly string[] }[];
}

/** Names of packages that a page's sources import, and what those need. */
const bundled = (): ReadonlySet<string> => {
  const page = join(root, 'src/ui/page');
  const imported = readdirSync(page)
    .filter((name) => name.endsWith('.ts'))
    .flatMap((name) => [
      ...readFileSync(join(page, name), 'utf8').matchAll(/ from '((?:@[^/']+\/)?[^./'@][^/']*)/g),
    ])
    .map(([, name = '']) => name);
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, { readonly dependencies?: Readonly<Record<string, string>> }>>;
  };
  const found = new Set<string>();
  const take = (name: string): void => {
    if (found.has(name)) return;
    found.add(name);
    for (const needed of Object.keys(packages[`node_modules/${name}`]?.dependencies ?? {})) take(needed);
  };
  for (const name of imported) take(name);
  return found;
};

/** Builds of koffi for other systems are in the lock file, not in the release. */
const isForeign = ({ name }: Component): boolean =>
  name.startsWith('@koromix/koffi-') &&
  !ARCHITECTURES.some(({ node }) => name === `@koromix/koffi-linux-${node}`);

const npmBill = (...more: string[]): Bill =>
  JSON.parse(
    execFileSync('npm', ['sbom', '--sbom-format', 'cyclonedx', '--package-lock-only', ...more], {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      maxBuffer: 1 << 26,
    }),
  ) as Bill;

/** `libc6_2.36-9+deb12u10_amd64`, as apt names a file. */
const ofDebian = (file: string): Component => {
  const [name = '', version = '', architecture = ''] = file.split('_');
  const purl = `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${architecture}`;
  return { 'bom-ref': purl, type: 'library', name, version, purl };
};

export const billOfMaterials = (debianFiles: readonly string[]): string => {
  const all = npmBill();
  const needed = new Set(npmBill('--omit', 'dev').components.map(({ name }) => name));
  const inPage = bundled();
  const ofNpm = all.components.filter(
    (each) => !isForeign(each) && (needed.has(each.name) || inPage.has(each.name)),
  );
  const kept = new Set(ofNpm.map((each) => each['bom-ref']));
  const gone = new Set(all.components.map((each) => each['bom-ref']).filter((ref) => !kept.has(ref)));
  const dependencies = all.dependencies
    .filter(({ ref }) => !gone.has(ref))
    .map(({ dependsOn = [], ...each }) => ({
      ...each,
      dependsOn: dependsOn.filter((ref) => !gone.has(ref)),
    }));
  const components = [...ofNpm, ...debianFiles.map(ofDebian)];
  return `${JSON.stringify({ ...all, components, dependencies }, null, 2)}\n`;
};
