/**
 * Files that are there whole or not at all. The draft lies in the same folder under a name no runtime reads: they
 * notice a rename within the folder, and an executable that is being written cannot be run ("text file busy").
 * @module
 */
import {
  closeSync,
  constants,
  copyFileSync,
  fchmodSync,
  fsyncSync,
  openSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { makeDirectory, removeFile } from '../files.ts';

export function writeAtomically(path: string, text: string, mode: number): void {
  replace(path, mode, (draft) => {
    const fd = openSync(draft, 'wx', mode);
    try {
      writeSync(fd, text);
    } finally {
      closeSync(fd);
    }
  });
}

export function copyAtomically(from: string, path: string, mode: number): void {
  // On file systems that can, the copy shares the original's blocks.
  replace(path, mode, (draft) =>
    copyFileSync(from, draft, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE),
  );
}

function replace(path: string, mode: number, write: (draft: string) => void): void {
  makeDirectory(dirname(path), 0o755);
  const draft = `${path}.kilowire-new`;
  removeFile(draft);
  try {
    write(draft);
    sync(draft, mode);
    renameSync(draft, path);
  } catch (error) {
    removeFile(draft);
    throw error;
  }
  sync(dirname(path));
}

function sync(path: string, mode?: number): void {
  const fd = openSync(path, 'r');
  try {
    if (mode !== undefined) fchmodSync(fd, mode);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
