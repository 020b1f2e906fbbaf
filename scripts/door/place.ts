/**
 * An ADD that finds no resident is about to become one, so it listens before it loads anything: who calls meanwhile waits
 * in its queue, which is shorter than to start a process, when a hundred pods come at once to a node at rest.
 * What src/cni/resident/place.ts says of the lock holds here too; that is who takes the place over, or gives it up.
 * Sources: flock(2), unix(7), statx(2).
 * @module
 */
import type { Assembler } from './assembler.ts';
import { folder, frame } from './frame.ts';
import { cString } from './text.ts';

const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const O_WRONLY = 1;
const O_CREAT = 0o100;
const O_CLOEXEC = 0o2000000;
const ENOENT = -2;
const EAGAIN = -11;
const LOCK_EX_NB = 6;
const STATX_NLINK = 4;
const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const SOCK_CLOEXEC = 0o2000000;
const backlog = 128;
const mostTries = 5;
const tryAgainNs = 1_000_000;
const path = frame.address + 2;
/** The address with room for a suffix, in words of eight bytes. */
const words = 14;

/** Goes on with the socket in `frame.listener` and the lock that is held in `frame.lock`, or with 0 in both. */
export function takePlace(code: Assembler): void {
  openLock(code);
  code.system('flock', 'e', LOCK_EX_NB);
  code.branch('t', 'equal', 0, 'locked');
  code.copy('c', 't');
  code.system('close', 'e');
  code.branch('c', 'different', EAGAIN, 'no-place');
  tryAgain(code);
  code.label('locked');
  // The one who had it may have unlinked it a moment ago.
  code.system('statx', 'e', { label: 'empty' }, AT_EMPTY_PATH, STATX_NLINK, { frame: frame.reply });
  code.branch('t', 'different', 0, 'no-lock');
  code.load(4, 't', 'frame', frame.reply + 16);
  code.branch('t', 'equal', 0, 'no-lock');
  // Nobody may take the number in it for ours.
  code.system('ftruncate', 'e', 0);
  listen(code);
  code.store(8, 'e', 'frame', frame.lock);
  code.store(8, 'd', 'frame', frame.listener);
  code.jump('place-taken');
  code.label('no-listener');
  code.system('close', 'd');
  code.label('no-lock');
  code.system('close', 'e');
  code.label('no-place');
  code.set('t', 0);
  code.store(8, 't', 'frame', frame.lock);
  code.store(8, 't', 'frame', frame.listener);
  code.label('place-taken');
}

/** Into `e`. */
function openLock(code: Assembler): void {
  // Whose namespaces have no names has no place either.
  code.load(8, 't', 'frame', frame.addressLength);
  code.branch('t', 'equal', 0, 'no-place');
  for (let word = 0; word < words; word += 1) {
    code.load(8, 't', 'frame', frame.address + 8 * word);
    code.store(8, 't', 'frame', frame.draft + 8 * word);
  }
  suffix(code, '.lock');
  code.system('openat', AT_FDCWD, { frame: frame.draft + 2 }, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600);
  code.branch('t', 'notLess', 0, 'lock-opened');
  code.branch('t', 'different', ENOENT, 'no-place');
  code.system('mkdirat', AT_FDCWD, { label: 'outer-folder' }, 0o755);
  code.system('mkdirat', AT_FDCWD, { label: 'inner-folder' }, 0o700);
  code.system('openat', AT_FDCWD, { frame: frame.draft + 2 }, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600);
  code.branch('t', 'less', 0, 'no-place');
  code.label('lock-opened');
  code.copy('e', 't');
}

/** Another one begins to listen in this moment, or has just stopped. */
function tryAgain(code: Assembler): void {
  code.load(8, 't', 'frame', frame.tries);
  code.branch('t', 'equal', mostTries, 'no-place');
  code.add('t', 1);
  code.store(8, 't', 'frame', frame.tries);
  code.set('t', 0);
  code.store(8, 't', 'frame', frame.time);
  code.set('t', tryAgainNs);
  code.store(8, 't', 'frame', frame.time + 8);
  code.system('ppoll', 0, 0, { frame: frame.time }, 0, 0);
  code.jump('connect');
}

/** `d`: in one step the path leads to a socket that listens. */
function listen(code: Assembler): void {
  suffix(code, '.new');
  code.system('unlinkat', AT_FDCWD, { frame: frame.draft + 2 }, 0);
  code.system('socket', AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  code.branch('t', 'less', 0, 'no-lock');
  code.copy('d', 't');
  code.load(8, 'c', 'frame', frame.addressLength);
  code.add('c', '.new'.length);
  code.system('bind', 'd', { frame: frame.draft }, 'c');
  code.branch('t', 'different', 0, 'no-listener');
  code.system('listen', 'd', backlog);
  code.branch('t', 'different', 0, 'no-listener');
  code.system('renameat2', AT_FDCWD, { frame: frame.draft + 2 }, AT_FDCWD, { frame: path }, 0);
  code.branch('t', 'different', 0, 'no-listener');
}

/** Behind the name, in place of the 0 at its end, which is counted in its length. */
function suffix(code: Assembler, text: string): void {
  code.load(8, 'c', 'frame', frame.addressLength);
  code.add('c', 'frame');
  for (const [index, byte] of cString(text).entries()) {
    code.set('t', byte);
    code.store(1, 't', 'c', frame.draft - 1 + index);
  }
}

export function placeTexts(code: Assembler): void {
  code.data('outer-folder', cString(parentOf(folder.slice(0, -1))));
  code.data('inner-folder', cString(folder.slice(0, -1)));
  code.data('empty', cString(''));
}

const parentOf = (text: string): string => text.slice(0, text.lastIndexOf('/'));
