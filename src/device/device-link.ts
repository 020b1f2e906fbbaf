/**
 * An interface up or down, and what follows from it: sockets opened or closed, the data plane told, handshakes forgotten.
 * @module
 */
import type { Handshaker } from '../noise/handshaker.ts';
import { DEFAULT_MTU, type TunDevice } from '../tun/tun-device.ts';
import type { DeviceSockets } from './device-sockets.ts';
import { type LinkState, LinkWatch } from './link-watch.ts';
import type { Log } from './log.ts';
import type { PeerBook } from './peer-book.ts';
import type { PlaneCommand } from './plane-protocol.ts';

/** How often to look at the link where the kernel does not tell of changes, in ms. */
const LOOK_INTERVAL = 1000;

export interface DeviceLinkOptions {
  readonly tun: TunDevice;
  readonly sockets: DeviceSockets;
  readonly book: PeerBook;
  readonly handshaker: Handshaker;
  readonly log: Log;
  readonly tell: (command: PlaneCommand) => void;
}

export class DeviceLink {
  mtu: number = DEFAULT_MTU;
  /** The link is up, and the sockets are open. */
  isUp = false;
  /** The link is up, whether or not the sockets could be opened. */
  linkIsUp = false;
  readonly #options: DeviceLinkOptions;
  readonly #watch: LinkWatch;
  #nextLook: NodeJS.Timeout | undefined;
  #paused = true;

  constructor(options: DeviceLinkOptions) {
    this.#options = options;
    this.#watch = new LinkWatch(options.tun);
    options.tell({ kind: 'watch', fd: this.#watch.descriptor });
  }

  /** From now on the state is followed. */
  follow(): void {
    this.#paused = false;
    this.changed();
  }

  /** Until `follow`, nothing is. */
  pause(): void {
    this.#paused = true;
    clearTimeout(this.#nextLook);
  }

  /** Something about some link has changed: see whether it was ours. */
  changed(): void {
    clearTimeout(this.#nextLook);
    if (this.#paused) return;
    const state = this.#watch.state();
    if (state !== undefined) this.#take(state);
    // Deleted: the data plane will say so. Else there were no descriptors left, or the port is still another's.
    const isSettled = state !== undefined && this.isUp === this.linkIsUp && !this.#watch.isDeaf;
    if (!isSettled) this.#nextLook = setTimeout(() => this.changed(), LOOK_INTERVAL);
  }

  #take({ up, mtu }: LinkState): void {
    const changed = mtu !== this.mtu;
    if (changed) this.#options.log.verbose(`MTU updated: ${mtu}`);
    this.mtu = mtu;
    const isNew = up !== this.linkIsUp;
    this.linkIsUp = up;
    if (up && !this.isUp) this.up(isNew);
    else if (!up && this.isUp) this.#down();
    else if (changed && this.isUp) this.#options.tell({ kind: 'link', up, mtu });
  }

  up(tellWhyNot = true): void {
    const { sockets, book, handshaker, log, tell } = this.#options;
    if (!sockets.open(tellWhyNot)) {
      if (tellWhyNot) log.error('Unable to bring the interface up; it is tried again every second');
      return;
    }
    this.isUp = true;
    for (const peer of book.all()) handshaker.resetSpacing(peer.id);
    tell({ kind: 'link', up: true, mtu: this.mtu });
    log.verbose('Interface state was Down, requested Up, now Up');
  }

  /** One was closed from outside. Both are opened anew, on the port they had, once nobody uses the old ones. */
  socketsLost(): void {
    if (!this.isUp) return;
    this.#options.log.error('A UDP socket was closed from outside (ss -K, SOCK_DESTROY): opening it again');
    this.isUp = false;
    this.#options.sockets.close();
  }

  socketsClosed(): void {
    if (this.linkIsUp && !this.isUp) this.changed();
  }

  #down(): void {
    const { sockets, book, handshaker, log, tell } = this.#options;
    this.isUp = false;
    tell({ kind: 'link', up: false, mtu: this.mtu });
    sockets.close();
    for (const peer of book.all()) {
      handshaker.clearHandshake(peer.id);
      handshaker.resetSpacing(peer.id);
    }
    log.verbose('Interface state was Up, requested Down, now Down');
  }

  close(): void {
    this.pause();
    this.#watch.close();
  }
}
