/**
 * Files, where node:fs needs help: the name of an error, removal of what may be gone, directories with parents.
 * @module
 */

import { mkdirSync, unlinkSync } from '#sys';

/** 'ENOENT', 'EEXIST', … of a failed file or system call; '' for any other error. */
export function errorCode(error: unknown): string {
  if (!(error instanceof Error)) return '';
  if ('errnoName' in error && typeof error.errnoName === 'string') return error.errnoName;
  return 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/** Of an absolute path without a slash at its end. node:path is a millisecond's tenth, and this is all we want of it. */
export const parentOf = (path: string): string => path.slice(0, Math.max(path.lastIndexOf('/'), 1));

export function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
}

/** mkdirSync's own `recursive` never returns on a file system that answers ENOENT for a directory it will not make. */
export function makeDirectory(path: string, mode: number): void {
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    const code = errorCode(error);
    if (code === 'EEXIST') return;
    if (code !== 'ENOENT' || path.length < 2) throw error;
    makeDirectory(parentOf(path), 0o755);
    try {
      mkdirSync(path, { mode });
    } catch (again) {
      if (errorCode(again) !== 'EEXIST') throw again;
    }
  }
}
