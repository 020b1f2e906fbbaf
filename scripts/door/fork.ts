/**
 * An ADD for which there is no resident may become one. A process cannot end for its caller and go on, so it forks while
 * that is cheap, before anything is loaded: the parent waits and ends with the child's status, and a parent that is
 * killed takes the child with it, so a caller sees one process as ever.
 *
 * A second one, the sweeper, waits on a pipe: for each word in it, it deletes the link group of what DEL gave up, which
 * takes the kernel 20 ms that nobody else has to wait for. It has no more memory than this code, and ends with the pipe.
 * Sources: clone(2), prctl(2) PR_SET_PDEATHSIG, src/cni/abandoned.ts.
 * @module
 */
import type { Assembler } from './assembler.ts';
import { frame, workerVariable } from './frame.ts';
import { takePlace } from './place.ts';
import { cString } from './text.ts';

const O_CLOEXEC = 0o2000000;
const SIGCHLD = 17;
const SIGKILL = 9;
const PR_SET_PDEATHSIG = 1;
const EINTR = -4;
const AF_NETLINK = 16;
const SOCK_RAW = 3;
const CLOSE_FROM = 3;
const last = 0xffff_ffff;

/** `struct nlmsghdr` of RTM_DELLINK with NLM_F_REQUEST, `struct ifinfomsg`, and IFLA_GROUP. */
export function deletionOf(group: number): Uint8Array {
  const bytes = new Uint8Array(40);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint16(4, 17, true);
  view.setUint16(6, 1, true);
  view.setUint16(32, 8, true);
  view.setUint16(34, 27, true);
  view.setUint32(36, group, true);
  return bytes;
}

const abandonedGroup = 0x6b69_6c6f;

/** `fingerprint` of the executable: a resident works for callers of the same one only. */
export function forkWorker(code: Assembler, fingerprint: string): void {
  code.label('cold');
  code.load(8, 't', 'frame', frame.isAdd);
  code.branch('t', 'equal', 0, 'load');
  takePlace(code);
  code.system('getpid');
  code.store(8, 't', 'frame', frame.parent);
  code.system('pipe2', { frame: frame.statusPipe }, O_CLOEXEC);
  code.branch('t', 'less', 0, 'no-pipe');
  code.system('clone', SIGCHLD, 0, 0, 0, 0);
  code.branch('t', 'equal', 0, 'worker');
  code.copy('a', 't');
  code.branch('a', 'less', 0, 'no-worker');
  awaitWorker(code);
  code.label('no-worker');
  closeBoth(code, frame.statusPipe);
  code.label('no-pipe');
  closePlace(code, 'alone');
  code.jump('load');
  becomeWorker(code, fingerprint);
  sweep(code);
}

/** One byte is its status. None: it ended like any process, and so do we. */
function awaitWorker(code: Assembler): void {
  closePlace(code, 'parent');
  code.load(4, 'b', 'frame', frame.statusPipe + 4);
  code.system('close', 'b');
  code.load(4, 'b', 'frame', frame.statusPipe);
  code.label('await');
  code.system('read', 'b', { frame: frame.status }, 1);
  code.branch('t', 'equal', EINTR, 'await');
  code.branch('t', 'different', 1, 'no-status');
  code.load(1, 'b', 'frame', frame.status);
  code.system('exit_group', 'b');
  code.label('no-status');
  code.system('wait4', 'a', { frame: frame.status }, 0, 0);
  code.branch('t', 'equal', EINTR, 'no-status');
  code.load(1, 'c', 'frame', frame.status);
  code.load(1, 'b', 'frame', frame.status + 1);
  code.branch('c', 'equal', 0, 'exited');
  // The uppermost bit says that there is a core file.
  code.set('t', 0x7f);
  code.and('c', 't');
  code.load(8, 'a', 'frame', frame.parent);
  code.system('kill', 'a', 'c');
  code.copy('b', 'c');
  code.add('b', 128);
  code.label('exited');
  code.system('exit_group', 'b');
}

function becomeWorker(code: Assembler, fingerprint: string): void {
  code.label('worker');
  code.system('prctl', PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  code.load(8, 'b', 'frame', frame.parent);
  code.system('getppid');
  code.branch('t', 'equal', 'b', 'has-parent');
  code.system('exit_group', 1);
  code.label('has-parent');
  code.load(4, 'b', 'frame', frame.statusPipe);
  code.system('close', 'b');
  code.system('pipe2', { frame: frame.sweepPipe }, O_CLOEXEC);
  code.branch('t', 'less', 0, 'broken');
  code.system('clone', SIGCHLD, 0, 0, 0, 0);
  code.branch('t', 'equal', 0, 'sweeper');
  code.load(4, 'b', 'frame', frame.sweepPipe);
  code.system('close', 'b');
  code.set('t', 1);
  code.store(8, 't', 'frame', frame.isWorker);
  sayDescriptors(code, fingerprint);
  code.jump('load');
}

/**
 * "KILOWIRE_CNI_DOOR=0123456789abcdefaaaaaaaaaaaaaaaa": the fingerprint, then the numbers of the status pipe, the
 * sweeper's, the socket and the lock, four bits in each letter from 'a'.
 */
function sayDescriptors(code: Assembler, fingerprint: string): void {
  const text = cString(`${workerVariable}${fingerprint}`);
  const digits = text.length - 1;
  text.forEach((byte, index) => {
    code.set('t', byte);
    code.store(1, 't', 'frame', frame.variable + index);
  });
  const places = [frame.statusPipe + 4, frame.sweepPipe + 4, frame.listener, frame.lock];
  places.forEach((place, which) => {
    for (let digit = 0; digit < 4; digit += 1) {
      code.load(4, 't', 'frame', place);
      if (digit < 3) code.shiftRight('t', 4 * (3 - digit));
      code.set('u', 15);
      code.and('t', 'u');
      code.add('t', 'a'.charCodeAt(0));
      code.store(1, 't', 'frame', frame.variable + digits + 4 * which + digit);
    }
  });
  code.set('t', 0);
  code.store(1, 't', 'frame', frame.variable + digits + 4 * places.length);
}

/** With nothing open but the pipe, as its standard input, and a socket; in a session of its own. */
function sweep(code: Assembler): void {
  code.label('sweeper');
  code.system('setsid');
  code.load(4, 'b', 'frame', frame.sweepPipe);
  code.system('dup3', 'b', 0, 0);
  closeBoth(code, frame.sweepPipe);
  code.load(4, 'b', 'frame', frame.statusPipe + 4);
  code.system('close', 'b');
  code.system('close', 1);
  code.system('close', 2);
  code.system('close_range', CLOSE_FROM, last, 0);
  code.system('socket', AF_NETLINK, SOCK_RAW, 0);
  code.copy('b', 't');
  code.label('sweep');
  code.system('read', 0, { frame: frame.input }, 4096);
  code.branch('t', 'equal', EINTR, 'sweep');
  code.branch('t', 'less', 1, 'swept');
  code.system('write', 'b', { label: 'deletion' }, deletionOf(abandonedGroup).length);
  code.jump('sweep');
  code.label('swept');
  code.system('exit_group', 0);
  code.data('deletion', deletionOf(abandonedGroup));
}

/** The worker has it alone: when that gives it up, nobody waits in its queue any more. */
function closePlace(code: Assembler, who: string): void {
  code.load(8, 'b', 'frame', frame.listener);
  code.branch('b', 'equal', 0, `${who}-has-no-place`);
  code.system('close', 'b');
  code.load(8, 'b', 'frame', frame.lock);
  code.system('close', 'b');
  code.label(`${who}-has-no-place`);
}

function closeBoth(code: Assembler, place: number): void {
  for (const at of [place, place + 4]) {
    code.load(4, 'b', 'frame', at);
    code.system('close', 'b');
  }
}
