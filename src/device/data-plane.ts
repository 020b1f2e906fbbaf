/**
 * The data-plane thread: one poll loop that owns the TUN, the UDP sockets and everything a packet needs. It never
 * returns to the event loop of Node: commands are fetched when the eventfd says so, events are posted.
 * @module
 */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { scrubHeap } from '../aead/heap-scrub.ts';
import type { Kernel } from '../aead/kernel.ts';
import { BootClock } from '../linux/clock.ts';
import * as libc from '../linux/libc.ts';
import {
  FLUSH_STAGED,
  HANDSHAKE_STALE,
  INITIATE,
  INITIATE_RETRY,
  KEEPALIVE,
  KEYPAIR_GONE,
  ROAMED,
} from '../noise/action-queue.ts';
import { INITIATION_SIZE, RESPONSE_SIZE } from '../noise/messages.ts';
import type { Transport } from '../noise/transport.ts';
import { renewSessions } from '../noise/transport-state.ts';
import { ENDPOINT_LENGTH, ENDPOINT_SIZE } from '../tun/endpoint.ts';
import type { Slab } from '../tun/slab.ts';
import { unpackAgreement } from './agreement.ts';
import { type Egress, TUN_GONE } from './egress.ts';
import { clearFilter } from './flood-filter.ts';
import type { HandshakeGate } from './handshake-gate.ts';
import type { Ingress } from './ingress.ts';
import { PacketPath } from './packet-path.ts';
import type { PlaneBoot, PlaneCommand, PlaneEvent } from './plane-protocol.ts';
import { type PlaneParts, readPlane, takeSnapshot, writePlane } from './plane-state.ts';
import { PollSet } from './poll-set.ts';

const POLL_FDS = 5;
const FAULT = libc.POLLERR | libc.POLLHUP | libc.POLLNVAL;
const LONGEST_SLEEP = 0x7fff_ffff;

/**
 * Datagrams a send may hold. Linux takes 64 before 6.9 and 128 since, but wireguard-go, which receives two merged ones
 * at a time, has room for 128 in all, and stops listening when that overflows a dozen times.
 */
const MAX_SEGMENTS = 64;

const EVENT = 0;
const TUN = 1;
const UDP4 = 2;
const UDP6 = 3;
const WATCH = 4;

class DataPlane {
  readonly #boot: PlaneBoot;
  readonly #port: MessagePort;
  readonly #clock = new BootClock();
  readonly #path: PacketPath;
  readonly #slab: Slab;
  readonly #kernel: Kernel;
  readonly #transport: Transport;
  readonly #egress: Egress;
  readonly #gate: HandshakeGate;
  readonly #ingress: Ingress;
  readonly #poll: PollSet;
  readonly #scratch: number;
  #running = true;
  /** Only commands are listened to. */
  #frozen: boolean;
  #tellRunning = false;

  constructor(boot: PlaneBoot, port: MessagePort) {
    this.#boot = boot;
    this.#port = port;
    this.#frozen = boot.frozen;
    this.#path = new PacketPath(boot, () => this.#post({ kind: 'mail' }));
    this.#slab = this.#path.slab;
    this.#kernel = this.#path.kernel;
    this.#transport = this.#path.transport;
    this.#egress = this.#path.egress;
    this.#gate = this.#path.gate;
    this.#ingress = this.#path.ingress;
    this.#poll = new PollSet(this.#slab, POLL_FDS);
    this.#scratch = this.#slab.take(8192);
    this.#poll.watch(EVENT, boot.eventFd);
    this.#poll.watch(TUN, boot.tunFd);
    this.#post({ kind: 'ready', backend: this.#kernel.backend, refused: this.#kernel.refused });
  }

  #post(event: PlaneEvent): void {
    this.#port.postMessage(event);
  }

  run(): void {
    const transport = this.#transport;
    const { address } = this.#slab;
    let now = this.#clock.now();
    while (this.#running) {
      const wasFrozen = this.#frozen;
      if (wasFrozen) this.#poll.waitForFirst();
      else this.#poll.wait(this.#tellRunning ? 0 : this.#sleepFor(now));
      now = this.#clock.now();
      transport.wallOffset = Date.now() - now;
      if (this.#poll.ready(EVENT) !== 0) {
        libc.read(this.#boot.eventFd, address + this.#scratch, 8);
        this.#fetchCommands(now);
      }
      if (wasFrozen || this.#frozen) continue;
      if (this.#poll.ready(UDP4) !== 0) this.#receive(UDP4, now);
      if (this.#poll.ready(UDP6) !== 0) this.#receive(UDP6, now);
      this.#act(now);
      const tun = this.#poll.ready(TUN);
      if ((tun & FAULT) !== 0 || (tun !== 0 && this.#egress.drain(now) === TUN_GONE)) this.#tunGone();
      if (this.#poll.ready(WATCH) !== 0) this.#drainWatch();
      if (transport.nextDeadline() <= now) transport.expire(now);
      if (this.#gate.deadline <= now) this.#gate.expire(now);
      this.#act(now);
      if (this.#egress.sender.takeLoss() || this.#gate.takeLoss()) this.#post({ kind: 'sockets-lost' });
      if (this.#tellRunning) this.#post({ kind: 'running' });
      this.#tellRunning = false;
    }
    this.#path.wipe();
  }

  /** Milliseconds until a timer is due, rounded up so that it is due then; -1: sleep until something happens. */
  #sleepFor(now: number): number {
    const deadline = Math.min(this.#transport.nextDeadline(), this.#gate.deadline);
    if (deadline === Number.POSITIVE_INFINITY) return -1;
    return Math.min(LONGEST_SLEEP, Math.max(0, Math.ceil(deadline - now)));
  }

  #receive(index: number, now: number): void {
    if (this.#ingress.drain(this.#poll.descriptor(index), now)) return;
    this.#poll.watch(index, -1);
    this.#post({ kind: 'sockets-lost' });
  }

  /** The interface was deleted: nothing more will come from it. */
  #tunGone(): void {
    this.#poll.watch(TUN, -1);
    this.#post({ kind: 'gone' });
  }

  /** The messages themselves are not read: the control thread asks the kernel for the state as it is by then. */
  #drainWatch(): void {
    const fd = this.#poll.descriptor(WATCH);
    let length = 0;
    do length = libc.read(fd, this.#slab.address + this.#scratch, 8192);
    while (length > 0);
    if (length < 0 && libc.errno() === libc.Errno.EBADF) this.#poll.watch(WATCH, -1);
    this.#post({ kind: 'link-changed' });
  }

  #act(now: number): void {
    const { actions } = this.#transport;
    let isKeyGone = false;
    while (actions.next()) {
      const { kind, value } = actions;
      switch (kind) {
        case INITIATE:
        case INITIATE_RETRY:
          // Without an endpoint nothing can be sent, and none is made: its spacing would delay the first real one.
          if (this.#transport.hasPeer(value) && !this.#transport.hasEndpoint(value)) {
            this.#transport.initiationSent(value, 0, now);
          } else this.#post({ kind: 'initiate', peer: value, isRetry: kind === INITIATE_RETRY });
          break;
        case KEEPALIVE:
          this.#egress.sendKeepalive(value, now);
          break;
        case FLUSH_STAGED:
          this.#egress.sendStaged(value, now);
          break;
        case KEYPAIR_GONE:
          this.#post({ kind: 'index-free', index: value });
          isKeyGone = true;
          break;
        case HANDSHAKE_STALE:
          this.#post({ kind: 'handshake-stale', peer: value });
          break;
        case ROAMED:
          if (!this.#boot.tellRoaming) break;
          this.#post({ kind: 'roamed', peer: value, record: this.#endpoint(value) });
          break;
      }
    }
    // What the cipher's scratch holds of old keys goes with them.
    if (isKeyGone) this.#kernel.wipe();
  }

  /** What was asked of others before `frozen` is theirs to answer, or to hand on. */
  #freeze(now: number): void {
    this.#act(now);
    this.#egress.flush(now);
    this.#act(now);
    this.#frozen = true;
    const state = writePlane(this.#parts);
    this.#port.postMessage({ kind: 'frozen', state } satisfies PlaneEvent, [state.buffer]);
  }

  #endpoint(peer: number): Uint8Array {
    const at = this.#transport.endpointOffset(peer);
    return this.#slab.bytes.slice(at, at + ENDPOINT_SIZE);
  }

  /** One batch; the eventfd stays readable while there are more, and packets have their turn in between. */
  #fetchCommands(now: number): void {
    const received = receiveMessageOnPort(this.#port) as { message: PlaneCommand[] } | undefined;
    for (const command of received?.message ?? []) this.#obey(command, now);
  }

  #obey(command: PlaneCommand, now: number): void {
    const transport = this.#transport;
    switch (command.kind) {
      case 'sockets':
        this.#egress.sender.fd4 = command.fd4;
        this.#egress.sender.fd6 = command.fd6;
        this.#egress.sender.maxSegments = command.segmentation ? MAX_SEGMENTS : 1;
        this.#poll.watch(UDP4, command.fd4);
        this.#poll.watch(UDP6, command.fd6);
        clearFilter(command.fd4);
        clearFilter(command.fd6);
        this.#post({ kind: 'sockets-taken' });
        break;
      case 'link':
        this.#egress.mtu = command.mtu;
        if (command.up) transport.deviceUp(now);
        else transport.deviceDown();
        break;
      case 'watch':
        this.#poll.watch(WATCH, command.fd);
        break;
      case 'add-peer':
        transport.addPeer(command.peer);
        break;
      case 'remove-peer':
        this.#egress.flush(now);
        transport.removePeer(command.peer);
        break;
      case 'endpoint':
        transport.setEndpoint(command.peer, command.record.subarray(0, command.record[ENDPOINT_LENGTH]));
        break;
      case 'keepalive':
        transport.setKeepalive(command.peer, command.seconds, now);
        break;
      case 'allow':
        transport.allowedIps.insertPacked(command.prefixes, command.peer);
        break;
      case 'disallow':
        transport.allowedIps.removePacked(command.prefixes, command.peer);
        break;
      case 'disallow-all':
        transport.allowedIps.removePeer(command.peer);
        break;
      case 'configured':
        if (transport.hasPeer(command.peer)) this.#egress.sendStaged(command.peer, now);
        break;
      case 'clear-sources':
        transport.clearSources();
        break;
      case 'expire-keys':
        transport.invalidateKeys();
        break;
      case 'identity':
        this.#gate.setIdentity(command.keys);
        break;
      case 'initiation':
        if (!transport.hasPeer(command.peer)) break;
        this.#gate.asked(command.message);
        transport.initiationSent(
          command.peer,
          this.#egress.sendHandshake(command.peer, command.message, now),
          now,
        );
        break;
      case 'response': {
        const { session, source, message } = unpackAgreement(command.agreement);
        const isThere = transport.hasPeer(session.peer);
        if (isThere) {
          transport.roam(session.peer, source, 0);
          transport.handshakeReceived(session.peer, INITIATION_SIZE, now);
        }
        // For a peer that is gone this wipes the keys and gives the index back.
        transport.installKeypair(session, now);
        if (!isThere) break;
        this.#gate.asked(message);
        const sent = this.#egress.sendHandshake(session.peer, message, now);
        transport.responseSent(session.peer, sent, now);
        break;
      }
      case 'established': {
        const { session, source } = unpackAgreement(command.agreement);
        if (transport.hasPeer(session.peer)) {
          transport.roam(session.peer, source, 0);
          transport.handshakeReceived(session.peer, RESPONSE_SIZE, now);
        }
        transport.installKeypair(session, now);
        break;
      }
      case 'snapshot':
        this.#post({
          kind: 'snapshot',
          id: command.id,
          snapshot: takeSnapshot(this.#parts, this.#slab.used),
        });
        break;
      case 'scrub':
        scrubHeap();
        break;
      case 'freeze':
        this.#freeze(now);
        break;
      case 'import':
        this.#post({ kind: 'imported', indices: readPlane(this.#parts, command.state, command.peers) });
        break;
      case 'thaw':
        this.#frozen = false;
        this.#tellRunning = true;
        if (command.renew) renewSessions(transport, now);
        break;
      case 'stop':
        transport.deviceDown();
        this.#running = false;
        break;
    }
  }

  get #parts(): PlaneParts {
    return { transport: this.#transport, memory: this.#slab.bytes, drops: this.#path.drops };
  }
}

if (parentPort !== null) {
  new DataPlane(workerData as PlaneBoot, parentPort).run();
  parentPort.postMessage({ kind: 'stopped' } satisfies PlaneEvent);
  parentPort.close();
}
