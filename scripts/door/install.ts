/**
 * Writes the door into an executable file.
 * @module
 */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { doorFor } from './elf.ts';

const headSize = 4096;

export function installDoor(path: string): void {
  const file = readFileSync(path);
  const head = file.subarray(0, headSize);
  const { code } = doorFor(head, file.length, '0'.repeat(16));
  const fingerprint = createHash('sha256').update(file).update(code).digest('hex').slice(0, 16);
  const fd = openSync(path, 'r+');
  try {
    const door = doorFor(head, file.length, fingerprint);
    writeSync(fd, door.code, 0, door.code.length, door.at);
    writeSync(fd, door.head, 0, headSize, 0);
  } finally {
    closeSync(fd);
  }
}
