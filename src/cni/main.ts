/**
 * The CNI executable: one call, one answer. stdout carries one JSON document or nothing, people read stderr.
 * The process may stay and answer others, see resident/.
 * Source: CNI specification 1.1.0 §2 to §4.
 * @module
 */

import { closeSync, fstatSync, localService, readSync, sys, writeSync } from '#sys';
import manifest from '../../package.json' with { type: 'json' };
import { deleteInBackground, isSomethingAbandoned } from './abandoned.ts';
import { type Answer, answer } from './call.ts';
import { CniError } from './cni-error.ts';
import { errorCode } from './files.ts';
import { beforeWaiting } from './patience.ts';
import { type Environment, supportedVersions } from './request.ts';
import { canBeServed, idleSecondsOf } from './resident/caller.ts';
import { type Place, placeOf } from './resident/place.ts';
import { type Door, parseDoor } from './resident/protocol.ts';
import { serve } from './resident/resident.ts';

const about = `CNI kilowire plugin v${manifest.version}: it joins containers to a bridge and gives them addresses; a container runtime calls it with CNI_COMMAND and a network configuration on stdin, see the CNI specification.
CNI protocol versions supported: ${supportedVersions.join(', ')}
`;

const longestConfiguration = 16 << 20;

/** After its answer a process may stay, for so many seconds without a request. */
let idleSeconds = 0;
/** Where others wait already to be served after this call. */
let place: Place | undefined;

function main(env: Environment): Answer['status'] {
  if (!env.CNI_COMMAND) {
    write(2, about);
    return 0;
  }
  const said = answer({
    env,
    program: process.argv0,
    readStdin,
    hasStdin: () => !fstatSync(0).isCharacterDevice(),
    begins: (type, request) => {
      if (request.verb !== 'ADD') return;
      idleSeconds = idleSecondsOf(type, request) ?? 0;
      if (idleSeconds === 0 || !canBeServed(request, env)) leavePlace();
    },
  });
  if (said.status !== 0) idleSeconds = 0;
  try {
    write(1, said.document);
  } catch {
    // Not even system calls can be made: the runtime has its own way, slower and not needed otherwise.
    console.log(said.document);
  }
  return said.status;
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

/** Nobody is to wait for us: there will be no resident, or only after a while. Who does already hears of it by that. */
function leavePlace(): void {
  place?.leave();
  place?.close();
  place = undefined;
}

/** The process that the runtime waits for is our parent: it ends when it has the status, whatever we do then. */
function handOver(status: number, door: Door): never {
  localService?.outliveParent();
  for (const fd of [0, 1, 2]) closeSync(fd);
  writeSync(door.status, Uint8Array.of(status));
  closeSync(door.status);
  if (idleSeconds === 0) leavePlace();
  else {
    // A resident that waits for others a moment does not give it up.
    const kept = place;
    place = undefined;
    serve({ door, place: kept, idleSeconds });
  }
  process.exit(status);
}

const { KILOWIRE_CNI_DOOR, ...environment } = process.env;
const door = parseDoor(KILOWIRE_CNI_DOOR);
if (localService !== undefined && door !== undefined && door.listener > 0)
  place = placeOf(localService, door);
beforeWaiting(leavePlace);
const status = main(environment);
if (door === undefined) leave(status);
else handOver(status, door);
