/**
 * The door's instructions as x86-64 has them.
 * Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2; syscall(2) for the calling convention.
 * @module
 */
import {
  Assembler,
  type Condition,
  type Operand,
  type Register,
  type SystemCall,
  systemCalls,
  type Width,
} from './assembler.ts';

/** rax and rcx are what the kernel changes; the others survive a system call. */
const numbers: Readonly<Record<Register, number>> = {
  t: 0,
  u: 1,
  a: 3,
  stack: 4,
  frame: 5,
  b: 12,
  c: 13,
  d: 14,
  e: 15,
};

/** rdi, rsi, rdx, r10, r8, r9 */
const operandNumbers = [7, 6, 2, 10, 8, 9];

const conditions: Readonly<Record<Condition, number>> = {
  equal: 0x84,
  different: 0x85,
  less: 0x8c,
  notLess: 0x8d,
  above: 0x87,
};

const bytesOf = (value: number | bigint, count: number): number[] =>
  Array.from({ length: count }, (_, index) => Number((BigInt(value) >> BigInt(8 * index)) & 0xffn));

export class X64Assembler extends Assembler {
  set(to: Register, value: number | bigint): void {
    this.#set(numbers[to], value);
  }

  copy(to: Register, from: Register): void {
    this.#between(0x89, numbers[to], numbers[from]);
  }

  add(to: Register, what: Register | number): void {
    this.#arithmetic(0x01, 0, to, what);
  }

  subtract(to: Register, what: Register | number): void {
    this.#arithmetic(0x29, 5, to, what);
  }

  and(to: Register, what: Register): void {
    this.#between(0x21, numbers[to], numbers[what]);
  }

  shiftRight(to: Register, bits: number): void {
    const number = numbers[to];
    this.emit(rex(0, number), 0xc1, 0xe8 | (number & 7), bits);
  }

  load(width: Width, to: Register, base: Register, offset: number): void {
    const wide = width === 8 ? 8 : 0;
    const operation = width === 1 ? [0x0f, 0xb6] : width === 2 ? [0x0f, 0xb7] : [0x8b];
    this.#memory([], wide, operation, numbers[to], numbers[base], offset);
  }

  store(width: Width, from: Register, base: Register, offset: number): void {
    const wide = width === 8 ? 8 : 0;
    const prefix = width === 2 ? [0x66] : [];
    this.#memory(prefix, wide, [width === 1 ? 0x88 : 0x89], numbers[from], numbers[base], offset);
  }

  address(to: Register, label: string): void {
    this.#address(numbers[to], label);
  }

  jump(label: string): void {
    this.emit(0xe9);
    this.#relative(label);
  }

  branch(left: Register, condition: Condition, right: Register | number, label: string): void {
    this.#arithmetic(0x39, 7, left, right);
    this.emit(0x0f, conditions[condition]);
    this.#relative(label);
  }

  call(label: string): void {
    this.emit(0xe8);
    this.#relative(label);
  }

  return(): void {
    this.emit(0xc3);
  }

  system(name: SystemCall, ...operands: readonly Operand[]): void {
    operands.forEach((operand, index) => {
      const to = operandNumbers[index] as number;
      if (typeof operand === 'number') this.#set(to, operand);
      else if (typeof operand === 'string') this.#between(0x89, to, numbers[operand]);
      else if ('label' in operand) this.#address(to, operand.label);
      else this.#memory([], 8, [0x8d], to, numbers.frame, operand.frame);
    });
    this.#set(numbers.t, systemCalls[name][0]);
    this.emit(0x0f, 0x05);
  }

  begin(at: Register, stack: Register): void {
    this.copy('stack', stack);
    // rdx would be a function to call at the end.
    this.emit(0x31, 0xd2);
    const number = numbers[at];
    this.emit(rex(0, number), 0xff, 0xe0 | (number & 7));
  }

  #set(to: number, value: number | bigint): void {
    if (value >= 0 && value < 2 ** 31) {
      this.emit(0x40 | (to >> 3), 0xb8 | (to & 7), ...bytesOf(value, 4));
    } else if (value < 0 && value >= -(2 ** 31)) {
      this.emit(rex(0, to), 0xc7, 0xc0 | (to & 7), ...bytesOf(value, 4));
    } else this.emit(rex(0, to), 0xb8 | (to & 7), ...bytesOf(value, 8));
  }

  #between(operation: number, to: number, from: number): void {
    this.emit(rex(from, to), operation, 0xc0 | ((from & 7) << 3) | (to & 7));
  }

  #arithmetic(operation: number, extension: number, to: Register, what: Register | number): void {
    if (typeof what === 'string') this.#between(operation, numbers[to], numbers[what]);
    else {
      const number = numbers[to];
      this.emit(rex(0, number), 0x81, 0xc0 | (extension << 3) | (number & 7), ...bytesOf(what, 4));
    }
  }

  #memory(
    prefix: readonly number[],
    wide: number,
    operation: readonly number[],
    register: number,
    base: number,
    offset: number,
  ): void {
    // rsp and r12 as a base need the byte behind it.
    const sib = (base & 7) === 4 ? [0x24] : [];
    const modrm = 0x80 | ((register & 7) << 3) | (base & 7);
    const rexByte = 0x40 | wide | ((register >> 3) << 2) | (base >> 3);
    this.emit(...prefix, rexByte, ...operation, modrm, ...sib, ...bytesOf(offset, 4));
  }

  #address(to: number, label: string): void {
    this.emit(0x48 | ((to >> 3) << 2), 0x8d, 0x05 | ((to & 7) << 3));
    this.#relative(label);
  }

  /** Counted from the next instruction. */
  #relative(label: string): void {
    this.emitGap(4, label, (code, at, distance) => code.setInt32(at, distance - 4, true));
  }
}

/** REX.W, with the upper bits of both registers. */
const rex = (register: number, base: number): number => 0x48 | ((register >> 3) << 2) | (base >> 3);
