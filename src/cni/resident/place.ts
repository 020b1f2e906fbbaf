/**
 * Where a resident is to be found: a socket named after the namespaces it sees, for only who sees the same may be served.
 *
 *     /run/kilowire/cni/net:[…]-mnt:[…]-pid:[…]-user:[…]         the socket
 *                                                     .lock    its process id; held as long as it serves
 *
 * The lock decides between two that start at once, and dies with its process: who gets it may replace the socket. The door
 * takes both before an ADD begins (scripts/door/place.ts), so that callers can wait for its end.
 * @module
 */
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  sys,
  writeSync,
} from '#sys';
import type { LocalService } from '../../linux/local-service.ts';
import { LOCK_EX, LOCK_NB, WOULD_BLOCK } from '../../linux/sys.ts';
import { errorCode, makeDirectory, removeFile } from '../files.ts';

const folder = '/run/kilowire/cni';
const lockSuffix = '.lock';
const backlog = 128;
const O_WRONLY = 1;
const writing = O_WRONLY | constants.O_CREAT;

export interface Place {
  readonly listener: number;
  /** Says who serves. */
  announce(): void;
  /** Nobody finds us any more; what is in the queue can still be answered. */
  leave(): void;
  close(): void;
}

function pathOf(service: LocalService): string {
  const namespaces = ['net', 'mnt', 'pid', 'user'].map((name) => service.readlink(`/proc/self/ns/${name}`));
  return `${folder}/${namespaces.join('-')}`;
}

/** Undefined when another one serves here. */
export function takePlace(service: LocalService): Place | undefined {
  makeDirectory(folder, 0o700);
  const path = pathOf(service);
  const lock = tryLock(`${path}${lockSuffix}`);
  if (lock === undefined) return undefined;
  const draft = `${path}.new`;
  removeFile(draft);
  const listener = service.listen(draft, backlog);
  // In one step: a caller finds a socket that listens, or the stale one of a process that was killed.
  renameSync(draft, path);
  return placeOf(service, { listener, lock });
}

/** Of a socket that listens at its path, and the lock beside it. */
export function placeOf(
  service: LocalService,
  { listener, lock }: { readonly listener: number; readonly lock: number },
): Place {
  return {
    listener,
    announce() {
      writeSync(lock, `${service.readlink('/proc/self')}\n`);
      clearAbandoned();
    },
    leave() {
      const path = pathOf(service);
      removeFile(path);
      removeFile(`${path}${lockSuffix}`);
    },
    close() {
      closeSync(listener);
      closeSync(lock);
    },
  };
}

function tryLock(path: string): number | undefined {
  // Not emptied: it may be another's, and say who that is.
  const fd = openSync(path, writing, 0o600);
  // The one who had it may have unlinked it a moment ago.
  if (sys.flock(fd, LOCK_EX | LOCK_NB) !== WOULD_BLOCK && isStillAt(fd, path)) return fd;
  closeSync(fd);
  return undefined;
}

function isStillAt(fd: number, path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.ino === fstatSync(fd).ino;
}

/** What killed ones left, of namespaces too that are no more. */
function clearAbandoned(): void {
  for (const file of readdirSync(folder)) {
    if (!file.endsWith(lockSuffix)) continue;
    const lock = openIfThere(`${folder}/${file}`);
    if (lock === undefined) continue;
    if (sys.flock(lock, LOCK_EX | LOCK_NB) !== WOULD_BLOCK && isStillAt(lock, `${folder}/${file}`)) {
      const path = `${folder}/${file.slice(0, -lockSuffix.length)}`;
      for (const suffix of ['', '.new', lockSuffix]) removeFile(`${path}${suffix}`);
    }
    closeSync(lock);
  }
}

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, 'r');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Process ids of those that serve on this machine, as far as this mount namespace shows them. */
export function residents(): readonly number[] {
  let files: readonly string[];
  try {
    files = readdirSync(folder);
  } catch (error) {
    // Nobody but root may look.
    if (['ENOENT', 'EACCES'].includes(errorCode(error))) return [];
    throw error;
  }
  return files.filter((file) => file.endsWith(lockSuffix)).flatMap((file) => holderOf(`${folder}/${file}`));
}

function holderOf(path: string): readonly number[] {
  const lock = openIfThere(path);
  if (lock === undefined) return [];
  try {
    // Nobody holds it: what a killed one left.
    if (sys.flock(lock, LOCK_EX | LOCK_NB) !== WOULD_BLOCK) return [];
    const pid = Number.parseInt(readFileSync(path, 'utf8'), 10);
    // Nothing in it yet: an ADD that is not done.
    return Number.isNaN(pid) ? [] : [pid];
  } catch (error) {
    // Cleared away in this moment, as nobody's.
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  } finally {
    closeSync(lock);
  }
}
