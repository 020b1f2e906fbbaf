/**
 * One WireGuard interface, seen from the control thread: configuration, handshakes, the link's state. Packets are the
 * data plane's (data-plane.ts), to which everything decided here is sent as a command.
 * @module
 */
import { collectGarbage, scrubHeap } from '../aead/heap-scrub.ts';
import { BootClock } from '../linux/clock.ts';
import { MAX_PEERS } from '../noise/constants.ts';
import type { DeviceStatus } from '../noise/device-config.ts';
import { Handshaker } from '../noise/handshaker.ts';
import { forgetHandshakes } from '../noise/handshaker-state.ts';
import { noblePrimitives } from '../noise/noble.ts';
import type { Primitives } from '../noise/primitives.ts';
import { RandomIndices } from '../noise/session-keys.ts';
import { StateError, type StateWriter } from '../noise/state-bytes.ts';
import type { SetSink } from '../noise/uapi-parser.ts';
import { PathProbe } from '../tun/path-probe.ts';
import type { TunDevice } from '../tun/tun-device.ts';
import { DeviceConfiguration } from './device-configuration.ts';
import type { DeviceEvent } from './device-event.ts';
import { DeviceLink } from './device-link.ts';
import { DeviceSockets } from './device-sockets.ts';
import { type DeviceParts, readDevice, writeDevice } from './device-state.ts';
import { dropCounts, peerStatus } from './device-status.ts';
import { HandshakeDesk } from './handshake-desk.ts';
import type { Log } from './log.ts';
import { nativePrimitives, secureRandomBytes } from './native-primitives.ts';
import { PeerBook } from './peer-book.ts';
import { MAILBOX_SLOTS, PlaneClient } from './plane-client.ts';
import { endpointOf, type PlaneCommand, type PlaneEvent } from './plane-protocol.ts';

/** Under noble: so long after a key went, ms, its copies go too; those of others that go meanwhile with them. */
const SCRUB_DELAY = 1000;
/** From the end of a long configuration until its garbage is collected, in ms. */
const COLLECT_DELAY = 1000;

export interface DeviceOptions {
  readonly tun: TunDevice;
  readonly log: Log;
  /** `noble`: everything on @noble alone, slowly, to compare with. */
  readonly crypto: 'wasm' | 'noble';
  readonly simd: 128 | 256;
  /** Do nothing until `adopt` and `thaw`. */
  readonly frozen?: boolean;
  /** The interface was deleted, or the data plane failed: time to leave. */
  readonly onGone: (error?: Error) => void;
  /** Handshakes and moves of peers, for whoever runs the device from code. */
  readonly onEvent?: (event: DeviceEvent) => void;
}

export interface FrozenDevice {
  /** Wipe it. */
  readonly state: StateWriter;
  /** -1: there is none. */
  readonly sockets: { readonly fd4: number; readonly fd6: number };
}

export class Device {
  readonly book = new PeerBook(MAX_PEERS);
  readonly handshaker: Handshaker;
  readonly plane: PlaneClient;
  readonly #options: DeviceOptions;
  readonly #indices: RandomIndices;
  readonly #clock = new BootClock();
  readonly #link: DeviceLink;
  readonly #sockets: DeviceSockets;
  readonly #desk: HandshakeDesk;
  readonly #primitives: Primitives;
  #scrub: NodeJS.Timeout | undefined;
  #collect: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: DeviceOptions) {
    this.#options = options;
    const primitives = options.crypto === 'noble' ? noblePrimitives(secureRandomBytes) : nativePrimitives();
    this.#primitives = primitives;
    const frozen = options.frozen === true;
    this.#indices = new RandomIndices(primitives.randomBytes);
    this.handshaker = new Handshaker(primitives, this.#indices, (keys) => {
      this.plane.send({ kind: 'identity', keys });
      this.#scrubSoon();
    });
    const { fd: tunFd, udpOffload } = options.tun;
    const tellRoaming = options.onEvent !== undefined;
    this.plane = new PlaneClient(
      { tunFd, udpOffload, crypto: options.crypto, simd: options.simd, tellRoaming, frozen },
      (event) => this.#onEvent(event),
      (error) => options.onGone(error),
    );
    const tell = (command: PlaneCommand): void => this.plane.send(command);
    const { tun, log } = options;
    this.#sockets = new DeviceSockets(log, tell);
    const { book, handshaker } = this;
    this.#link = new DeviceLink({ tun, sockets: this.#sockets, book, handshaker, log, tell });
    const { plane } = this;
    const clock = this.#clock;
    const { onEvent } = options;
    this.#desk = new HandshakeDesk({ handshaker, book, plane, clock, log, standsStill: frozen, onEvent });
    if (!frozen) this.#link.follow();
  }

  get log(): Log {
    return this.#options.log;
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
    if (this.#link.linkIsUp && !this.#link.isUp) {
      this.#link.up();
      if (!this.#link.isUp) return false;
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
    if (this.#link.linkIsUp && !this.#link.isUp) this.#link.up();
    this.plane.send({ kind: 'clear-sources' });
    return this.#link.isUp || !this.#link.linkIsUp;
  }

  /* ---- Take-over ---- */

  /** Stands still until `thaw`: all there is, for the process that takes over, and the UDP sockets. See takeover.ts. */
  async freeze(): Promise<FrozenDevice> {
    this.#desk.pause();
    this.#link.pause();
    const frozen = this.plane.answer('frozen');
    this.plane.send({ kind: 'freeze' });
    const { state } = await frozen;
    this.#desk.keepMail();
    const { owed, kept: mail } = this.#desk;
    const { port, mark, descriptors } = this.#sockets;
    const { isUp, linkIsUp, mtu } = this.#link;
    const sockets = descriptors ?? { fd4: -1, fd6: -1, segmentation: false };
    const facts = { port, mark, ...sockets, isUp, linkIsUp, mtu, owed, mail };
    return { state: writeDevice(this.#parts, facts, state), sockets };
  }

  /** Becomes what another process was. `socketOf` gives the descriptors its sockets have here. Throws StateError. */
  async adopt(state: Uint8Array, socketOf: (family: 4 | 6) => number): Promise<void> {
    const { facts, peers, plane } = readDevice(this.#parts, state, ({ id }, prefixes) => {
      this.plane.send({ kind: 'add-peer', peer: id });
      this.plane.send({ kind: 'allow', peer: id, prefixes });
    });
    this.#desk.kept.push(...facts.mail);
    this.#desk.owed.push(...facts.owed);
    const { port, segmentation, isUp, linkIsUp, mtu } = facts;
    this.#sockets.port = port;
    this.#sockets.mark = facts.mark;
    Object.assign(this.#link, { isUp, linkIsUp, mtu });
    const fd4 = facts.fd4 < 0 ? -1 : socketOf(4);
    const fd6 = facts.fd6 < 0 ? -1 : socketOf(6);
    if (fd4 >= 0 || fd6 >= 0) this.#sockets.adopt({ fd4, fd6, port, segmentation });
    const imported = this.plane.answer('imported');
    this.plane.send({ kind: 'import', state: plane, peers });
    if (isUp) this.plane.send({ kind: 'link', up: true, mtu });
    const { indices } = await imported;
    if (indices === undefined) throw new StateError('the data plane refused it');
    for (const index of indices) this.#indices.adopt(index);
  }

  /** Goes on, or begins. `renew`: another process may have used our sessions, and is dead. */
  async thaw(renew: boolean): Promise<void> {
    if (renew) forgetHandshakes(this.handshaker, Date.now());
    const running = this.plane.answer('running');
    this.plane.send({ kind: 'thaw', renew });
    this.#desk.resume();
    this.#link.follow();
    await running;
  }

  /** After `freeze`, for good: somebody else has them. */
  closeSockets(): void {
    this.#sockets.closeAll();
  }

  get #parts(): DeviceParts {
    const { book, handshaker } = this;
    const { journal, drops } = this.#desk;
    return { book, handshaker, indices: this.#indices, primitives: this.#primitives, journal, drops };
  }

  /* ---- The data plane ---- */

  #onEvent(event: PlaneEvent): void {
    switch (event.kind) {
      case 'ready':
        this.log.verbose(`Data plane ready: ${event.backend}`);
        for (const reason of event.refused) this.log.error(`Not used: ${reason}`);
        // From now on the first message wakes us.
        void this.#desk.answerMail();
        break;
      case 'mail':
        void this.#desk.answerMail();
        break;
      case 'initiate':
        this.#desk.initiate(event.peer);
        break;
      case 'roamed':
        this.#tellRoamed(event.peer, event.record);
        break;
      case 'handshake-stale':
        this.handshaker.clearHandshake(event.peer);
        break;
      case 'index-free':
        this.#indices.release(event.index);
        this.#scrubSoon();
        break;
      case 'link-changed':
        this.#link.changed();
        break;
      case 'sockets-taken':
        this.#sockets.confirmed();
        this.#link.socketsClosed();
        break;
      case 'sockets-lost':
        this.#link.socketsLost();
        break;
      case 'gone':
        this.#options.onGone();
        break;
      case 'failed':
        this.log.error(event.message);
        break;
    }
  }

  #tellRoamed(id: number, record: Uint8Array): void {
    const peer = this.book.byId(id);
    const endpoint = endpointOf(record, 0);
    if (peer === undefined || endpoint === undefined) return;
    this.#options.onEvent?.({ kind: 'roam', publicKey: Uint8Array.from(peer.publicKey), endpoint });
  }

  /** A long configuration has been read. An idle device allocates nothing, so V8 would keep what it left behind. */
  collectSoon(): void {
    if (this.#closed) return;
    clearTimeout(this.#collect);
    this.#collect = setTimeout(collectGarbage, COLLECT_DELAY);
    this.#collect.unref();
  }

  /** A key is gone, and @noble has left copies of it on the heaps of both threads. */
  #scrubSoon(): void {
    if (this.#options.crypto !== 'noble' || this.#scrub !== undefined || this.#closed) return;
    this.#scrub = setTimeout(() => {
      this.#scrub = undefined;
      this.plane.send({ kind: 'scrub' });
      scrubHeap();
    }, SCRUB_DELAY);
    this.#scrub.unref();
  }

  /* ---- Reading back ---- */

  /** Everything `get` tells, and what is known of the paths when it is asked for. The keys in it are not copies. */
  async status(withPaths = false): Promise<DeviceStatus> {
    const { book, handshaker } = this;
    const { journal } = this.#desk;
    const snapshot = await this.plane.snapshot();
    const { descriptors, mark } = this.#sockets;
    const fd = descriptors === undefined ? -1 : Math.max(descriptors.fd4, descriptors.fd6);
    const paths = new PathProbe(withPaths ? fd : -1, mark);
    const peers = peerStatus({ book, handshaker, journal, paths }, snapshot);
    paths.close();
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
    return dropCounts((await this.plane.snapshot()).drops, this.#desk.drops);
  }

  /** Counters and levels that `get` has no lines for, by the name they have on the control socket. */
  async metrics(): Promise<Record<string, number>> {
    const { slabBytes, stagedBytes } = await this.plane.snapshot();
    const drops = Object.entries(await this.drops()).map(
      ([reason, count]) => [`drop_${reason}`, count] as const,
    );
    return {
      ...Object.fromEntries(drops),
      mtu: this.#link.mtu,
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
    clearTimeout(this.#scrub);
    clearTimeout(this.#collect);
    this.#desk.close();
    this.#link.pause();
    await this.plane.stop();
    for (const peer of [...this.book.all()]) this.handshaker.removePeer(peer.id);
    this.handshaker.setPrivateKey(new Uint8Array(32));
    this.#link.close();
    this.#sockets.closeAll();
  }
}
