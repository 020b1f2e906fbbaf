/**
 * System calls of the CNI executable by number: one function of the C library is opened, not one for each call. Opening
 * and compiling a function costs as much as fifty calls of it.
 * Sources: syscall(2); arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h (arm64).
 * @module
 */
import { dlopen, ptr, read } from 'bun:ffi';
import { EINTR } from './errno.ts';

/** [x86-64, arm64] */
const numbers = {
  read: [0, 63],
  write: [1, 64],
  close: [3, 57],
  socket: [41, 198],
  sendto: [44, 206],
  recvfrom: [45, 207],
  bind: [49, 200],
  listen: [50, 201],
  setsockopt: [54, 208],
  getsockopt: [55, 209],
  flock: [73, 32],
  fsync: [74, 82],
  chdir: [80, 49],
  setsid: [112, 157],
  prctl: [157, 167],
  getdents64: [217, 61],
  openat: [257, 56],
  mkdirat: [258, 34],
  unlinkat: [263, 35],
  linkat: [265, 37],
  readlinkat: [267, 78],
  faccessat: [269, 48],
  ppoll: [271, 73],
  utimensat: [280, 88],
  accept4: [288, 242],
  dup3: [292, 24],
  setns: [308, 268],
  renameat2: [316, 276],
  statx: [332, 291],
} as const satisfies Readonly<Record<string, readonly [number, number]>>;

export type Call = keyof typeof numbers;

const long = 'i64';
interface Library {
  readonly syscall: (...args: number[]) => number;
  readonly __errno_location: () => number;
}

let library: Library | undefined;

/** Not before the first call: whoever cannot have it gets an error that can be told. */
function load(): Library {
  try {
    library = dlopen('libc.so.6', {
      syscall: { args: [long, long, long, long, long, long, long], returns: 'i64_fast' },
      __errno_location: { args: [], returns: 'ptr' },
    }).symbols as unknown as Library;
    return library;
  } catch (cause) {
    throw new Error(`no system calls: ${(cause as Error).message}; is BUN_JSC_useJIT=0 in the environment?`, {
      cause,
    });
  }
}

// Not `process.arch`: the compiler would put in the machine it runs on, which need not be the executable's.
const { arch } = process;
const column = arch === 'x64' ? 0 : 1;

/** Of a pair [x86-64, arm64] the one of this machine. */
export const ofThisMachine = (pair: readonly [number, number]): number => pair[column];

export const isNumbered = (name: string): name is Call => Object.hasOwn(numbers, name);

/** Of the call that failed last. */
export const lastErrno = (): number => read.i32((library ?? load()).__errno_location(), 0);

/** As the kernel has it: -1 for a failure. The bytes stay where they are, and alive, until it returns. */
export const callOnce = (name: Call, args: readonly (number | Uint8Array | null)[]): number => {
  const at = (index: number): number => {
    const arg = args[index];
    return typeof arg === 'number' ? arg : arg == null ? 0 : ptr(arg);
  };
  const { syscall } = library ?? load();
  return syscall(numbers[name][column], at(0), at(1), at(2), at(3), at(4), at(5));
};

/** Begun again when a signal interrupted it. */
export const callAgain = (name: Call, ...args: (number | Uint8Array | null)[]): number => {
  for (;;) {
    const result = callOnce(name, args);
    if (result >= 0 || lastErrno() !== EINTR) return result;
  }
};
