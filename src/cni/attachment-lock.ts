/**
 * One process at a time works on an attachment. A runtime that gives up on an ADD sends DEL while the killed
 * process may still be inside a system call: DEL waits here until the kernel has let it go.
 * flock(2) dies with its process, so no crash leaves a lock behind; only the empty file may stay until the
 * next call for the same attachment.
 * @module
 */
import { closeSync, fstatSync, openSync, statSync, sys, unlinkSync } from '#sys';
import { LOCK_EX, LOCK_NB, LOCK_SH, WOULD_BLOCK } from '../linux/sys.ts';
import { CniError } from './cni-error.ts';
import { errorCode } from './files.ts';
import { aboutToWait, patience } from './patience.ts';

export interface AttachmentLock {
  release(): void;
}

const patienceMs = (): number => patience(30_000, 5);

/**
 * Many may hold a network together while they add to what belongs to all of its attachments; who takes that away
 * holds it alone. The file stays: it belongs to no attachment.
 */
export function lockNetwork(path: string, how: 'shared' | 'alone'): AttachmentLock {
  const fd = openSync(path, 'w', 0o600);
  if (waitFor(fd, how === 'shared' ? LOCK_SH : LOCK_EX, performance.now() + patienceMs()))
    return { release: () => closeSync(fd) };
  closeSync(fd);
  throw held(path);
}

export function lockAttachment(path: string): AttachmentLock {
  const lock = lockUntil(path, performance.now() + patienceMs());
  if (lock === undefined) throw held(path);
  return lock;
}

/** undefined when another call holds it. */
export const tryLockAttachment = (path: string): AttachmentLock | undefined => lockUntil(path, -1);

function lockUntil(path: string, deadline: number): AttachmentLock | undefined {
  for (;;) {
    const fd = openSync(path, 'w', 0o600);
    if (waitFor(fd, LOCK_EX, deadline) && isStillAt(fd, path))
      return {
        release() {
          // Unlinked while held: who waits for this file finds it gone and opens the next one.
          unlinkSync(path);
          closeSync(fd);
        },
      };
    closeSync(fd);
    if (performance.now() > deadline) return undefined;
  }
}

const held = (path: string): CniError =>
  new CniError(
    'ERR_CNI_TRY_AGAIN',
    `another call has held ${path} for ${patienceMs() / 1000} s; try again, or end that process`,
  );

function waitFor(fd: number, how: number, deadline: number): boolean {
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  for (let pause = 1; ; pause = Math.min(pause * 2, 20)) {
    if (sys.flock(fd, how | LOCK_NB) !== WOULD_BLOCK) return true;
    if (performance.now() > deadline) return false;
    aboutToWait();
    Atomics.wait(sleeper, 0, 0, pause);
  }
}

function isStillAt(fd: number, path: string): boolean {
  try {
    return statSync(path).ino === fstatSync(fd).ino;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}
