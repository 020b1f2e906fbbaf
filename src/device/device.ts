/**
 * One WireGuard interface, seen from the control thread: configuration, handshakes, the link's state. Packets are the
 * data plane's (data-plane.ts), to which everything decided here is sent as a command.
 * @module
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { BootClock } from '../linux/clock.ts';
import { MAX_PEERS } from '../noise/constants.ts';
import type { DeviceStatus } from '../noise/device-config.ts';
import { type ConsumeOutcome, type DropReason, dropReasons } from '../noise/handshake-outcome.ts';
import { Handshaker } from '../noise/handshaker.ts';
import { noblePrimitives } from '../noise/noble.ts';
import type { Primitives } from '../noise/primitives.ts';
import { RandomIndices } from '../noise/session-keys.ts';
import type { SetSink } from '../noise/uapi-parser.ts';
import { DEFAULT_MTU, type TunDevice } from '../tun/tun-device.ts';
import { DeviceConfiguration } from './device-configuration.ts';
import { type DeviceEvent, type HandshakeEvent, HandshakeJournal } from './device-event.ts';
import { DeviceSockets } from './device-sockets.ts';
import { peerStatus } from './device-status.ts';
import { type LinkState, LinkWatch } from './link-watch.ts';
import { type Log, peerName } from './log.ts';
import { nativePrimitives, secureRandomBytes } from './native-primitives.ts';
import { PeerBook } from './peer-book.ts';
import { MAILBOX_SLOTS, PlaneClient } from './plane-client.ts';
import { endpointOf, type PlaneEvent } from './plane-protocol.ts';

/** Handshake messages answered before the event loop gets its turn. */
const MAIL_PER_TURN = 32;
/** How often to look at the link where the kernel does not tell of changes, in ms. */
const LOOK_INTERVAL = 1000;

export interface DeviceOptions {
  readonly tun: TunDevice;
  readonly log: Log;
  /** `noble`: everything on @noble alone, slowly, to compare with. */
  readonly crypto: 'wasm' | 'noble';
  readonly simd: 128 | 256;
  /** The interface was deleted, or the data plane failed: time to leave. */
  readonly onGone: (error?: Error) => void;
  /** Handshakes and moves of peers, for whoever runs the device from code. */
  readonly onEvent?: (event: DeviceEvent) => void;
}

export class Device {
  readonly book = new PeerBook(MAX_PEERS);
  readonly handshaker: Handshaker;
  readonly plane: PlaneClient;
  readonly #options: DeviceOptions;
  readonly #indices: RandomIndices;
  readonly #clock = new BootClock();
  readonly #link: LinkWatch;
  readonly #sockets: DeviceSockets;
  readonly #handshakeDrops = new Map<DropReason, number>();
  readonly #journal = new HandshakeJournal();
  #isUp = false;
  /** The link is up, whether or not the sockets could be opened. */
  #linkIsUp = false;
  #mtu = DEFAULT_MTU;
  #nextLook: NodeJS.Timeout | undefined;
  #answering = false;
  #closed = false;

  constructor(options: DeviceOptions) {
    this.#options = options;
    const primitives: Primitives =
      options.crypto === 'noble' ? noblePrimitives(secureRandomBytes) : nativePrimitives();
    this.#indices = new RandomIndices(primitives.randomBytes);
    this.handshaker = new Handshaker(primitives, this.#indices, (keys) =>
      this.plane.send({ kind: 'identity', keys }),
    );
    const { fd: tunFd, udpOffload } = options.tun;
    const tellRoaming = options.onEvent !== undefined;
    this.plane = new PlaneClient(
      { tunFd, udpOffload, crypto: options.crypto, simd: options.simd, tellRoaming },
      (event) => this.#onEvent(event),
      (error) => options.onGone(error),
    );
    this.#sockets = new DeviceSockets(options.log, (command) => this.plane.send(command));
    this.#link = new LinkWatch(options.tun);
    this.plane.send({ kind: 'watch', fd: this.#link.descriptor });
    this.#linkChanged();
  }

  get log(): Log {
    return this.#options.log;
  }

  get listenPort(): number {
    return this.#sockets.port;
  }

  /** Effects of one `set` of the control socket. Several may be under way at once. */
  configure(): SetSink {
    return new DeviceConfiguration(this);
  }

  /** False: the port is taken; then everything stays as it was. */
  setListenPort(port: number): boolean {
    const sockets = this.#sockets;
    const before = sockets.port;
    sockets.port = port;
    if (this.#linkIsUp && !this.#isUp) {
      this.#up();
      if (!this.#isUp) return false;
    } else if (sockets.areOpen && (port === 0 || port !== before) && !sockets.open()) {
      sockets.port = before;
      return false;
    }
    this.plane.send({ kind: 'clear-sources' });
    return true;
  }

  /** False: the kernel does not let us mark; then everything stays as it was. */
  setMark(mark: number): boolean {
    if (!this.#sockets.setMark(mark)) return false;
    if (this.#linkIsUp && !this.#isUp) this.#up();
    this.plane.send({ kind: 'clear-sources' });
    return this.#isUp || !this.#linkIsUp;
  }

  /* ---- The link ---- */

  #linkChanged(): void {
    clearTimeout(this.#nextLook);
    if (this.#closed) return;
    const state = this.#link.state();
    if (state !== undefined) this.#follow(state);
    // Deleted: the data plane will say so. Else there were no descriptors left, or the port is still another's.
    const isSettled = state !== undefined && this.#isUp === this.#linkIsUp && !this.#link.isDeaf;
    if (!isSettled) this.#nextLook = setTimeout(() => this.#linkChanged(), LOOK_INTERVAL);
  }

  #follow({ up, mtu }: LinkState): void {
    const changed = mtu !== this.#mtu;
    if (changed) this.log.verbose(`MTU updated: ${mtu}`);
    this.#mtu = mtu;
    const isNew = up !== this.#linkIsUp;
    this.#linkIsUp = up;
    if (up && !this.#isUp) this.#up(isNew);
    else if (!up && this.#isUp) this.#down();
    else if (changed && this.#isUp) this.plane.send({ kind: 'link', up, mtu });
  }

  #up(tellWhyNot = true): void {
    if (!this.#sockets.open(tellWhyNot)) {
      if (tellWhyNot) this.log.error('Unable to bring the interface up; it is tried again every second');
      return;
    }
    this.#isUp = true;
    for (const peer of this.book.all()) this.handshaker.resetSpacing(peer.id);
    this.plane.send({ kind: 'link', up: true, mtu: this.#mtu });
    this.log.verbose('Interface state was Down, requested Up, now Up');
  }

  #down(): void {
    this.#isUp = false;
    this.plane.send({ kind: 'link', up: false, mtu: this.#mtu });
    this.#sockets.close();
    for (const peer of this.book.all()) {
      this.handshaker.clearHandshake(peer.id);
      this.handshaker.resetSpacing(peer.id);
    }
    this.log.verbose('Interface state was Up, requested Down, now Down');
  }

  /* ---- The data plane ---- */

  #onEvent(event: PlaneEvent): void {
    switch (event.kind) {
      case 'ready':
        this.log.verbose(`Data plane ready: ${event.backend}`);
        for (const reason of event.refused) this.log.error(`Not used: ${reason}`);
        // From now on the first message wakes us.
        void this.#answerMail();
        break;
      case 'mail':
        void this.#answerMail();
        break;
      case 'initiate':
        this.#initiate(event.peer);
        break;
      case 'roamed':
        this.#tellRoamed(event.peer, event.record);
        break;
      case 'handshake-stale':
        this.handshaker.clearHandshake(event.peer);
        break;
      case 'index-free':
        this.#indices.release(event.index);
        break;
      case 'link-changed':
        this.#linkChanged();
        break;
      case 'sockets-taken':
        this.#sockets.confirmed();
        break;
      case 'gone':
        this.#options.onGone();
        break;
      case 'failed':
        this.log.error(event.message);
        break;
    }
  }

  #initiate(id: number): void {
    const outcome = this.handshaker.initiate(id, this.#clock.now(), Date.now());
    if (outcome.kind !== 'initiation') return;
    this.plane.send({ kind: 'initiation', peer: id, message: outcome.message });
    const peer = this.book.byId(id);
    if (peer === undefined) return;
    this.#journal.initiated(peer, this.#clock.now());
    this.log.verbose(`${peerName(peer.publicKey)} - Sending handshake initiation`);
  }

  /** Answers what is in the mailbox, some at a time, so that the control socket stays alive in a flood. */
  async #answerMail(): Promise<void> {
    if (this.#answering) return;
    this.#answering = true;
    for (let answered = 1; ; answered += 1) {
      const mail = this.plane.mailbox.take();
      if (mail === undefined || this.#closed) break;
      this.#carryOut(this.handshaker.consumeChecked(mail.message, this.#clock.now()), mail.endpoint);
      if (answered % MAIL_PER_TURN === 0) await nextTurn();
    }
    this.#answering = false;
  }

  #carryOut(outcome: ConsumeOutcome, source: Uint8Array): void {
    switch (outcome.kind) {
      case 'drop':
        this.#handshakeDrops.set(outcome.reason, (this.#handshakeDrops.get(outcome.reason) ?? 0) + 1);
        break;
      case 'response': {
        const { session, message } = outcome;
        this.plane.send({ kind: 'response', session, message, source });
        this.#logHandshake(outcome.peer, 'Received handshake initiation');
        this.#tellAgreed(outcome.peer, 'responder');
        break;
      }
      case 'established':
        this.plane.send({ kind: 'established', session: outcome.session, source });
        this.#logHandshake(outcome.peer, 'Received handshake response');
        this.#tellAgreed(outcome.peer, 'initiator');
        break;
      case 'cookie-stored':
        this.#logHandshake(outcome.peer, 'Received cookie reply');
        break;
    }
  }

  #logHandshake(id: number, text: string): void {
    const peer = this.book.byId(id);
    if (peer !== undefined) this.log.verbose(`${peerName(peer.publicKey)} - ${text}`);
  }

  #tellAgreed(id: number, role: HandshakeEvent['role']): void {
    const peer = this.book.byId(id);
    if (peer === undefined) return;
    const event = this.#journal.agreed(peer, role, this.#clock.now());
    this.#options.onEvent?.(event);
  }

  #tellRoamed(id: number, record: Uint8Array): void {
    const peer = this.book.byId(id);
    const endpoint = endpointOf(record, 0);
    if (peer === undefined || endpoint === undefined) return;
    this.#options.onEvent?.({ kind: 'roam', publicKey: Uint8Array.from(peer.publicKey), endpoint });
  }

  /* ---- Reading back ---- */

  /** Everything `get` tells. The keys in it are not copies. */
  async status(): Promise<DeviceStatus> {
    const { book, handshaker } = this;
    const peers = peerStatus({ book, handshaker, journal: this.#journal }, await this.plane.snapshot());
    const { privateKey } = this.handshaker;
    return {
      ...(privateKey === null ? {} : { privateKey }),
      listenPort: this.#sockets.port,
      fwmark: this.#sockets.mark,
      peers,
    };
  }

  /** How many packets and handshake messages were dropped, by reason: docs/drops.md. */
  async drops(): Promise<Record<string, number>> {
    const { drops } = await this.plane.snapshot();
    // Some of them are found by either thread.
    const handshakes = dropReasons.map((reason) => {
      const name = `handshake-${reason}`;
      return [name, (drops[name] ?? 0) + (this.#handshakeDrops.get(reason) ?? 0)] as const;
    });
    return { ...drops, ...Object.fromEntries(handshakes) };
  }

  /** Counters and levels that `get` has no lines for, by the name they have on the control socket. */
  async metrics(): Promise<Record<string, number>> {
    const { slabBytes, stagedBytes } = await this.plane.snapshot();
    const drops = Object.entries(await this.drops()).map(
      ([reason, count]) => [`drop_${reason}`, count] as const,
    );
    return {
      ...Object.fromEntries(drops),
      mtu: this.#mtu,
      handshakes_waiting: this.plane.mailbox.length,
      handshakes_room: MAILBOX_SLOTS,
      staged_bytes: stagedBytes,
      buffer_bytes: slabBytes,
    };
  }

  /** Ends the data plane, wipes keys, closes the sockets. The TUN is the caller's. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#nextLook);
    await this.plane.stop();
    for (const peer of [...this.book.all()]) this.handshaker.removePeer(peer.id);
    this.handshaker.setPrivateKey(new Uint8Array(32));
    this.#link.close();
    this.#sockets.closeAll();
  }
}
