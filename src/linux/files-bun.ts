/**
 * The part of node:fs that the CNI plugin uses, with the same names, answers and error codes, by system calls. Bun's own
 * node:fs brings streams and promises along, a millisecond and 1.4 MB of bytecode for a program that lives for ten.
 * Sources: open(2), statx(2), getdents64(2), utimensat(2); include/uapi/linux/stat.h.
 * @module
 */
import { errnoName, errnoText } from './errno.ts';
import { type Call, callAgain, lastErrno, ofThisMachine } from './syscall-bun.ts';

const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const O_WRONLY = 1;
const O_CREAT = 0o100;
const O_EXCL = 0o200;
const O_TRUNC = 0o1000;
const O_CLOEXEC = 0o2000000;
/** One of the few flags that arm64 has at another place (arch/arm64/include/uapi/asm/fcntl.h). */
const O_DIRECTORY = ofThisMachine([0o200000, 0o40000]);
const STATX_BASIC_STATS = 0x7ff;
const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const S_IFCHR = 0o020000;

export const constants = { O_RDONLY: 0, O_CREAT, O_EXCL, O_DIRECTORY, W_OK: 2 } as const;

const openFlags: Readonly<Record<string, number>> = {
  r: 0,
  w: O_WRONLY | O_CREAT | O_TRUNC,
  wx: O_WRONLY | O_CREAT | O_EXCL,
};

/** The words people know for a file; the rest are those of the other system calls. */
const words: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  EEXIST: 'file already exists',
  EAGAIN: 'resource temporarily unavailable',
  ENOSPC: 'no space left on device',
};

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function cString(path: string): Uint8Array {
  if (path.includes('\0')) throw failure('open', 22, path.replaceAll('\0', '\\0'));
  return encoder.encode(`${path}\0`);
}

function failure(syscall: string, errno: number, path?: string): Error {
  const code = errnoName(errno);
  const where = path === undefined ? '' : ` '${path}'`;
  const error = new Error(`${code}: ${words[code] ?? errnoText(errno)}, ${syscall}${where}`);
  return Object.assign(error, { errno: -errno, code, syscall, ...(path === undefined ? {} : { path }) });
}

function check(result: number, syscall: string, path?: string): number {
  if (result < 0) throw failure(syscall, lastErrno(), path);
  return result;
}

export const openSync = (path: string, flags: string | number = 'r', mode = 0o666): number => {
  const bits = typeof flags === 'number' ? flags : (openFlags[flags] ?? 0);
  return check(callAgain('openat', AT_FDCWD, cString(path), bits | O_CLOEXEC, mode), 'open', path);
};

export const closeSync = (fd: number): void => {
  check(callAgain('close', fd), 'close');
};

export const readSync = (fd: number, bytes: Uint8Array): number =>
  check(callAgain('read', fd, bytes, bytes.length), 'read');

export const writeSync = (fd: number, data: string | Uint8Array): number => {
  const bytes = typeof data === 'string' ? encoder.encode(data) : data;
  return check(callAgain('write', fd, bytes, bytes.length), 'write');
};

export const fsyncSync = (fd: number): void => {
  check(callAgain('fsync', fd), 'fsync');
};

export function readFileSync(path: string, _encoding: 'utf8'): string {
  const fd = openSync(path);
  try {
    let bytes = new Uint8Array(4096);
    for (let length = 0; ; ) {
      const more = readSync(fd, bytes.subarray(length));
      if (more === 0) return decoder.decode(bytes.subarray(0, length));
      length += more;
      if (length < bytes.length) continue;
      const grown = new Uint8Array(4 * bytes.length);
      grown.set(bytes);
      bytes = grown;
    }
  } finally {
    closeSync(fd);
  }
}

export function writeFileSync(path: string, text: string, options: { readonly mode?: number } = {}): void {
  const fd = openSync(path, 'w', options.mode);
  try {
    let rest = encoder.encode(text);
    do rest = rest.subarray(writeSync(fd, rest));
    while (rest.length > 0);
  } finally {
    closeSync(fd);
  }
}

export const mkdirSync = (
  path: string,
  { mode = 0o777, recursive = false }: { readonly mode?: number; readonly recursive?: boolean } = {},
): void => {
  const slash = path.lastIndexOf('/');
  if (recursive && slash > 0 && !existsSync(path)) mkdirSync(path.slice(0, slash), { mode, recursive });
  if (recursive && existsSync(path)) return;
  check(callAgain('mkdirat', AT_FDCWD, cString(path), mode), 'mkdir', path);
};

const change = (name: Call, said: string, from: string, to: string): void => {
  const result = callAgain(name, AT_FDCWD, cString(from), AT_FDCWD, cString(to), 0);
  if (result < 0) throw failure(said, lastErrno(), `${from}' -> '${to}`);
};

export const renameSync = (from: string, to: string): void => change('renameat2', 'rename', from, to);

export const linkSync = (from: string, to: string): void => change('linkat', 'link', from, to);

export const unlinkSync = (path: string): void => {
  check(callAgain('unlinkat', AT_FDCWD, cString(path), 0), 'unlink', path);
};

export const accessSync = (path: string, mode: number): void => {
  check(callAgain('faccessat', AT_FDCWD, cString(path), mode), 'access', path);
};

export const existsSync = (path: string): boolean => callAgain('faccessat', AT_FDCWD, cString(path), 0) === 0;

export const utimesSync = (path: string, accessed: number, modified: number): void => {
  const times = BigInt64Array.of(BigInt(accessed), 0n, BigInt(modified), 0n);
  const bytes = new Uint8Array(times.buffer);
  check(callAgain('utimensat', AT_FDCWD, cString(path), bytes, 0), 'utime', path);
};

export interface Stats {
  readonly dev: number;
  readonly ino: number;
  readonly mtimeMs: number;
  isFile(): boolean;
  isCharacterDevice(): boolean;
}

const nothing = Uint8Array.of(0);

/** struct statx; the device as makedev(3) puts it together. */
function statOf(fd: number, path: Uint8Array, flags: number): Stats | undefined {
  const bytes = new Uint8Array(256);
  if (callAgain('statx', fd, path, flags, STATX_BASIC_STATS, bytes) < 0) return undefined;
  const view = new DataView(bytes.buffer);
  const kind = view.getUint16(28, true) & S_IFMT;
  const [major, minor] = [view.getUint32(136, true), view.getUint32(140, true)];
  const low = (((major & 0xfff) << 8) | (minor & 0xff)) >>> 0;
  return {
    dev: (major >>> 12) * 2 ** 44 + (minor >>> 8) * 2 ** 20 + low,
    ino: Number(view.getBigUint64(32, true)),
    mtimeMs: Number(view.getBigInt64(112, true)) * 1000 + view.getUint32(120, true) / 1e6,
    isFile: () => kind === S_IFREG,
    isCharacterDevice: () => kind === S_IFCHR,
  };
}

export const fstatSync = (fd: number): Stats => {
  const found = statOf(fd, nothing, AT_EMPTY_PATH);
  if (found === undefined) throw failure('fstat', lastErrno());
  return found;
};

export function statSync(path: string): Stats;
export function statSync(path: string, options: { readonly throwIfNoEntry: false }): Stats | undefined;
export function statSync(path: string, options?: { readonly throwIfNoEntry: false }): Stats | undefined {
  const found = statOf(AT_FDCWD, cString(path), 0);
  if (found !== undefined) return found;
  const code = errnoName(lastErrno());
  if (options !== undefined && (code === 'ENOENT' || code === 'ENOTDIR')) return undefined;
  throw failure('stat', lastErrno(), path);
}

/** struct linux_dirent64: its length at 16, its name from 19. */
export function readdirSync(path: string): string[] {
  const fd = openSync(path, constants.O_DIRECTORY);
  try {
    const names: string[] = [];
    const bytes = new Uint8Array(32_768);
    const view = new DataView(bytes.buffer);
    for (;;) {
      const length = check(callAgain('getdents64', fd, bytes, bytes.length), 'scandir', path);
      if (length === 0) return names;
      for (let at = 0; at < length; at += view.getUint16(at + 16, true)) {
        const name = decoder.decode(bytes.subarray(at + 19, bytes.indexOf(0, at + 19)));
        if (name !== '.' && name !== '..') names.push(name);
      }
    }
  } finally {
    closeSync(fd);
  }
}
