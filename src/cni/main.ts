/**
 * The CNI executable: one call, one answer. stdout carries one JSON document or nothing, people read stderr.
 * Source: CNI specification 1.1.0 §2 to §4.
 * @module
 */

import { closeSync, fstatSync, readSync, sys, writeSync } from '#sys';
import manifest from '../../package.json' with { type: 'json' };
import { deleteInBackground, isSomethingAbandoned } from './abandoned.ts';
import { asCniError, CniError, errorDocument } from './cni-error.ts';
import { errorCode } from './files.ts';
import { errorUnderName } from './go-name.ts';
import {
  type Environment,
  newestVersion,
  parseRequest,
  parseVerb,
  type Request,
  spokenVersion,
  supportedVersions,
} from './request.ts';
import { add } from './verbs/add.ts';
import { runChained } from './verbs/chained.ts';
import { check } from './verbs/check.ts';
import { del } from './verbs/del.ts';
import { gc } from './verbs/gc.ts';
import { runLoopback } from './verbs/loopback.ts';
import { status } from './verbs/status.ts';

const about = `CNI kilowire plugin v${manifest.version}: it joins containers to a bridge and gives them addresses; a container runtime calls it with CNI_COMMAND and a network configuration on stdin, see the CNI specification.
CNI protocol versions supported: ${supportedVersions.join(', ')}
`;

const longestConfiguration = 16 << 20;

function run(request: Request, env: Environment): string {
  const name = request.config.string('type') || process.argv0.slice(process.argv0.lastIndexOf('/') + 1);
  try {
    return runAs(name, request, env);
  } catch (error) {
    throw errorUnderName(name, error);
  }
}

function runAs(type: string, request: Request, env: Environment): string {
  if (type === 'loopback') return runLoopback(request);
  if (type === 'portmap' || type === 'bandwidth') return runChained(type, request, env);
  switch (request.verb) {
    case 'ADD':
      return add(request, env);
    case 'DEL':
      del(request, env);
      return '';
    case 'CHECK':
      check(request, env);
      return '';
    case 'STATUS':
      status(request, env);
      return '';
    case 'GC':
      gc(request, env);
      return '';
  }
}

function main(env: Environment): number {
  if (!env.CNI_COMMAND) {
    write(2, about);
    return 0;
  }
  let stdin = '';
  try {
    const verb = parseVerb(env);
    if (verb === 'VERSION') {
      write(1, JSON.stringify({ cniVersion: askedVersion(), supportedVersions }));
      return 0;
    }
    const request = parseRequest(verb, env, () => {
      stdin = readStdin();
      return stdin;
    });
    write(1, run(request, env));
    return 0;
  } catch (error) {
    const document = errorDocument(asCniError(error), spokenVersion(stdin));
    try {
      write(1, document);
    } catch {
      // Not even system calls can be made: the runtime has its own way, slower and not needed otherwise.
      console.log(document);
    }
    return 1;
  }
}

/** The answer is in the version asked in, says the specification; nobody has to ask in one, or to write at all. */
function askedVersion(): string {
  return fstatSync(0).isCharacterDevice() ? newestVersion : spokenVersion(readStdin());
}

function readStdin(): string {
  if (fstatSync(0).isCharacterDevice() && process.stdin.isTTY)
    throw new CniError(
      'ERR_CNI_DECODING',
      'error unmarshall network config: stdin is a terminal; give it the configuration: kilowire-cni < network.json',
    );
  let text = new Uint8Array(8192);
  for (let length = 0; ; ) {
    const more = readSome(text.subarray(length));
    if (more === 0) return new TextDecoder().decode(text.subarray(0, length));
    length += more;
    if (length > longestConfiguration)
      throw new CniError('ERR_CNI_DECODING', 'error unmarshall network config: it is longer than 16 MiB');
    if (length < text.length) continue;
    const longer = new Uint8Array(4 * text.length);
    longer.set(text);
    text = longer;
  }
}

/** A runtime may hand us the non-blocking end of its pipe. */
function readSome(chunk: Uint8Array): number {
  for (;;) {
    try {
      return readSync(0, chunk);
    } catch (error) {
      if (errorCode(error) === 'EOF') return 0;
      if (errorCode(error) !== 'EAGAIN') throw error;
      pause();
    }
  }
}

function write(fd: number, text: string): void {
  let rest = new TextEncoder().encode(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      // A reader that has gone away is no reason to undo the work.
      if (errorCode(error) === 'EPIPE') return;
      if (errorCode(error) !== 'EAGAIN') throw error;
      pause();
    }
  }
}

function pause(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
}

/** With what was abandoned deleted by another process: whoever reads our output must not have to wait for that one. */
function leave(status: number): never {
  if (isSomethingAbandoned()) {
    deleteInBackground();
    for (const fd of [0, 1, 2]) closeSync(fd);
    sys.exit(status);
  }
  process.exit(status);
}

leave(main(process.env));
