/**
 * System calls on Node, through koffi. A function is declared when it is first called, so that a program pays only for
 * what it uses.
 * @module
 */
import koffi from 'koffi';
import type { LocalService } from './local-service.ts';
import { type Backend, createSys, type Sys } from './sys.ts';

export {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';

/** Only the CNI executable has a resident. */
export const localService: LocalService | undefined = undefined;

const typeOf: Readonly<Record<string, string>> = { i: 'int', n: 'unsigned long', p: 'void *' };

let libc: ReturnType<typeof koffi.load> | undefined;

const backend: Backend = {
  load(name, signature) {
    libc ??= koffi.load('libc.so.6');
    const types = [...signature].map((letter) => typeOf[letter] ?? 'int');
    return libc.func(name, 'int', types) as ReturnType<Backend['load']>;
  },
  errno: () => koffi.errno(),
};

export const sys: Sys = createSys(backend);
