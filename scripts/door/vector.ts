/**
 * The stack that the program behind the door begins with: the kernel's, without the variables that change how the C
 * library and the runtime behave, and with what the kernel would have said of the program interpreter.
 * Sources: the kernel's fs/binfmt_elf.c (create_elf_tables), getauxval(3), ld.so(8).
 * @module
 */
import type { Assembler } from './assembler.ts';
import { frame, workerVariable } from './frame.ts';
import { cString } from './text.ts';

const AT_NULL = 0;
const AT_BASE = 7;
const AT_ENTRY = 9;

/** Of ld.so, of the C library's allocator, of Bun and its engine; the last one is our own. */
const names = ['LD_', 'GLIBC_TUNABLES=', 'MALLOC_', 'MIMALLOC_', 'BUN_', 'JSC_', 'NODE_', workerVariable];
export const leftOut: Uint8Array = Uint8Array.from([...names.flatMap((name) => [...cString(name)]), 0]);

/**
 * What the runtime is to leave alone in a program that lives for ten milliseconds: a thread that prepares memory, and
 * another with it; machine code for regular expressions. It ends at a name that it does not know.
 */
const settings: readonly string[] = ['BUN_JSC_useWarmUpMarkedBlocks=0', 'BUN_JSC_useRegExpJIT=0'];
const settingLabels = settings.map((_, index) => `setting-${index}`);

export function settingTexts(code: Assembler): void {
  settings.forEach((text, index) => {
    code.data(`setting-${index}`, cString(text));
  });
}

/** The new stack, in `e`, below the frame: argc, argv, variables of ours, envp without what is left out, auxv. */
export function copyVector(code: Assembler, entry: bigint): void {
  code.load(8, 'a', 'frame', frame.vector);
  measureVector(code);
  // As long as the old one with ours, on a boundary of sixteen.
  code.copy('e', 'frame');
  code.subtract('e', 't');
  code.subtract('e', 8 * (settings.length + 1));
  code.set('u', -16);
  code.and('e', 'u');
  code.copy('c', 'e');
  code.load(8, 'b', 'frame', frame.environment);
  code.label('copy-arguments');
  code.load(8, 't', 'a', 0);
  code.store(8, 't', 'c', 0);
  code.add('a', 8);
  code.add('c', 8);
  code.branch('a', 'different', 'b', 'copy-arguments');
  for (const label of settingLabels) {
    code.address('t', label);
    code.store(8, 't', 'c', 0);
    code.add('c', 8);
  }
  code.load(8, 't', 'frame', frame.isWorker);
  code.branch('t', 'equal', 0, 'copy-environment');
  code.copy('t', 'frame');
  code.add('t', frame.variable);
  code.store(8, 't', 'c', 0);
  code.add('c', 8);
  code.label('copy-environment');
  code.load(8, 'b', 'a', 0);
  code.add('a', 8);
  code.branch('b', 'equal', 0, 'environment-copied');
  code.call('is-left-out');
  code.branch('t', 'equal', 1, 'copy-environment');
  code.store(8, 'b', 'c', 0);
  code.add('c', 8);
  code.jump('copy-environment');
  code.label('environment-copied');
  code.store(8, 'b', 'c', 0);
  code.add('c', 8);
  copyAuxiliary(code, entry);
}

/** Bytes from `a` to the end, in `t`. */
function measureVector(code: Assembler): void {
  code.load(8, 'b', 'frame', frame.environment);
  code.label('measure-environment');
  code.load(8, 't', 'b', 0);
  code.add('b', 8);
  code.branch('t', 'different', 0, 'measure-environment');
  code.label('measure-auxiliary');
  code.load(8, 't', 'b', 0);
  code.add('b', 16);
  code.branch('t', 'different', AT_NULL, 'measure-auxiliary');
  code.copy('t', 'b');
  code.subtract('t', 'a');
}

function copyAuxiliary(code: Assembler, entry: bigint): void {
  code.label('copy-auxiliary');
  code.load(8, 't', 'a', 0);
  code.load(8, 'u', 'a', 8);
  code.branch('t', 'different', AT_BASE, 'not-base');
  code.load(8, 'u', 'frame', frame.base);
  code.label('not-base');
  code.branch('t', 'different', AT_ENTRY, 'not-entry');
  code.set('u', entry);
  code.label('not-entry');
  code.store(8, 't', 'c', 0);
  code.store(8, 'u', 'c', 8);
  code.add('a', 16);
  code.add('c', 16);
  code.branch('t', 'different', AT_NULL, 'copy-auxiliary');
}

/** Of the variable at `b`: 1 in `t` when it begins as one of the table does. Changes `d`. */
export function isLeftOut(code: Assembler): void {
  code.label('is-left-out');
  code.store(8, 'a', 'frame', frame.status);
  code.address('d', 'left-out');
  code.label('name');
  code.copy('a', 'b');
  code.label('letter');
  code.load(1, 'u', 'd', 0);
  code.branch('u', 'equal', 0, 'is-left-out-yes');
  code.load(1, 't', 'a', 0);
  code.branch('t', 'different', 'u', 'skip-name');
  code.add('a', 1);
  code.add('d', 1);
  code.jump('letter');
  code.label('skip-name');
  code.load(1, 'u', 'd', 0);
  code.add('d', 1);
  code.branch('u', 'different', 0, 'skip-name');
  code.load(1, 'u', 'd', 0);
  code.branch('u', 'different', 0, 'name');
  code.set('t', 0);
  code.jump('left-out-told');
  code.label('is-left-out-yes');
  code.set('t', 1);
  code.label('left-out-told');
  code.load(8, 'a', 'frame', frame.status);
  code.return();
}
