/**
 * What the door's program is written in: a handful of instructions that every processor has. x64.ts and arm64.ts turn
 * each into bytes; nothing is optimised, for the program runs a few hundred of them.
 * @module
 */

/** Five that nothing changes but the program, two that any instruction below may change, and two with a meaning. */
export type Register = 'a' | 'b' | 'c' | 'd' | 'e' | 't' | 'u' | 'frame' | 'stack';

export type Width = 1 | 2 | 4 | 8;

/** `less`, `notLess`: with sign; `above`: without. */
export type Condition = 'equal' | 'different' | 'less' | 'notLess' | 'above';

/** A number, a register, the address of a label, or of a place in the frame. */
export type Operand = number | Register | { readonly label: string } | { readonly frame: number };

/** [x86-64, arm64]; arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h. */
export const systemCalls = {
  read: [0, 63],
  write: [1, 64],
  close: [3, 57],
  lseek: [8, 62],
  mmap: [9, 222],
  mprotect: [10, 226],
  ioctl: [16, 29],
  pread64: [17, 67],
  getpid: [39, 172],
  socket: [41, 198],
  connect: [42, 203],
  recvfrom: [45, 207],
  sendmsg: [46, 211],
  bind: [49, 200],
  listen: [50, 201],
  setsockopt: [54, 208],
  getsockopt: [55, 209],
  clone: [56, 220],
  wait4: [61, 260],
  kill: [62, 129],
  fcntl: [72, 25],
  flock: [73, 32],
  ftruncate: [77, 46],
  geteuid: [107, 175],
  getppid: [110, 173],
  setsid: [112, 157],
  prctl: [157, 167],
  exit_group: [231, 94],
  openat: [257, 56],
  mkdirat: [258, 34],
  unlinkat: [263, 35],
  readlinkat: [267, 78],
  ppoll: [271, 73],
  dup3: [292, 24],
  pipe2: [293, 59],
  renameat2: [316, 276],
  memfd_create: [319, 279],
  statx: [332, 291],
  close_range: [436, 436],
} as const satisfies Readonly<Record<string, readonly [number, number]>>;

export type SystemCall = keyof typeof systemCalls;

/** A place to be filled in when all labels are known. */
interface Gap {
  readonly at: number;
  readonly label: string;
  fill(code: DataView, at: number, distance: number): void;
}

export abstract class Assembler {
  readonly #bytes: number[] = [];
  readonly #labels = new Map<string, number>();
  readonly #gaps: Gap[] = [];

  /** `to` = a number of up to 64 bits. */
  abstract set(to: Register, value: number | bigint): void;
  abstract copy(to: Register, from: Register): void;
  abstract add(to: Register, what: Register | number): void;
  abstract subtract(to: Register, what: Register | number): void;
  abstract and(to: Register, what: Register): void;
  abstract shiftRight(to: Register, bits: number): void;
  /** The upper bits become 0. */
  abstract load(width: Width, to: Register, base: Register, offset: number): void;
  abstract store(width: Width, from: Register, base: Register, offset: number): void;
  abstract address(to: Register, label: string): void;
  abstract jump(label: string): void;
  abstract branch(left: Register, condition: Condition, right: Register | number, label: string): void;
  /** Not from within what is called. */
  abstract call(label: string): void;
  abstract return(): void;
  /** The answer is in `t`: negative is an error's number. */
  abstract system(name: SystemCall, ...operands: readonly Operand[]): void;
  /** Goes on at an address, as a program that begins: with this stack, and no other register of interest. */
  abstract begin(at: Register, stack: Register): void;

  label(name: string): void {
    if (this.#labels.has(name)) throw new Error(`the label ${name} is there twice`);
    this.#labels.set(name, this.#bytes.length);
  }

  /** Data, aligned to `step`. */
  data(name: string, bytes: Uint8Array, step = 8): void {
    while (this.#bytes.length % step !== 0) this.#bytes.push(0);
    this.label(name);
    this.emit(...bytes);
  }

  finish(): Uint8Array {
    const code = Uint8Array.from(this.#bytes);
    for (const { at, label, fill } of this.#gaps) {
      const target = this.#labels.get(label);
      if (target === undefined) throw new Error(`the label ${label} is nowhere`);
      fill(new DataView(code.buffer), at, target - at);
    }
    return code;
  }

  protected emit(...bytes: readonly number[]): void {
    for (const byte of bytes) this.#bytes.push(byte & 0xff);
  }

  protected emitGap(size: number, label: string, fill: Gap['fill']): void {
    this.#gaps.push({ at: this.#bytes.length, label, fill });
    for (let index = 0; index < size; index += 1) this.#bytes.push(0);
  }
}
