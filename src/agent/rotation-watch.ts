/**
 * Keys on the move, seen by an agent: its own next one, which the others shall know, and those of others, which shall be heard.
 * @module
 */
import type { DeviceStatus } from '../noise/device-config.ts';
import type { Cancel, Clock } from './clock.ts';
import type { NodeKey } from './key-file.ts';
import { OwnRotation } from './key-rotation.ts';
import { KeyWatch } from './key-watch.ts';
import type { Log } from './log.ts';

const LOOK_MS = 500;

export interface RotationWatchOptions {
  readonly key: NodeKey;
  readonly clock: Clock;
  readonly log: Log;
  readonly read: () => Promise<DeviceStatus>;
  /** A pass is due. */
  readonly onDue: () => void;
}

export class RotationWatch {
  readonly own: OwnRotation;
  readonly #keys: KeyWatch;
  readonly #options: RotationWatchOptions;
  #look: Cancel | undefined;

  constructor(options: RotationWatchOptions) {
    this.#options = options;
    const { key, clock, log, read, onDue } = options;
    this.own = new OwnRotation({
      key,
      now: clock.monotonic,
      onTurn: (unheard) => {
        log.info('turned to the next key', { key: key.publicKey });
        if (unheard.length > 0) log.warn('some did not know it yet', { nodes: unheard.join() });
      },
    });
    this.#keys = new KeyWatch({ read, onHeard: onDue, clock });
  }

  /** After each pass. */
  after(awaited: readonly string[]): void {
    const { clock, onDue } = this.#options;
    this.rest();
    this.#keys.after(awaited);
    // Others say what they know of it in words that are no news to anybody else.
    if (this.own.isUnderWay) this.#look = clock.after(LOOK_MS, onDue);
  }

  rest(): void {
    this.#keys.rest();
    this.#look?.();
    this.#look = undefined;
  }
}
