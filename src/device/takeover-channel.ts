/**
 * The conversation of a take-over: whole messages with descriptors, each awaited for a limited time. The first byte says
 * what a message is (takeover.ts).
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import * as libc from '../linux/libc.ts';
import { watchReadable } from '../linux/readiness.ts';
import { type ReceivedMessage, receiveMessage, sendMessage } from '../linux/unix-socket.ts';
import { DeviceError } from './device-error.ts';
import { Message, PIECE } from './takeover.ts';

export type MessageKind = keyof typeof Message;

export interface Received {
  readonly kind: MessageKind;
  /** Without the first byte; lent until the next message is received. */
  readonly body: Uint8Array;
  /** Ours: close them. */
  readonly descriptors: readonly number[];
}

const LONGEST = 1 + PIECE;

export function takeoverError(message: string, cause?: unknown): DeviceError {
  return new DeviceError('ERR_DEVICE_TAKEOVER', message, cause === undefined ? undefined : { cause });
}

/** Resolves with true when the descriptor can be read, with false after `patience` ms or when given up. */
export function readable(fd: number, patience: number, giveUp?: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const finish = (isReadable: boolean): void => {
      clearTimeout(timer);
      watch.close();
      giveUp?.removeEventListener('abort', stop);
      resolve(isReadable);
    };
    const stop = (): void => finish(false);
    giveUp?.addEventListener('abort', stop);
    const watch = watchReadable(fd, () => finish(true));
    const timer = setTimeout(() => finish(false), Math.max(0, patience));
  });
}

export class TakeoverChannel {
  readonly #fd: number;
  readonly #buffer = new Uint8Array(new ArrayBuffer(LONGEST));
  readonly #giveUp = new AbortController();
  #closed = false;

  /** The socket is ours from now on. */
  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Waits for room for up to `patience` ms. Throws SystemError (EPIPE) or DeviceError; then it was not sent. */
  async send(
    kind: MessageKind,
    patience: number,
    body: Uint8Array = new Uint8Array(0),
    descriptors: readonly number[] = [],
  ): Promise<void> {
    const message = new Uint8Array(new ArrayBuffer(1 + body.length));
    message[0] = Message[kind];
    message.set(body, 1);
    const deadline = performance.now() + patience;
    try {
      while (!sendMessage(this.#fd, message, descriptors)) {
        if (performance.now() > deadline) throw takeoverError(`The other process does not take '${kind}'.`);
        await sleep(1);
      }
    } catch (error) {
      throw this.#refusal() ?? error;
    } finally {
      message.fill(0);
    }
  }

  /** The next message, which must be one of these. Throws SystemError or DeviceError. */
  async receive(kinds: readonly MessageKind[], patience: number): Promise<Received> {
    const expected = kinds.join(' or ');
    const deadline = performance.now() + patience;
    for (;;) {
      const received = this.#next(expected);
      if (received === undefined) {
        const { signal } = this.#giveUp;
        if (!signal.aborted && (await readable(this.#fd, deadline - performance.now(), signal))) continue;
        if (signal.aborted) throw takeoverError('The process is told to end.');
        throw takeoverError(`The other process did not say '${expected}' within ${patience} ms.`);
      }
      const { length, descriptors, truncated } = received;
      if (length === 0) throw takeoverError(`The other process left before '${expected}'.`);
      const kind = (Object.keys(Message) as MessageKind[]).find((name) => Message[name] === this.#buffer[0]);
      const body = this.#buffer.subarray(1, length);
      if (kind !== undefined && kinds.includes(kind) && !truncated) return { kind, body, descriptors };
      for (const fd of descriptors) libc.close(fd);
      if (kind === 'refused') throw takeoverError(new TextDecoder().decode(body));
      throw takeoverError(`The other process did not say '${expected}' but something else.`);
    }
  }

  /** An end with messages of ours unread comes as an error, once; what the other side said before is still there. */
  #next(expected: string): ReceivedMessage | undefined {
    try {
      return receiveMessage(this.#fd, this.#buffer);
    } catch (error) {
      throw this.#refusal() ?? takeoverError(`The other process left before '${expected}'.`, error);
    }
  }

  /** Why the other side has left, if it said so. */
  #refusal(): Error | undefined {
    try {
      for (;;) {
        const received = receiveMessage(this.#fd, this.#buffer);
        if (received === undefined || received.length === 0) return undefined;
        for (const fd of received.descriptors) libc.close(fd);
        if (this.#buffer[0] !== Message.refused) continue;
        return takeoverError(new TextDecoder().decode(this.#buffer.subarray(1, received.length)));
      }
    } catch {
      return undefined;
    }
  }

  /** Nothing more is waited for. */
  giveUp(): void {
    this.#giveUp.abort();
  }

  /** Forgets what was received last. */
  wipe(): void {
    this.#buffer.fill(0);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.wipe();
    libc.close(this.#fd);
  }
}
