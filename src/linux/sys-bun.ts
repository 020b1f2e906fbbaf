/**
 * System calls on Bun, through bun:ffi: only the CNI executable runs there. Each function is opened when it is first
 * called, because every declared one costs start-up time.
 * @module
 */
import { dlopen, read } from 'bun:ffi';
import { type Backend, createSys, type Sys } from './sys.ts';

const typeOf: Readonly<Record<string, string>> = { i: 'i32', n: 'u64', p: 'ptr' };

const open = (name: string, args: readonly string[], returns: string): ((...args: unknown[]) => unknown) => {
  const fn = dlopen('libc.so.6', { [name]: { args, returns } }).symbols[name];
  if (fn === undefined) throw new Error(`libc.so.6 has no ${name}.`);
  return fn;
};

let errnoLocation: (() => unknown) | undefined;

const backend: Backend = {
  load(name, signature) {
    // Opened before the first call, not after a failed one: dlopen itself would overwrite errno.
    errnoLocation ??= open('__errno_location', [], 'ptr');
    return open(
      name,
      [...signature].map((letter) => typeOf[letter] ?? 'i32'),
      'i32',
    ) as ReturnType<Backend['load']>;
  },
  errno: () => (errnoLocation === undefined ? 0 : read.i32(errnoLocation() as number, 0)),
};

export const sys: Sys = createSys(backend);
