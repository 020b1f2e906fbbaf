/**
 * systemd-resolved for hosts of tests. It is not installed: its package would take this machine's /etc/resolv.conf over; the
 * package is unpacked into a cache outside the tree.
 * Source: systemd-resolved.service(8), resolvectl(1); Debian's packages of both.
 * @module
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { has } from './host.ts';

const script = fileURLToPath(new URL('./systemd-resolved.sh', import.meta.url));
/** The programs, and the library of exactly their version. */
const packages = ['systemd-resolved', 'libsystemd-shared'];

/** KILOWIRE_TEST_CACHE moves it. */
const cache = process.env.KILOWIRE_TEST_CACHE ?? join(homedir(), '.cache/kilowire-test');
const unpacked = join(cache, 'systemd-resolved');

export class SystemdResolved {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Undefined, and a line that says why, where it cannot be had. */
  static find(): SystemdResolved | undefined {
    const isInstalled = has('resolvectl');
    const needed = ['dbus-daemon', 'unshare', 'nsenter', ...(isInstalled ? [] : ['apt-get', 'dpkg-deb'])];
    const missing = needed.filter((name) => !has(name));
    try {
      if (missing.length > 0) throw new Error(`not on this machine: ${missing.join(', ')}`);
      if (!isInstalled && !existsSync(unpacked)) unpack();
      return new SystemdResolved(isInstalled ? '/' : unpacked);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      console.log(`skipping systemd-resolved: ${why.split('\n').slice(0, 3).join(' ')}`);
      return undefined;
    }
  }

  /** To be started in the host's network; with `apart` it makes /run and /etc the host's own. */
  command(...options: readonly 'apart'[]): readonly string[] {
    return ['bash', script, this.#folder, ...options];
  }

  /** So that its programs are found. */
  get environment(): Readonly<Record<string, string>> {
    const libraries = join(this.#folder, 'usr/lib');
    const folders = readdirSync(libraries).map((name) => join(libraries, name, 'systemd'));
    return {
      PATH: `${process.env.PATH}:${join(this.#folder, 'usr/bin')}`,
      LD_LIBRARY_PATH: folders.filter((path) => existsSync(path)).join(':'),
    };
  }
}

function unpack(): void {
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'resolved-'));
  const apt = (...args: readonly string[]): void => {
    const options = { cwd: folder, stdio: 'pipe', timeout: 120_000 } as const;
    execFileSync('apt-get', ['-qq', '-o', 'APT::Sandbox::User=root', ...args], options);
  };
  try {
    try {
      apt('download', ...packages);
    } catch {
      // What this machine knows of packages is old.
      apt('update');
      apt('download', ...packages);
    }
    const root = join(folder, 'root');
    for (const file of readdirSync(folder).filter((name) => name.endsWith('.deb')))
      execFileSync('dpkg-deb', ['-x', join(folder, file), root]);
    renameSync(root, unpacked);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
