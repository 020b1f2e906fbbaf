/**
 * The sets of plugins that are measured: ours, Debian's, and the newest of their Go modules, which are built into a
 * cache outside the tree when Go is on the machine.
 * @module
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, symlinkSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface PluginSet {
  readonly name: string;
  readonly family: 'kilowire' | 'go';
  /** CNI_PATH. */
  readonly directory: string;
}

const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'kilowire/bin/cni');
const debian = '/usr/lib/cni';
const module = 'github.com/containernetworking/plugins/plugins';
/** The name that Go gives flannel's plugin, after its module. */
const flannel = 'cni-plugin';
const goPlugins: Readonly<Record<string, string>> = {
  bridge: `${module}/main/bridge`,
  loopback: `${module}/main/loopback`,
  'host-local': `${module}/ipam/host-local`,
  portmap: `${module}/meta/portmap`,
  bandwidth: `${module}/meta/bandwidth`,
  firewall: `${module}/meta/firewall`,
  tuning: `${module}/meta/tuning`,
};

/** A copy: whoever builds meanwhile does not change what is measured. */
export function ours(): PluginSet {
  const product = fileURLToPath(new URL('../../dist/kilowire-cni', import.meta.url));
  const directory = mkdtempSync(join(tmpdir(), 'kwm-bin-'));
  copyFileSync(product, join(directory, 'kilowire'));
  symlinkSync('kilowire', join(directory, 'loopback'));
  return { name: 'kilowire', family: 'kilowire', directory };
}

/** Debian's containernetworking-plugins, with the newest flannel beside them, which Debian has not. */
export function debianPlugins(): PluginSet | undefined {
  if (!existsSync(join(debian, 'bridge'))) return undefined;
  const directory = mkdtempSync(join(tmpdir(), 'kwm-bin-'));
  for (const name of Object.keys(goPlugins)) {
    if (existsSync(join(debian, name))) symlinkSync(join(debian, name), join(directory, name));
  }
  addFlannel(directory);
  return { name: `Debian ${debianVersion()}`, family: 'go', directory };
}

/** The newest release, if `buildNewest` could build it. */
export function newestPlugins(): PluginSet | undefined {
  const programs = Object.keys(goPlugins).map((name) => join(cache, name));
  if (!programs.every((path) => existsSync(path))) return undefined;
  const directory = mkdtempSync(join(tmpdir(), 'kwm-bin-'));
  for (const name of Object.keys(goPlugins)) symlinkSync(join(cache, name), join(directory, name));
  addFlannel(directory);
  return { name: `Go ${moduleVersion(join(cache, 'bridge'))}`, family: 'go', directory };
}

function addFlannel(directory: string): void {
  if (existsSync(join(cache, flannel))) symlinkSync(join(cache, flannel), join(directory, 'flannel'));
}

/** Builds what is not there yet; needs Go and network. */
export function buildNewest(): void {
  mkdirSync(cache, { recursive: true });
  const modules = { ...goPlugins, [flannel]: 'github.com/flannel-io/cni-plugin' };
  for (const [name, path] of Object.entries(modules)) {
    if (existsSync(join(cache, name))) continue;
    try {
      execFileSync('go', ['install', '-ldflags', '-s -w', `${path}@latest`], {
        env: { ...process.env, GOBIN: cache, CGO_ENABLED: '0', GOFLAGS: '-p=1' },
        stdio: 'ignore',
      });
    } catch {
      // Then it is not in the cache, and the table is made without it.
    }
  }
}

function debianVersion(): string {
  const said = execFileSync('dpkg-query', ['-s', 'containernetworking-plugins'], { encoding: 'utf8' });
  return said.match(/^Version: ([\d.]+)/m)?.[1] ?? 'plugins';
}

function moduleVersion(path: string): string {
  const said = execFileSync('go', ['version', '-m', path], { encoding: 'utf8' });
  return said.match(/\smod\s+\S+\s+(v[\d.]+)/)?.[1] ?? 'newest';
}
