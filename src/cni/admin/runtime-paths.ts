/**
 * Where the runtime of this machine looks for CNI's files: what its configuration says, else containerd's defaults.
 * k3s writes the folders into its containerd's configuration while flannel is on, and leaves the defaults when it
 * is off (`--flannel-backend=none`): the file knows, the version does not.
 * @module
 */
import { readFileSync } from 'node:fs';
import { errorCode } from '../files.ts';

export interface RuntimePaths {
  readonly binDir: string;
  readonly confDir: string;
  /** The file the folders were read from; '' for the defaults. */
  readonly from: string;
}

const configurations = [
  '/var/lib/rancher/k3s/agent/etc/containerd/config.toml',
  '/var/lib/rancher/rke2/agent/etc/containerd/config.toml',
  '/etc/containerd/config.toml',
];

export const defaultBinDir = '/opt/cni/bin';
export const defaultConfDir = '/etc/cni/net.d';

/** `root` stands before every path that is read: tests bring a machine of their own. */
export function findRuntimePaths(root = ''): RuntimePaths {
  for (const from of configurations) {
    const text = readIfThere(`${root}${from}`);
    if (text === undefined) continue;
    const found = parseContainerdPaths(text);
    return { binDir: found.binDir ?? defaultBinDir, confDir: found.confDir ?? defaultConfDir, from };
  }
  return { binDir: defaultBinDir, confDir: defaultConfDir, from: '' };
}

/** The CNI part of containerd's configuration: `bin_dir`, `bin_dirs` since 2.1, `conf_dir`. Only these of all TOML. */
export function parseContainerdPaths(text: string): { binDir?: string; confDir?: string } {
  const found: { binDir?: string; confDir?: string } = {};
  let inCni = false;
  for (const line of text.split('\n')) {
    const plain = line.trim();
    if (plain.startsWith('[')) inCni = /\.cni\]/.test(plain);
    if (!inCni) continue;
    const [, key, value] = /^(bin_dirs?|conf_dir)\s*=\s*\[?\s*["']([^"']+)["']/.exec(plain) ?? [];
    if (value === undefined) continue;
    if (key === 'conf_dir') found.confDir = value;
    else found.binDir = value;
  }
  return found;
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes(errorCode(error))) return undefined;
    throw error;
  }
}
