/**
 * What the door says to a resident and what it does with the answer: standard input goes out, the answer to standard
 * output; without an answer standard input is kept in memory for the process that does the work.
 * Sources: sendmsg(2), memfd_create(2), src/cni/resident/protocol.ts.
 * @module
 */
import type { Assembler } from './assembler.ts';
import { answer, frame, magic, mostText, replySize } from './frame.ts';

const EINTR = -4;
const EAGAIN = -11;
const TCGETS = 0x5401;
const MSG_NOSIGNAL = 0x4000;
const SEEK_SET = 0;
const POLLIN = 1;
const POLLOUT = 4;

/** `e` counts. A terminal is a person's, who is told what is missing. */
export function readInput(code: Assembler): void {
  code.system('ioctl', 0, TCGETS, { frame: frame.terminal });
  code.branch('t', 'equal', 0, 'load');
  code.set('e', 0);
  code.label('read');
  code.set('c', mostText);
  code.subtract('c', 'e');
  code.branch('c', 'equal', 0, 'keep');
  code.copy('b', 'frame');
  code.add('b', frame.input);
  code.add('b', 'e');
  code.system('read', 0, 'b', 'c');
  code.branch('t', 'equal', 0, 'ask');
  code.branch('t', 'notLess', 0, 'read-some');
  code.branch('t', 'equal', EINTR, 'read');
  code.branch('t', 'different', EAGAIN, 'keep');
  // A runtime may hand us the non-blocking end of its pipe.
  code.set('c', 0);
  code.set('d', POLLIN);
  code.call('wait-for-ready');
  code.jump('read');
  code.label('read-some');
  code.add('e', 't');
  code.jump('read');
}

/** One packet: sixteen bytes, argv[0] with the environment, the configuration. */
export function ask(code: Assembler, fingerprint: string): void {
  code.label('ask');
  code.set('t', magic);
  code.store(4, 't', 'frame', frame.header);
  code.load(8, 't', 'frame', frame.textLength);
  code.store(4, 't', 'frame', frame.header + 4);
  code.set('t', BigInt(`0x${fingerprint}`));
  code.store(8, 't', 'frame', frame.header + 8);
  code.set('t', 0);
  for (const at of [0, 8, 32, 40, 48]) code.store(8, 't', 'frame', frame.message + at);
  const pieces = [
    () => {
      code.copy('t', 'frame');
      code.add('t', frame.header);
      code.set('u', 16);
    },
    () => {
      code.load(8, 't', 'frame', frame.text);
      code.load(8, 'u', 'frame', frame.textLength);
    },
    () => {
      code.copy('t', 'frame');
      code.add('t', frame.input);
      code.copy('u', 'e');
    },
  ];
  pieces.forEach((place, index) => {
    place();
    code.store(8, 't', 'frame', frame.vectors + 16 * index);
    code.store(8, 'u', 'frame', frame.vectors + 16 * index + 8);
  });
  code.copy('t', 'frame');
  code.add('t', frame.vectors);
  code.store(8, 't', 'frame', frame.message + 16);
  code.set('t', pieces.length);
  code.store(8, 't', 'frame', frame.message + 24);
  code.load(8, 'b', 'frame', frame.socket);
  code.system('sendmsg', 'b', { frame: frame.message }, MSG_NOSIGNAL);
  code.branch('t', 'less', 0, 'keep');
}

/** Packets of a kind, a status and text; whatever else comes, or nothing, leaves the work to us. */
export function takeAnswer(code: Assembler): void {
  code.label('answer');
  code.load(8, 'b', 'frame', frame.socket);
  code.system('recvfrom', 'b', { frame: frame.reply }, replySize, 0, 0, 0);
  code.branch('t', 'equal', EINTR, 'answer');
  code.branch('t', 'less', 2, 'lost');
  code.copy('d', 't');
  code.subtract('d', 2);
  code.load(1, 't', 'frame', frame.reply);
  code.branch('t', 'above', answer.last, 'lost');
  code.branch('t', 'equal', 0, 'lost');
  code.copy('b', 'frame');
  code.add('b', frame.reply + 2);
  code.label('write');
  code.branch('d', 'equal', 0, 'written');
  code.set('t', 1);
  code.store(8, 't', 'frame', frame.hasWritten);
  code.system('write', 1, 'b', 'd');
  code.branch('t', 'notLess', 0, 'wrote-some');
  code.branch('t', 'equal', EINTR, 'write');
  code.branch('t', 'different', EAGAIN, 'written');
  code.copy('a', 'd');
  code.set('c', 1);
  code.set('d', POLLOUT);
  code.call('wait-for-ready');
  code.copy('d', 'a');
  code.jump('write');
  code.label('wrote-some');
  code.add('b', 't');
  code.subtract('d', 't');
  code.jump('write');
  code.label('written');
  code.load(1, 't', 'frame', frame.reply);
  code.branch('t', 'different', answer.last, 'answer');
  code.load(1, 'b', 'frame', frame.reply + 1);
  code.system('exit_group', 'b');
  code.label('lost');
  code.load(8, 't', 'frame', frame.hasWritten);
  code.branch('t', 'equal', 0, 'keep');
  code.system('exit_group', 1);
}

/** Standard input was read: what comes after us reads it from memory. */
export function keepInput(code: Assembler): void {
  code.label('keep');
  code.load(8, 'b', 'frame', frame.socket);
  code.system('close', 'b');
  code.system('memfd_create', { label: 'memory-name' }, 0);
  code.copy('b', 't');
  code.branch('b', 'less', 0, 'broken');
  code.system('write', 'b', { frame: frame.input }, 'e');
  code.branch('t', 'different', 'e', 'broken');
  code.label('copy-rest');
  code.system('read', 0, { frame: frame.input }, mostText);
  code.copy('e', 't');
  code.branch('e', 'equal', EINTR, 'copy-rest');
  code.branch('e', 'equal', EAGAIN, 'wait-rest');
  code.branch('e', 'less', 1, 'kept');
  code.system('write', 'b', { frame: frame.input }, 'e');
  code.branch('t', 'different', 'e', 'broken');
  code.jump('copy-rest');
  code.label('wait-rest');
  code.set('c', 0);
  code.set('d', POLLIN);
  code.call('wait-for-ready');
  code.jump('copy-rest');
  code.label('kept');
  code.system('lseek', 'b', 0, SEEK_SET);
  code.system('dup3', 'b', 0, 0);
  code.branch('t', 'less', 0, 'broken');
  code.system('close', 'b');
  code.jump('load');
}

/** Descriptor in `c`, events in `d`. */
export function waitForReady(code: Assembler): void {
  code.label('wait-for-ready');
  code.store(4, 'c', 'frame', frame.ready);
  code.store(4, 'd', 'frame', frame.ready + 4);
  code.system('ppoll', { frame: frame.ready }, 1, 0, 0, 0);
  code.return();
}
