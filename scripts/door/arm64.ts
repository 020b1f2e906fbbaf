/**
 * The door's instructions as AArch64 has them.
 * Source: Arm Architecture Reference Manual for A-profile, C6; syscall(2) for the calling convention.
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

const SP = 31;
const numbers: Readonly<Record<Register, number>> = {
  t: 9,
  u: 10,
  a: 19,
  b: 20,
  c: 21,
  d: 22,
  e: 23,
  frame: 29,
  stack: SP,
};
/** For a number or an address that an instruction has no room for. */
const spare = 16;

const conditions: Readonly<Record<Condition, number>> = {
  equal: 0,
  different: 1,
  above: 8,
  notLess: 10,
  less: 11,
};

/** LDR, unsigned offset; without bit 22 it is STR, without bit 24 the offset is in bytes and has a sign. */
const loads: Readonly<Record<Width, number>> = {
  1: 0x3940_0000,
  2: 0x7940_0000,
  4: 0xb940_0000,
  8: 0xf940_0000,
};

export class Arm64Assembler extends Assembler {
  set(to: Register, value: number | bigint): void {
    this.#set(numbers[to], value);
  }

  copy(to: Register, from: Register): void {
    this.#copy(numbers[to], numbers[from]);
  }

  add(to: Register, what: Register | number): void {
    if (typeof what === 'string') this.#add(numbers[to], numbers[to], numbers[what]);
    else this.#addNumber(numbers[to], numbers[to], what);
  }

  subtract(to: Register, what: Register | number): void {
    const number = numbers[to];
    if (typeof what === 'number') this.#addNumber(number, number, -what);
    else this.#word((0xcb20_6000 | (numbers[what] << 16) | (number << 5) | number) >>> 0);
  }

  and(to: Register, what: Register): void {
    const number = numbers[to];
    this.#word((0x8a00_0000 | (numbers[what] << 16) | (number << 5) | number) >>> 0);
  }

  shiftRight(to: Register, bits: number): void {
    const number = numbers[to];
    this.#word((0xd340_fc00 | (bits << 16) | (number << 5) | number) >>> 0);
  }

  load(width: Width, to: Register, base: Register, offset: number): void {
    this.#memory(loads[width], width, numbers[to], numbers[base], offset);
  }

  store(width: Width, from: Register, base: Register, offset: number): void {
    this.#memory((loads[width] & ~(1 << 22)) >>> 0, width, numbers[from], numbers[base], offset);
  }

  address(to: Register, label: string): void {
    this.#address(numbers[to], label);
  }

  jump(label: string): void {
    this.#relative(label, 0x1400_0000, (words) => words & 0x03ff_ffff);
  }

  branch(left: Register, condition: Condition, right: Register | number, label: string): void {
    const number = numbers[left];
    if (typeof right === 'string') this.#word((0xeb00_001f | (numbers[right] << 16) | (number << 5)) >>> 0);
    else if (right >= 0 && right < 4096) this.#word((0xf100_001f | (right << 10) | (number << 5)) >>> 0);
    else if (right < 0 && right > -4096) this.#word((0xb100_001f | (-right << 10) | (number << 5)) >>> 0);
    else {
      this.#set(spare, right);
      this.#word((0xeb00_001f | (spare << 16) | (number << 5)) >>> 0);
    }
    this.#relative(label, 0x5400_0000 | conditions[condition], (words) => (words & 0x7_ffff) << 5);
  }

  call(label: string): void {
    this.#relative(label, 0x9400_0000, (words) => words & 0x03ff_ffff);
  }

  return(): void {
    this.#word(0xd65f_03c0);
  }

  system(name: SystemCall, ...operands: readonly Operand[]): void {
    operands.forEach((operand, to) => {
      if (typeof operand === 'number') this.#set(to, operand);
      else if (typeof operand === 'string') this.#copy(to, numbers[operand]);
      else if ('label' in operand) this.#address(to, operand.label);
      else this.#addNumber(to, numbers.frame, operand.frame);
    });
    this.#set(8, systemCalls[name][1]);
    this.#word(0xd400_0001);
    this.#copy(numbers.t, 0);
  }

  begin(at: Register, stack: Register): void {
    this.copy('stack', stack);
    this.#set(0, 0);
    this.#word((0xd61f_0000 | (numbers[at] << 5)) >>> 0);
  }

  #word(word: number): void {
    this.emit(word, word >>> 8, word >>> 16, word >>> 24);
  }

  /** MOVZ, then MOVK for each further half-word that is not 0. */
  #set(to: number, value: number | bigint): void {
    const bits = BigInt.asUintN(64, BigInt(value));
    let operation = 0xd280_0000;
    for (let index = 0; index < 4; index += 1) {
      const half = Number((bits >> BigInt(16 * index)) & 0xffffn);
      if (half === 0 && !(bits === 0n && index === 0)) continue;
      this.#word((operation | (index << 21) | (half << 5) | to) >>> 0);
      operation = 0xf280_0000;
    }
  }

  /** The stack pointer can only be added to. */
  #copy(to: number, from: number): void {
    if (to === SP || from === SP) this.#word((0x9100_0000 | (from << 5) | to) >>> 0);
    else this.#word((0xaa00_03e0 | (from << 16) | to) >>> 0);
  }

  #add(to: number, left: number, right: number): void {
    this.#word((0x8b20_6000 | (right << 16) | (left << 5) | to) >>> 0);
  }

  #addNumber(to: number, from: number, value: number): void {
    const size = Math.abs(value);
    const operation = value < 0 ? 0xd100_0000 : 0x9100_0000;
    if (size < 4096) this.#word((operation | (size << 10) | (from << 5) | to) >>> 0);
    else if (size % 4096 === 0 && size < 1 << 24)
      this.#word((operation | (1 << 22) | ((size >> 12) << 10) | (from << 5) | to) >>> 0);
    else {
      this.#set(spare, value);
      this.#add(to, from, spare);
    }
  }

  #memory(operation: number, width: Width, register: number, base: number, offset: number): void {
    if (offset >= 0 && offset % width === 0 && offset / width < 4096)
      this.#word((operation | ((offset / width) << 10) | (base << 5) | register) >>> 0);
    else if (offset >= -256 && offset < 256)
      this.#word((operation & ~(1 << 24)) + (((offset & 0x1ff) << 12) | (base << 5) | register));
    else {
      this.#addNumber(spare, base, offset);
      this.#word((operation | (spare << 5) | register) >>> 0);
    }
  }

  /** ADR: up to a MiB away. */
  #address(to: number, label: string): void {
    this.emitGap(4, label, (code, at, distance) => {
      const word = 0x1000_0000 | ((distance & 3) << 29) | (((distance >> 2) & 0x7_ffff) << 5) | to;
      code.setUint32(at, word >>> 0, true);
    });
  }

  #relative(label: string, operation: number, place: (words: number) => number): void {
    this.emitGap(4, label, (code, at, distance) =>
      code.setUint32(at, (operation | place(distance >> 2)) >>> 0, true),
    );
  }
}
