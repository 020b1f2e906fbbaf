/**
 * The first code of the CNI executable, before Bun and before the C library: it asks a resident process to do the work,
 * and starts Bun only when there is none.
 *
 *     entry ── resident? ──yes── stdin → socket → answer → stdout, exit          half a millisecond
 *                 │ no                     └── "do it yourself", EOF: stdin from memory ──┐
 *                 └── ADD: fork ── parent waits for the status                            │
 *                                └─ child ── Bun, as ever; may stay as the resident ◄─────┘ (without fork)
 *
 * Sources: the kernel's fs/binfmt_elf.c for the stack of a new process, unix(7), cni.md in docs/.
 * @module
 */
import type { Assembler } from './assembler.ts';
import { ask, keepInput, readInput, takeAnswer, waitForReady } from './conversation.ts';
import { forkWorker } from './fork.ts';
import { folder, frame, frameSize, longestWaitSeconds, mostText, namespaces } from './frame.ts';
import { startLoader, texts } from './loader.ts';
import { placeTexts } from './place.ts';
import { cString } from './text.ts';

const AT_FDCWD = -100;
const EAGAIN = -11;
const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const SO_RCVTIMEO = 20;
const F_GETFD = 1;
const F_SETFL = 4;

/** Little-endian, as both processors read it. */
const word = (text: string): bigint =>
  [...new TextEncoder().encode(text)].reduce(
    (sum, byte, index) => sum | (BigInt(byte) << BigInt(8 * index)),
    0n,
  );

export interface Original {
  /** Path of the program interpreter that the file named. */
  readonly loader: string;
  /** Where the header that named it is, among the program headers. */
  readonly interpreter: number;
  /** Where the program would have begun. */
  readonly entry: bigint;
  /** Of the executable: sixteen digits. */
  readonly fingerprint: string;
}

export function doorProgram(code: Assembler, original: Original): Uint8Array {
  const { loader, interpreter, entry, fingerprint } = original;
  code.label('door');
  readVector(code);
  readEnvironment(code);
  connect(code);
  readInput(code);
  ask(code, fingerprint);
  takeAnswer(code);
  keepInput(code);
  forkWorker(code, fingerprint);
  startLoader(code, entry, interpreter);
  waitForReady(code);
  for (const name of namespaces) code.data(`ns-${name}`, cString(`/proc/self/ns/${name}`));
  code.data('memory-name', cString('kilowire-cni'));
  texts(code, loader);
  placeTexts(code);
  return code.finish();
}

function readVector(code: Assembler): void {
  code.copy('a', 'stack');
  code.subtract('stack', frameSize);
  code.copy('frame', 'stack');
  code.store(8, 'a', 'frame', frame.vector);
  code.set('t', 0);
  for (const place of [
    frame.command,
    frame.isAdd,
    frame.isLoopback,
    frame.hasWritten,
    frame.isWorker,
    frame.addressLength,
    frame.tries,
  ] as const)
    code.store(8, 't', 'frame', place);
  code.copy('c', 'a');
  code.add('c', 8);
  code.label('arguments');
  code.load(8, 't', 'c', 0);
  code.add('c', 8);
  code.branch('t', 'different', 0, 'arguments');
  code.store(8, 'c', 'frame', frame.environment);
}

/** Whoever gives arguments, or no CNI_COMMAND, is a person. */
function readEnvironment(code: Assembler): void {
  code.load(8, 't', 'a', 0);
  code.branch('t', 'different', 1, 'load');
  code.load(8, 'd', 'a', 8);
  code.store(8, 'd', 'frame', frame.text);
  code.label('variables');
  code.load(8, 'b', 'c', 0);
  code.branch('b', 'equal', 0, 'variables-read');
  code.copy('d', 'b');
  code.load(8, 't', 'b', 0);
  code.set('u', word('CNI_IFNA'));
  code.branch('t', 'different', 'u', 'not-interface');
  code.load(4, 't', 'b', 8);
  code.set('u', word('ME=l'));
  code.branch('t', 'different', 'u', 'next-variable');
  code.load(1, 't', 'b', 12);
  code.branch('t', 'different', 'o'.charCodeAt(0), 'next-variable');
  code.load(1, 't', 'b', 13);
  code.branch('t', 'different', 0, 'next-variable');
  code.set('t', 1);
  code.store(8, 't', 'frame', frame.isLoopback);
  code.jump('next-variable');
  code.label('not-interface');
  code.set('u', word('CNI_COMM'));
  code.branch('t', 'different', 'u', 'next-variable');
  code.load(4, 't', 'b', 8);
  code.set('u', word('AND='));
  code.branch('t', 'different', 'u', 'next-variable');
  code.store(8, 'b', 'frame', frame.command);
  code.label('next-variable');
  code.add('c', 8);
  code.jump('variables');
  code.label('variables-read');
  code.label('last-length');
  code.load(1, 't', 'd', 0);
  code.add('d', 1);
  code.branch('t', 'different', 0, 'last-length');
  code.load(8, 't', 'frame', frame.text);
  code.subtract('d', 't');
  code.store(8, 'd', 'frame', frame.textLength);
  code.load(8, 'b', 'frame', frame.command);
  code.branch('b', 'equal', 0, 'load');
  code.branch('d', 'above', mostText, 'load');
  code.load(4, 't', 'b', 12);
  code.set('u', word('ADD\0'));
  code.branch('t', 'different', 'u', 'not-add');
  // containerd asks for lo and eth0 at once: who has no network to tell of becomes no resident, and lets nobody wait for it.
  code.load(8, 't', 'frame', frame.isLoopback);
  code.branch('t', 'different', 0, 'not-add');
  code.set('t', 1);
  code.store(8, 't', 'frame', frame.isAdd);
  code.label('not-add');
  code.system('geteuid');
  code.branch('t', 'different', 0, 'load');
  // What is closed would be the next thing that is opened.
  for (const fd of [0, 1, 2]) {
    code.system('fcntl', fd, F_GETFD, 0);
    code.branch('t', 'less', 0, 'load');
  }
}

/** The socket is named after the namespaces that a caller sees; only root may have made it. */
function connect(code: Assembler): void {
  const place = frame.address;
  code.set('t', AF_UNIX);
  code.store(2, 't', 'frame', place);
  for (const at of [0, 8, folder.length - 8]) {
    code.set('t', word(folder.slice(at, at + 8)));
    code.store(8, 't', 'frame', place + 2 + at);
  }
  code.copy('b', 'frame');
  code.add('b', place + 2 + folder.length);
  namespaces.forEach((name, index) => {
    if (index > 0) {
      code.set('t', '-'.charCodeAt(0));
      code.store(1, 't', 'b', 0);
      code.add('b', 1);
    }
    code.system('readlinkat', AT_FDCWD, { label: `ns-${name}` }, 'b', 20);
    code.branch('t', 'less', 1, 'cold');
    code.branch('t', 'notLess', 20, 'cold');
    code.add('b', 't');
  });
  code.set('t', 0);
  code.store(1, 't', 'b', 0);
  code.add('b', 1);
  code.subtract('b', 'frame');
  code.subtract('b', place);
  code.store(8, 'b', 'frame', frame.addressLength);
  code.label('connect');
  code.load(8, 'b', 'frame', frame.addressLength);
  code.system('socket', AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  code.branch('t', 'less', 0, 'load');
  code.store(8, 't', 'frame', frame.socket);
  code.copy('e', 't');
  code.system('connect', 'e', { frame: place }, 'b');
  code.branch('t', 'equal', 0, 'connected');
  code.copy('b', 't');
  code.system('close', 'e');
  // So busy that its queue is full: one more resident would not help.
  code.branch('b', 'equal', EAGAIN, 'load');
  code.jump('cold');
  code.label('connected');
  code.system('fcntl', 'e', F_SETFL, 0);
  code.set('t', 12);
  code.store(4, 't', 'frame', frame.credentialsLength);
  code.system(
    'getsockopt',
    'e',
    SOL_SOCKET,
    SO_PEERCRED,
    { frame: frame.credentials },
    {
      frame: frame.credentialsLength,
    },
  );
  code.branch('t', 'different', 0, 'load');
  code.load(4, 't', 'frame', frame.credentials + 4);
  code.branch('t', 'different', 0, 'load');
  code.set('t', longestWaitSeconds);
  code.store(8, 't', 'frame', frame.time);
  code.set('t', 0);
  code.store(8, 't', 'frame', frame.time + 8);
  code.system('setsockopt', 'e', SOL_SOCKET, SO_RCVTIMEO, { frame: frame.time }, 16);
}
