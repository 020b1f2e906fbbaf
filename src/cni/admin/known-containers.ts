/**
 * Which containers a runtime knows: what containerd keeps of running ones in its state folders, or a list.
 * Source: containerd 1.6 to 2.x, runtime v2: <state>/io.containerd.runtime.v2.task/<namespace>/<container id>.
 * @module
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { errorCode } from '../files.ts';

const stateFolders = ['/run/containerd', '/run/k3s/containerd'];

/** undefined: no runtime was found to ask. */
export function knownToContainerd(
  folders: readonly string[] = stateFolders,
): ReadonlySet<string> | undefined {
  const known = new Set<string>();
  let found = false;
  for (const folder of folders) {
    const tasks = `${folder}/io.containerd.runtime.v2.task`;
    const namespaces = namesIn(tasks);
    if (namespaces === undefined) continue;
    found = true;
    for (const namespace of namespaces)
      for (const id of namesIn(`${tasks}/${namespace}`) ?? []) {
        known.add(id);
        // `ctr run --cni` attaches under this name.
        known.add(`${namespace}-${id}`);
      }
  }
  return found ? known : undefined;
}

/** One container id a line; what follows it, and lines that begin with "#", say nothing. */
export function parseKnown(text: string): ReadonlySet<string> {
  const ids = text.split('\n').map((line) => line.trim().split(/\s+/)[0] ?? '');
  return new Set(ids.filter((id) => id !== '' && !id.startsWith('#')));
}

/** "device:inode" of every network namespace some process lives in. */
export function inhabitedNamespaces(device: string): ReadonlySet<string> {
  const ids = new Set<string>();
  for (const pid of namesIn('/proc') ?? []) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      const [, inode] = /^net:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/ns/net`)) ?? [];
      if (inode !== undefined) ids.add(`${device}:${inode}`);
    } catch {
      // It ended meanwhile.
    }
  }
  return ids;
}

function namesIn(path: string): readonly string[] | undefined {
  try {
    return readdirSync(path);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES', 'ESRCH'].includes(errorCode(error))) return undefined;
    throw error;
  }
}
