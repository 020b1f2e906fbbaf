/**
 * The few Debian packages the programs need at run time, unpacked without installing them: the C library that Node is linked
 * with, iptables in both kinds, and busybox for a shell. No apt, no dpkg, no package manager is left inside.
 * Source: apt.conf(5) (a root of one's own for another architecture), dpkg-deb(1).
 * @module
 */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Architecture } from './architecture.ts';
import { releaseCache } from './npm-package.ts';

const PACKAGES = [
  'libc6',
  'gcc-12-base',
  'libgcc-s1',
  'libstdc++6',
  'iptables',
  'libxtables12',
  'libip4tc2',
  'libip6tc2',
  'libmnl0',
  'libnftnl11',
  'libnfnetlink0',
  'libnetfilter-conntrack3',
  'busybox-static',
];
const SUITE = 'bookworm';
const MIRROR = 'http://deb.debian.org/debian';
const SECURITY = 'http://deb.debian.org/debian-security';

/** What nobody reads in a container; the copyright files stay. */
const NEEDLESS = ['usr/share/man', 'usr/share/lintian', 'usr/share/bug', 'usr/share/initramfs-tools'];

/** An apt of its own, so that this machine's lists and architectures stay as they are. */
const aptOptions = (folder: string, { debian }: Architecture): readonly string[] => {
  for (const part of ['lists/partial', 'cache/archives/partial', 'etc'])
    mkdirSync(join(folder, part), { recursive: true });
  return [
    `APT::Architecture=${debian}`,
    `APT::Architectures=${debian}`,
    `Dir::State::Lists=${join(folder, 'lists')}`,
    `Dir::State::status=/dev/null`,
    `Dir::Cache=${join(folder, 'cache')}`,
    `Dir::Etc::SourceList=${join(folder, 'etc/sources.list')}`,
    'Dir::Etc::SourceParts=/dev/null',
    'Debug::NoLocking=1',
    'APT::Sandbox::User=root',
  ].flatMap((option) => ['-o', option]);
};

const sources = [
  `deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${MIRROR} ${SUITE} main`,
  `deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${MIRROR} ${SUITE}-updates main`,
  `deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${SECURITY} ${SUITE}-security main`,
  '',
].join('\n');

/** Unpacks into an empty folder; answers the names and versions, for the list of what is inside. */
export const unpackDebian = (
  architecture: Architecture,
  into: string,
  write: (path: string, text: string) => void,
): readonly string[] => {
  const folder = join(releaseCache(), `apt-${architecture.debian}`);
  const options = aptOptions(folder, architecture);
  write(join(folder, 'etc/sources.list'), sources);
  const archives = join(folder, 'archives');
  rmSync(archives, { recursive: true, force: true });
  mkdirSync(archives);
  const quiet = { stdio: ['ignore', 'ignore', 'inherit'] as const };
  execFileSync('apt-get', [...options, '-qq', 'update'], {
    ...quiet,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  execFileSync('apt-get', [...options, '-qq', 'download', ...PACKAGES], {
    cwd: archives,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  // One /usr, as Debian has it since 12; the loader's folder is named in every executable.
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
    mkdirSync(join(into, 'usr', name), { recursive: true });
    symlinkSync(`usr/${name}`, join(into, name));
  }
  const files = readdirSync(archives).toSorted();
  for (const file of files) {
    // Not dpkg-deb -x, which puts a folder in the place of a link.
    const tar = execFileSync('dpkg-deb', ['--fsys-tarfile', join(archives, file)], {
      maxBuffer: 1 << 28,
    });
    execFileSync('tar', ['-x', '--keep-directory-symlink', '-C', into], { input: tar });
  }
  prune(into, architecture);
  links(into, architecture);
  return files.map((file) => file.replace(/\.deb$/, '').replaceAll('%3a', ':'));
};

const prune = (into: string, { debian }: Architecture): void => {
  const triplet = debian === 'amd64' ? 'x86_64-linux-gnu' : 'aarch64-linux-gnu';
  for (const path of [...NEEDLESS, `usr/lib/${triplet}/gconv`, `usr/lib/${triplet}/audit`])
    rmSync(join(into, path), { recursive: true, force: true });
  const documents = join(into, 'usr/share/doc');
  // Some are links to another package's.
  const folders = readdirSync(documents, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  for (const { name } of folders)
    for (const file of readdirSync(join(documents, name)))
      if (file !== 'copyright') rmSync(join(documents, name, file), { recursive: true });
};

/** What Debian's maintainer scripts would have made. */
const links = (into: string, architecture: Architecture): void => {
  for (const name of ['iptables', 'ip6tables'])
    for (const kind of ['', '-save', '-restore'])
      link(join(into, 'usr/sbin', `${name}${kind}`), `${name}-nft${kind}`);
  for (const applet of applets(into, architecture))
    if (applet !== 'busybox' && !existsSync(join(into, 'usr/sbin', applet)))
      link(join(into, 'usr/bin', applet), 'busybox');
};

/** As busybox itself lists them; one for another machine has the same. */
const applets = (into: string, { node }: Architecture): readonly string[] => {
  const known = join(releaseCache(), 'busybox-applets');
  if (node === process.arch)
    writeFileSync(known, execFileSync(join(into, 'usr/bin/busybox'), ['--list'], { encoding: 'utf8' }));
  if (!existsSync(known))
    throw new Error(
      `The image for ${process.arch} has to be built once before one for ${node}: what busybox can do is asked there.`,
    );
  return readFileSync(known, 'utf8').trim().split('\n');
};

const link = (path: string, target: string): void => {
  rmSync(path, { force: true });
  symlinkSync(target, path);
};
