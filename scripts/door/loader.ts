/**
 * What the kernel does for a dynamic executable, done by the door when Bun is to run after all: it maps the program
 * interpreter (ld.so), says so in the auxiliary vector, and begins there. The kernel doing it would cost every call
 * that a resident answers half a millisecond.
 * Sources: the kernel's fs/binfmt_elf.c (load_elf_interp), elf(5), getauxval(3).
 * @module
 */
import type { Assembler } from './assembler.ts';
import { frame } from './frame.ts';
import { cString } from './text.ts';
import { copyVector, isLeftOut, leftOut, settingTexts } from './vector.ts';

const AT_FDCWD = -100;
const O_CLOEXEC = 0o2000000;
const PT_LOAD = 1;
const PT_INTERP = 3;
const PROT_READ = 1;
const PROT_WRITE = 2;
const AT_NULL = 0;
const AT_PHDR = 3;
const AT_PAGESZ = 6;
const MAP_PRIVATE = 2;
const MAP_FIXED = 16;
const MAP_ANONYMOUS = 32;
const headerSize = 4096;
const programHeaderSize = 56;

export function startLoader(code: Assembler, entry: bigint, interpreter: number): void {
  code.label('load');
  readLoader(code);
  nameInterpreter(code, interpreter);
  mapLoader(code);
  copyVector(code, entry);
  code.load(8, 't', 'frame', frame.base);
  code.load(8, 'u', 'frame', frame.loader + 24);
  code.add('t', 'u');
  code.begin('t', 'e');
  code.label('broken');
  code.system('write', 2, { label: 'sorry' }, sorry.length);
  code.system('exit_group', 127);
  isLeftOut(code);
}

const sorry = 'kilowire-cni: the C library (ld.so) cannot be loaded\n';

export function texts(code: Assembler, loader: string): void {
  code.data('ld.so', cString(loader));
  code.data('sorry', cString(sorry));
  code.data('left-out', leftOut);
  settingTexts(code);
}

/** Descriptor in `d`, our own program headers in `a`, the size of a page in `e`; its mask and the first page of the file in the frame. */
function readLoader(code: Assembler): void {
  code.load(8, 'b', 'frame', frame.environment);
  code.label('skip-environment');
  code.load(8, 't', 'b', 0);
  code.add('b', 8);
  code.branch('t', 'different', 0, 'skip-environment');
  code.label('read-auxiliary');
  code.load(8, 't', 'b', 0);
  code.load(8, 'u', 'b', 8);
  code.add('b', 16);
  code.branch('t', 'equal', AT_NULL, 'auxiliary-read');
  code.branch('t', 'different', AT_PHDR, 'not-headers');
  code.copy('a', 'u');
  code.label('not-headers');
  code.branch('t', 'different', AT_PAGESZ, 'read-auxiliary');
  code.copy('e', 'u');
  code.jump('read-auxiliary');
  code.label('auxiliary-read');
  code.set('t', 0);
  code.subtract('t', 'e');
  code.store(8, 't', 'frame', frame.pageMask);
  code.system('openat', AT_FDCWD, { label: 'ld.so' }, O_CLOEXEC, 0);
  code.branch('t', 'less', 0, 'broken');
  code.copy('d', 't');
  code.system('pread64', 'd', { frame: frame.loader }, headerSize, 0);
  code.branch('t', 'less', 64, 'broken');
}

/** ld.so wants to find itself named in our program headers, `at` bytes from their beginning. */
function nameInterpreter(code: Assembler, at: number): void {
  code.copy('b', 'a');
  code.load(8, 't', 'frame', frame.pageMask);
  code.and('b', 't');
  code.system('mprotect', 'b', 'e', PROT_READ | PROT_WRITE);
  code.branch('t', 'different', 0, 'broken');
  code.set('t', PT_INTERP);
  code.store(4, 't', 'a', at);
  code.system('mprotect', 'b', 'e', PROT_READ);
}

/** `a` = the first program header, `b` = how many; the headers stand in the first page. */
function firstHeader(code: Assembler): void {
  code.copy('a', 'frame');
  code.add('a', frame.loader);
  code.load(8, 't', 'frame', frame.loader + 32);
  code.branch('t', 'above', 1024, 'broken');
  code.add('a', 't');
  code.load(2, 'b', 'frame', frame.loader + 56);
  code.branch('b', 'above', 40, 'broken');
}

function eachSegment(code: Assembler, name: string, body: () => void): void {
  firstHeader(code);
  code.label(`${name}-each`);
  code.branch('b', 'equal', 0, `${name}-end`);
  code.load(4, 't', 'a', 0);
  code.branch('t', 'different', PT_LOAD, `${name}-next`);
  body();
  code.label(`${name}-next`);
  code.add('a', programHeaderSize);
  code.subtract('b', 1);
  code.jump(`${name}-each`);
  code.label(`${name}-end`);
}

function mapLoader(code: Assembler): void {
  code.set('c', 0);
  eachSegment(code, 'measure', () => {
    code.load(8, 't', 'a', 16);
    code.load(8, 'u', 'a', 40);
    code.add('t', 'u');
    code.branch('c', 'above', 't', 'measure-next');
    code.copy('c', 't');
  });
  code.system('mmap', 0, 'c', 0, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  code.copy('c', 't');
  code.branch('c', 'less', 0, 'broken');
  code.store(8, 'c', 'frame', frame.base);
  eachSegment(code, 'map', () => {
    mapSegment(code);
    zeroRest(code);
  });
  code.system('close', 'd');
}

/** Where it begins goes into `c`, how much of the page before it is another's into `u`: both offsets move by that. */
function mapSegment(code: Assembler): void {
  code.load(8, 'c', 'a', 16);
  code.load(8, 't', 'frame', frame.pageMask);
  code.and('c', 't');
  code.load(8, 'u', 'a', 16);
  code.subtract('u', 'c');
  code.load(8, 'e', 'a', 8);
  code.subtract('e', 'u');
  code.load(8, 't', 'a', 32);
  code.add('u', 't');
  code.store(8, 'u', 'frame', frame.wordCount);
  code.load(8, 't', 'frame', frame.base);
  code.add('c', 't');
  protection(code);
  code.load(8, 'u', 'frame', frame.wordCount);
  code.system('mmap', 'c', 'u', 't', MAP_PRIVATE | MAP_FIXED, 'd', 'e');
  code.branch('t', 'different', 'c', 'broken');
}

/** PF_R is 4, PROT_READ is 1, and the other way round for what is executed; writing is 2 in both. Into `t`. */
function protection(code: Assembler): void {
  code.load(4, 't', 'a', 4);
  code.set('u', 2);
  code.and('t', 'u');
  code.store(8, 't', 'frame', frame.status);
  code.load(4, 't', 'a', 4);
  code.shiftRight('t', 2);
  code.set('u', 1);
  code.and('t', 'u');
  code.load(8, 'u', 'frame', frame.status);
  code.add('u', 't');
  code.store(8, 'u', 'frame', frame.status);
  code.load(4, 't', 'a', 4);
  code.set('u', 1);
  code.and('t', 'u');
  for (let twice = 0; twice < 2; twice += 1) code.add('t', 't');
  code.load(8, 'u', 'frame', frame.status);
  code.add('t', 'u');
}

/** What memory has more than the file: to the end of the page by hand, then in pages of its own. */
function zeroRest(code: Assembler): void {
  code.load(8, 't', 'a', 32);
  code.load(8, 'u', 'a', 40);
  code.branch('t', 'equal', 'u', 'map-next');
  code.load(8, 'c', 'a', 16);
  code.add('c', 't');
  code.load(8, 't', 'frame', frame.base);
  code.add('c', 't');
  code.label('zero');
  code.load(8, 'u', 'frame', frame.pageMask);
  code.copy('t', 'c');
  code.and('t', 'u');
  code.branch('t', 'equal', 'c', 'zeroed');
  code.set('t', 0);
  code.store(1, 't', 'c', 0);
  code.add('c', 1);
  code.jump('zero');
  code.label('zeroed');
  code.load(8, 'e', 'a', 16);
  code.load(8, 't', 'a', 40);
  code.add('e', 't');
  code.load(8, 't', 'frame', frame.base);
  code.add('e', 't');
  code.subtract('e', 'c');
  code.branch('e', 'less', 1, 'map-next');
  code.load(4, 't', 'a', 4);
  protection(code);
  code.system('mmap', 'c', 'e', 't', MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0);
  code.branch('t', 'different', 'c', 'broken');
}
