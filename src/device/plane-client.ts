/**
 * The control thread's end of the data plane: starts the thread, sends it commands in batches, hands out its events.
 * @module
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import * as libc from '../linux/libc.ts';
import { Mailbox } from '../tun/mailbox.ts';
import { DeviceError } from './device-error.ts';
import type { PlaneBoot, PlaneCommand, PlaneEvent, PlaneSnapshot } from './plane-protocol.ts';

/** Handshake messages that may wait; an eighth of them makes the device count as under load. */
export const MAILBOX_SLOTS = 4096;
/** A batch is sent when it has grown to this, so that a configuration of any size streams. */
const BATCH = 512;
/** Runs of ranges, which may wait for each other, are sent when there are so many: a millisecond or two of work. */
const RUNS = 4;
/** Or after so many ms. */
const RUNS_WAIT = 5;
/** With EFD_SEMAPHORE: one read, one batch. */
const EFD_FLAGS = libc.O_NONBLOCK | libc.O_CLOEXEC | 1;

export interface PlaneOptions {
  readonly tunFd: number;
  readonly udpOffload: boolean;
  readonly crypto: 'wasm' | 'noble';
  readonly simd: 128 | 256;
  readonly tellRoaming: boolean;
  readonly frozen: boolean;
}

/** Events that answer a command of their own, of which only one is under way at a time. */
type Answer = 'ready' | 'frozen' | 'imported' | 'running';
type AnswerEvent<K extends Answer> = Extract<PlaneEvent, { kind: K }>;

function workerFile(): URL {
  const isSource = import.meta.url.endsWith('.ts');
  if (isSource) return new URL('./data-plane.ts', import.meta.url);
  // The bundle's chunks lie one folder below its programs.
  for (const place of ['./data-plane.js', '../data-plane.js']) {
    const url = new URL(place, import.meta.url);
    if (existsSync(fileURLToPath(url))) return url;
  }
  throw new DeviceError('ERR_DEVICE_WORKER', "dist/data-plane.js is missing: run 'npm run build'.");
}

/** Session keys are handed over and not copied: a copy would stay behind in what messages are written to. */
function keyBuffers(command: PlaneCommand): ArrayBuffer[] {
  if (command.kind === 'import') return [command.state.buffer as ArrayBuffer];
  return command.kind === 'response' || command.kind === 'established' ? [command.agreement] : [];
}

export class PlaneClient {
  readonly mailbox: Mailbox;
  readonly #worker: Worker;
  readonly #eventFd: number;
  readonly #one = new BigUint64Array([1n]);
  readonly #oneAddress = libc.addressOf(new Uint8Array(this.#one.buffer));
  readonly #snapshots = new Map<number, (snapshot: PlaneSnapshot) => void>();
  readonly #waiting = new Map<string, (event: PlaneEvent) => void>();
  #batch: PlaneCommand[] = [];
  #flushing = false;
  #runs = 0;
  #later: NodeJS.Timeout | undefined;
  #nextSnapshot = 0;
  #stopped = false;

  constructor(
    options: PlaneOptions,
    onEvent: (event: PlaneEvent) => void,
    onFailure: (error: Error) => void,
  ) {
    const buffer = Mailbox.allocate(MAILBOX_SLOTS);
    this.mailbox = new Mailbox(buffer);
    this.#eventFd = libc.eventfd(0, EFD_FLAGS);
    const boot: PlaneBoot = { ...options, eventFd: this.#eventFd, mailbox: buffer };
    this.#worker = new Worker(workerFile(), { workerData: boot, name: 'data-plane' });
    this.#worker.on('message', (event: PlaneEvent) => {
      if (event.kind === 'snapshot') {
        this.#snapshots.get(event.id)?.(event.snapshot);
        this.#snapshots.delete(event.id);
        return;
      }
      onEvent(event);
      // After all that was said before it has been dealt with.
      this.#waiting.get(event.kind)?.(event);
      this.#waiting.delete(event.kind);
    });
    this.#worker.on('error', onFailure);
    this.#worker.on('exit', (code) => {
      if (this.#stopped) return;
      onFailure(new DeviceError('ERR_DEVICE_WORKER', `The data-plane thread ended by itself (${code}).`));
    });
  }

  /** Queues a command; the batch leaves at the end of this turn of the event loop, or soon when it is ranges alone. */
  send(command: PlaneCommand): void {
    this.#batch.push(command);
    const isRun = command.kind === 'allow';
    if (isRun) this.#runs += 1;
    if (this.#batch.length >= BATCH || this.#runs >= RUNS) this.flush();
    else if (isRun) this.#later ??= setTimeout(() => this.flush(), RUNS_WAIT);
    else if (!this.#flushing) {
      this.#flushing = true;
      queueMicrotask(() => this.flush());
    }
  }

  flush(): void {
    this.#flushing = false;
    clearTimeout(this.#later);
    this.#later = undefined;
    this.#runs = 0;
    if (this.#batch.length === 0) return;
    const batch = this.#batch;
    this.#batch = [];
    this.#worker.postMessage(batch, batch.flatMap(keyBuffers));
    libc.write(this.#eventFd, this.#oneAddress, 8);
  }

  snapshot(): Promise<PlaneSnapshot> {
    const id = this.#nextSnapshot;
    this.#nextSnapshot += 1;
    return new Promise((resolve) => {
      this.#snapshots.set(id, resolve);
      this.send({ kind: 'snapshot', id });
    });
  }

  /** The next event of that kind. */
  answer<K extends Answer>(kind: K): Promise<AnswerEvent<K>> {
    return new Promise((resolve) => {
      this.#waiting.set(kind, (event) => resolve(event as AnswerEvent<K>));
    });
  }

  /** Ends the thread: it wipes its keys first. Resolves when it has ended, or has been made to after a second. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    const ended = new Promise<void>((resolve) => this.#worker.once('exit', () => resolve()));
    this.send({ kind: 'stop' });
    this.flush();
    const timer = setTimeout(() => void this.#worker.terminate(), 1000);
    await ended;
    clearTimeout(timer);
    libc.close(this.#eventFd);
  }
}
