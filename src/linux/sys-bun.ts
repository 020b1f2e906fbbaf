/**
 * System calls on Bun, through bun:ffi: only the CNI executable runs there. Each function is opened when it is first
 * called, because every declared one costs start-up time; the usual ones go by number.
 * @module
 */
import { dlopen, ptr } from 'bun:ffi';
import { type Backend, createSys, type Sys } from './sys.ts';
import { callOnce, isNumbered, lastErrno } from './syscall-bun.ts';

export * from './files-bun.ts';
export { localService } from './local-service-bun.ts';

const typeOf: Readonly<Record<string, string>> = { i: 'i32', n: 'u64', p: 'ptr' };

const open = (name: string, args: readonly string[], returns: string): ((...args: unknown[]) => unknown) => {
  const fn = dlopen('libc.so.6', { [name]: { args, returns } }).symbols[name];
  if (fn === undefined) throw new Error(`libc.so.6 has no ${name}.`);
  return fn;
};

const CLONE_VM = 0x100;
const CLONE_FILES = 0x400;
const SIGCHLD = 17;
const stackSize = 65_536;

/**
 * fork(2) is out of the question, for JavaScript's threads stay behind, and starting a program costs more than it saves.
 * So: a stream of the C library that has the data in its buffer, and clone(2) with fflush(3) as the function to run, which
 * is that one write. The process needs nothing of the runtime but its memory, which lives as long as one of the two does.
 */
function writeInBackground(fd: number, data: Uint8Array): boolean {
  const fdopen = open('fdopen', ['i32', 'ptr'], 'ptr');
  const fwrite = open('fwrite', ['ptr', 'u64', 'u64', 'ptr'], 'u64');
  const dlsym = open('dlsym', ['ptr', 'ptr'], 'ptr');
  const clone = open('clone', ['ptr', 'ptr', 'i32', 'ptr'], 'i32');
  // "c": its write is no cancellation point, and so leaves alone what both processes take for their thread.
  const stream = fdopen(fd, Buffer.from('wc\0'));
  const fflush = dlsym(null, Buffer.from('fflush\0'));
  if (!stream || !fflush || Number(fwrite(data, 1, data.length, stream)) !== data.length) return false;
  stack = new Uint8Array(stackSize);
  const bottom = ptr(stack);
  const top = bottom + stackSize - (bottom % 16) - 16;
  return (clone(fflush, top, CLONE_VM | CLONE_FILES | SIGCHLD, stream) as number) > 0;
}

/** Referred to for as long as the module is, so never collected. */
let stack: Uint8Array;

const backend: Backend = {
  writeInBackground,
  load(name, signature) {
    if (isNumbered(name)) return (...args) => callOnce(name, args);
    return open(
      name,
      [...signature].map((letter) => typeOf[letter] ?? 'i32'),
      'i32',
    ) as ReturnType<Backend['load']>;
  },
  errno: lastErrno,
};

export const sys: Sys = createSys(backend);
