/**
 * Talks to a device over its control socket.
 * Source: wireguard.com/xplatform.
 * @module
 */
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DeviceChange, DeviceStatus } from '../noise/device-config.ts';
import { formatSet, joinChunks, parseGet, parseSetReply } from '../noise/uapi-text.ts';
import { LabError } from './lab-error.ts';
import { INTERFACE } from './plan.ts';

const ANSWER_TIMEOUT_MS = 3000;
const RETRY_MS = 10;

/** Each device has a directory of its own, since all of them name their socket alike. */
export const deviceDirectory = (runDirectory: string, name: string): string => join(runDirectory, name);

export const deviceSocket = (runDirectory: string, name: string): string =>
  join(deviceDirectory(runDirectory, name), `${INTERFACE}.sock`);

const converse = (path: string, request: Uint8Array): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect(path);
    const pieces: Buffer[] = [];
    const fail = (reason: string, cause?: unknown): void =>
      reject(new LabError('ERR_LAB_DEVICE', `The device at ${path} ${reason}.`, { cause }));
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => {
      fail(`gave no answer within ${ANSWER_TIMEOUT_MS / 1000} s`);
      socket.destroy();
    });
    socket.on('error', (cause) => fail(`cannot be reached: ${cause.message}`, cause));
    socket.on('data', (piece) => {
      pieces.push(piece);
      if (piece.at(-1) !== 0x0a) return;
      const text = Buffer.concat(pieces).toString('latin1');
      if (!/(^|\n)errno=-?\d+\n\n$/.test(text)) return;
      for (const each of pieces) each.fill(0); // a `get` reply holds the private key
      socket.destroy();
      resolve(text);
    });
    socket.on('close', () => fail('closed the connection without an answer'));
    socket.write(request);
  });

export async function readDevice(path: string): Promise<DeviceStatus> {
  return parseGet(await converse(path, Buffer.from('get=1\n\n')));
}

export async function changeDevice(path: string, change: DeviceChange): Promise<void> {
  const request = joinChunks(formatSet(change));
  const errno = parseSetReply(await converse(path, request));
  request.fill(0);
  if (errno !== 0)
    throw new LabError('ERR_LAB_DEVICE', `The device at ${path} refused its configuration (errno ${errno}).`);
}

/** Waits until the device answers; `isAlive` tells whether it still can. */
export async function waitForDevice(
  path: string,
  isAlive: () => boolean,
  patienceMs: number,
  signal?: AbortSignal,
): Promise<void> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    signal?.throwIfAborted();
    try {
      await readDevice(path);
      return;
    } catch (cause) {
      if (!isAlive())
        throw new LabError('ERR_LAB_DEVICE', `The device program ended at its start.`, { cause });
      if (performance.now() > deadline)
        throw new LabError('ERR_LAB_DEVICE', `The device does not answer on ${path}.`, { cause });
    }
    await sleep(RETRY_MS);
  }
}
