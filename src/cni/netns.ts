/**
 * The container's network namespace: opened once, known by device and inode, never mistaken for our own.
 * Go's skeleton compares the two only after the plugin has run, and so has built interfaces in the host.
 * @module
 */
import { closeSync, fstatSync, openSync, statSync } from '#sys';
import { CniError } from './cni-error.ts';
import { errorCode } from './files.ts';

export interface Netns {
  readonly fd: number;
  readonly path: string;
  /** "device:inode" */
  readonly id: string;
  close(): void;
}

const ownPath = '/proc/self/ns/net';

/** For a namespace that must be there (ADD, CHECK). */
export function openNetns(path: string): Netns {
  const netns = findNetns(path);
  if (netns === undefined)
    throw new CniError(
      'ERR_CNI_NETNS',
      `failed to open netns "${path}": failed to Statfs "${path}": no such file or directory`,
    );
  return netns;
}

/** Undefined when there is nothing at the path any more (DEL). */
export function findNetns(path: string): Netns | undefined {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return undefined;
    throw new CniError('ERR_CNI_NETNS', `failed to open netns "${path}": ${(error as Error).message}`, {
      cause: error,
    });
  }
  const target = fstatSync(fd);
  const own = statSync(ownPath);
  if (target.dev !== own.dev || target.ino === own.ino) {
    closeSync(fd);
    if (target.dev === own.dev)
      throw new CniError(
        'ERR_CNI_OWN_NETNS',
        "plugin's netns and netns from CNI_NETNS should not be the same",
      );
    throw new CniError('ERR_CNI_NETNS', `failed to open netns "${path}": it is not a network namespace`);
  }
  return { fd, path, id: `${target.dev}:${target.ino}`, close: () => closeSync(fd) };
}

/** "device:inode" of what is at the path; '' when nothing is. */
export function netnsIdAt(path: string): string {
  try {
    const { dev, ino } = statSync(path);
    return `${dev}:${ino}`;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes(errorCode(error))) return '';
    throw error;
  }
}
