/**
 * Looks out for a key that is about to come into use: until the ranges are moved to it, what it sends is dropped. A device tells
 * nothing by itself, so it is asked, often, for as long as a node is about to turn.
 * @module
 */
import type { DeviceStatus } from '../noise/device-config.ts';
import { keyText } from '../routing/key-text.ts';
import { type Cancel, type Clock, systemClock } from './clock.ts';

const OFTEN_MS = 40;
/** A large device takes longer to tell of itself. */
const MS_A_PEER = 0.25;

export interface KeyWatchOptions {
  readonly read: () => Promise<DeviceStatus>;
  readonly onHeard: () => void;
  readonly clock?: Clock;
}

export class KeyWatch {
  readonly #options: KeyWatchOptions;
  #cancel: Cancel | undefined;

  constructor(options: KeyWatchOptions) {
    this.#options = options;
  }

  /** After each pass. */
  after(awaited: readonly string[]): void {
    this.rest();
    if (awaited.length > 0) this.#wait(OFTEN_MS, new Set(awaited));
  }

  rest(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #wait(ms: number, awaited: ReadonlySet<string>): void {
    const { clock = systemClock, read, onHeard } = this.#options;
    const cancel = clock.after(ms, () => {
      read()
        .then(({ peers }) => ({
          heard: peers.some(
            ({ publicKey, lastHandshake }) => lastHandshake.seconds > 0 && awaited.has(keyText(publicKey)),
          ),
          pause: OFTEN_MS + peers.length * MS_A_PEER,
        }))
        .catch(() => ({ heard: false, pause: 1000 })) // the next pass will say what is wrong with the device
        .then(({ heard, pause }) => {
          if (this.#cancel !== cancel) return; // a pass came in between
          if (heard) onHeard();
          else this.#wait(pause, awaited);
        });
    });
    this.#cancel = cancel;
  }
}
