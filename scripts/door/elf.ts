/**
 * Puts the door into an executable: its code at the end of the file, the header of the notes made one of a segment that
 * is loaded, and the entry point there. No interpreter is named any more; the door maps it when it is needed.
 * Source: elf(5); System V Application Binary Interface, chapter 5.
 * @module
 */
import { Arm64Assembler } from './arm64.ts';
import type { Assembler } from './assembler.ts';
import { doorProgram } from './program.ts';
import { X64Assembler } from './x64.ts';

const EM_X86_64 = 62;
const EM_AARCH64 = 183;
const PT_NULL = 0;
const PT_LOAD = 1;
const PT_INTERP = 3;
const PT_NOTE = 4;
const PF_R_X = 5;
/** As large as pages get on either machine. */
const boundary = 65_536n;

const roundUp = (value: bigint): bigint => (value + boundary - 1n) & -boundary;

function assemblerFor(machine: number): Assembler {
  if (machine === EM_X86_64) return new X64Assembler();
  if (machine === EM_AARCH64) return new Arm64Assembler();
  throw new Error(`the door is for x86-64 and AArch64, not for ELF machine ${machine}`);
}

export interface Door {
  readonly head: Uint8Array;
  /** Goes to `at`, the file's new end. */
  readonly code: Uint8Array;
  readonly at: number;
}

/** What to change in a file of this `length` that begins with `head`; `fingerprint` tells it from every other build. */
export function doorFor(head: Uint8Array, length: number, fingerprint: string): Door {
  const changed = Uint8Array.from(head);
  const view = new DataView(changed.buffer);
  if (view.getUint32(0) !== 0x7f45_4c46 || view.getUint8(4) !== 2 || view.getUint8(5) !== 1)
    throw new Error('the door is for a 64-bit little-endian ELF file');
  const first = Number(view.getBigUint64(32, true));
  const headers = Array.from({ length: view.getUint16(56, true) }, (_, index) => first + 56 * index);
  const typeOf = (at: number): number => view.getUint32(at, true);
  const note = headers.findLast((at) => typeOf(at) === PT_NOTE);
  const interpreter = headers.find((at) => typeOf(at) === PT_INTERP);
  const loads = headers.filter((at) => typeOf(at) === PT_LOAD);
  const lastLoad = loads.at(-1);
  // Segments that are loaded have to stand in the order of their addresses.
  if (note === undefined || interpreter === undefined || lastLoad === undefined || note < lastLoad)
    throw new Error("the executable's program headers are not as Bun's were: the door has no place");
  const begin = Number(view.getBigUint64(interpreter + 8, true));
  const loader = new TextDecoder().decode(head.subarray(begin, head.indexOf(0, begin)));
  const end = view.getBigUint64(lastLoad + 16, true) + view.getBigUint64(lastLoad + 40, true);
  const entry = view.getBigUint64(24, true);
  const original = { loader, interpreter: interpreter - first, entry, fingerprint };
  const code = doorProgram(assemblerFor(view.getUint16(18, true)), original);
  const at = roundUp(BigInt(length));
  const address = roundUp(end) + boundary;
  view.setUint32(interpreter, PT_NULL, true);
  view.setUint32(note, PT_LOAD, true);
  view.setUint32(note + 4, PF_R_X, true);
  for (const [place, value] of [
    [8, at],
    [16, address],
    [24, address],
    [32, BigInt(code.length)],
    [40, BigInt(code.length)],
    [48, boundary],
  ] as const)
    view.setBigUint64(note + place, value, true);
  view.setBigUint64(24, address, true);
  return { head: changed, code, at: Number(at) };
}
