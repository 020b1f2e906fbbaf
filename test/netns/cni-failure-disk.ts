/**
 * A disk that can lose its power: ext4 on a loop device. What a process wrote and did not sync is in the kernel's
 * memory only; a copy of the image is what a machine finds that was switched off at that moment, and mounting the
 * copy replays the journal as its next boot would.
 * @module
 */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const run = (...[file = '', ...args]: readonly string[]): void => {
  execFileSync(file, args, { stdio: ['ignore', 'pipe', 'pipe'] });
};

export class PowerDisk {
  readonly #folder = mkdtempSync(join(tmpdir(), 'kwr-disk-'));
  readonly #mountPoint: string;
  #mounted = false;
  #count = 0;

  constructor(mountPoint: string) {
    this.#mountPoint = mountPoint;
  }

  /** A new, empty file system. */
  format(): string {
    const image = join(this.#folder, `image-${this.#count++}`);
    run('truncate', '-s', '8M', image);
    run('mkfs.ext4', '-q', '-m', '0', '-O', '^metadata_csum', image);
    return image;
  }

  /** Nothing is written of its own accord: the journal is committed by fsync alone. */
  mount(image: string): void {
    this.unmount();
    run('mount', '-o', 'loop,commit=600', image, this.#mountPoint);
    this.#mounted = true;
  }

  unmount(): void {
    if (this.#mounted) run('umount', this.#mountPoint);
    this.#mounted = false;
  }

  /** The disk as it is without what memory holds. */
  cut(image: string): string {
    const copy = join(this.#folder, `image-${this.#count++}`);
    copyFileSync(image, copy);
    return copy;
  }

  /** Some other program syncs a file of its own: the journal is committed, data that has no place yet is not. */
  foreignSync(): void {
    const other = join(this.#mountPoint, 'other');
    mkdirSync(other, { recursive: true });
    const fd = openSync(join(other, 'file'), 'w');
    try {
      writeSync(fd, 'x');
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  }

  sync(): void {
    run('sync', '-f', this.#mountPoint);
  }

  forget(image: string): void {
    rmSync(image, { force: true });
  }

  close(): void {
    this.unmount();
    rmSync(this.#folder, { recursive: true });
  }
}

/** Can this machine mount one, and count a process's system calls? */
export function canCutPower(): boolean {
  if (process.getuid?.() !== 0) return false;
  const point = mkdtempSync(join(tmpdir(), 'kwr-probe-'));
  try {
    run('strace', '-V');
    const disk = new PowerDisk(point);
    try {
      disk.mount(disk.format());
      return true;
    } finally {
      disk.close();
    }
  } catch {
    return false;
  } finally {
    rmSync(point, { recursive: true });
  }
}
