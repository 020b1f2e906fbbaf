/**
 * The data-plane thread: one poll loop that owns the TUN, the UDP sockets and everything a packet needs. It never
 * returns to the event loop of Node: commands are fetched when the eventfd says so, events are posted.
 * @module
 */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { type Kernel, loadKernel } from '../aead/kernel.ts';
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
import { MAX_PEERS } from '../noise/constants.ts';
import { layOut, Transport } from '../noise/transport.ts';
import { ENDPOINT_LENGTH, ENDPOINT_SIZE } from '../tun/endpoint.ts';
import { Mailbox } from '../tun/mailbox.ts';
import { Slab } from '../tun/slab.ts';
import { dropNames } from './drops.ts';
import { Egress, TUN_GONE } from './egress.ts';
import { HandshakeGate } from './handshake-gate.ts';
import { Ingress } from './ingress.ts';
import type { PlaneBoot, PlaneCommand, PlaneEvent, PlaneSnapshot } from './plane-protocol.ts';

/** Staged packets of all peers together, in bytes. */
const STAGED_SIZE = 4 << 20;
/** Kernel, buffers and items; keypairs and endpoints come on top. Untouched pages cost nothing. */
const BUFFERS_SIZE = 4 << 20;
const POLL_FDS = 5;
const POLLFD_SIZE = 8;
const FAULT = libc.POLLERR | libc.POLLHUP | libc.POLLNVAL;
const LONGEST_SLEEP = 0x7fff_ffff;

const INITIATION_SIZE = 148;
const RESPONSE_SIZE = 92;

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
  readonly #slab: Slab;
  readonly #kernel: Kernel;
  readonly #transport: Transport;
  readonly #egress: Egress;
  readonly #gate: HandshakeGate;
  readonly #ingress: Ingress;
  readonly #drops = new Float64Array(dropNames.length);
  /** Where the packet buffers begin. */
  readonly #buffers: number;
  readonly #poll: number;
  readonly #scratch: number;
  /** One more than the highest peer ever added. */
  #peerLimit = 0;
  #running = true;

  constructor(boot: PlaneBoot, port: MessagePort) {
    this.#boot = boot;
    this.#port = port;
    const layout = layOut(MAX_PEERS, STAGED_SIZE);
    this.#slab = new Slab(BUFFERS_SIZE + layout.size);
    this.#kernel = loadKernel(this.#slab.memory, { crypto: boot.crypto, simd: boot.simd });
    this.#slab.reserveKernel(this.#kernel.heapBase());
    const base = this.#slab.take(layout.size);
    this.#buffers = base + layout.size;
    this.#transport = new Transport({
      ...layout,
      memory: this.#slab.bytes,
      endpoints: base + layout.endpoints,
      keypairs: base + layout.keypairs,
      staged: base + layout.staged,
      random: Math.random,
    });
    this.#egress = new Egress(this.#slab, this.#kernel, this.#transport, this.#drops, boot.tunFd, MAX_PEERS);
    this.#gate = new HandshakeGate(this.#slab, this.#kernel, this.#drops, new Mailbox(boot.mailbox), () =>
      this.#post({ kind: 'mail' }),
    );
    this.#ingress = new Ingress(
      this.#slab,
      this.#kernel,
      this.#transport,
      this.#drops,
      this.#gate,
      boot.tunFd,
      boot.udpOffload,
    );
    this.#poll = this.#slab.take(POLL_FDS * POLLFD_SIZE);
    this.#scratch = this.#slab.take(8192);
    for (let i = 0; i < POLL_FDS; i += 1) this.#watch(i, -1);
    this.#watch(EVENT, boot.eventFd);
    this.#watch(TUN, boot.tunFd);
    this.#post({ kind: 'ready', backend: this.#kernel.backend, refused: this.#kernel.refused });
  }

  #post(event: PlaneEvent): void {
    this.#port.postMessage(event);
  }

  #watch(index: number, fd: number): void {
    const { words } = this.#slab;
    words[(this.#poll + index * POLLFD_SIZE) >> 2] = fd;
    words[(this.#poll + index * POLLFD_SIZE + 4) >> 2] = libc.POLLIN;
  }

  /** What poll(2) found on a descriptor. */
  #ready(index: number): number {
    return this.#slab.view.getInt16(this.#poll + index * POLLFD_SIZE + 6, true);
  }

  run(): void {
    const transport = this.#transport;
    const { address } = this.#slab;
    let now = this.#clock.now();
    while (this.#running) {
      libc.poll(address + this.#poll, POLL_FDS, this.#sleepFor(now));
      now = this.#clock.now();
      transport.wallOffset = Date.now() - now;
      if (this.#ready(EVENT) !== 0) {
        libc.read(this.#boot.eventFd, address + this.#scratch, 8);
        this.#fetchCommands(now);
      }
      if (this.#ready(UDP4) !== 0) this.#ingress.drain(this.#egress.sender.fd4, now);
      if (this.#ready(UDP6) !== 0) this.#ingress.drain(this.#egress.sender.fd6, now);
      this.#act(now);
      const tun = this.#ready(TUN);
      if ((tun & FAULT) !== 0 || (tun !== 0 && this.#egress.drain(now) === TUN_GONE)) this.#tunGone();
      if (this.#ready(WATCH) !== 0) this.#drainWatch();
      if (transport.nextDeadline() <= now) transport.expire(now);
      this.#act(now);
    }
    // The keys went with the peers' sessions; what is left of packets and of the cipher's scratch goes here.
    this.#slab.bytes.fill(0, 0, this.#kernel.heapBase());
    this.#slab.bytes.fill(0, this.#buffers, this.#slab.used);
  }

  /** Milliseconds until a timer is due, rounded up so that it is due then; -1: sleep until something happens. */
  #sleepFor(now: number): number {
    const deadline = this.#transport.nextDeadline();
    if (deadline === Number.POSITIVE_INFINITY) return -1;
    return Math.min(LONGEST_SLEEP, Math.max(0, Math.ceil(deadline - now)));
  }

  /** The interface was deleted: nothing more will come from it. */
  #tunGone(): void {
    this.#watch(TUN, -1);
    this.#post({ kind: 'gone' });
  }

  /** The messages themselves are not read: the control thread asks the kernel for the state as it is by then. */
  #drainWatch(): void {
    const fd = this.#slab.words[(this.#poll + WATCH * POLLFD_SIZE) >> 2] as number;
    let length = 0;
    do length = libc.read(fd, this.#slab.address + this.#scratch, 8192);
    while (length > 0);
    if (length < 0 && libc.errno() === libc.Errno.EBADF) this.#watch(WATCH, -1);
    this.#post({ kind: 'link-changed' });
  }

  #act(now: number): void {
    const { actions } = this.#transport;
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
          // What the cipher's scratch holds of the old key goes with it.
          this.#kernel.wipe();
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
  }

  #endpoint(peer: number): Uint8Array {
    const at = this.#transport.endpointOffset(peer);
    return this.#slab.bytes.slice(at, at + ENDPOINT_SIZE);
  }

  #fetchCommands(now: number): void {
    for (;;) {
      const received = receiveMessageOnPort(this.#port) as { message: PlaneCommand[] } | undefined;
      if (received === undefined) return;
      for (const command of received.message) this.#obey(command, now);
    }
  }

  #obey(command: PlaneCommand, now: number): void {
    const transport = this.#transport;
    switch (command.kind) {
      case 'sockets':
        this.#egress.sender.fd4 = command.fd4;
        this.#egress.sender.fd6 = command.fd6;
        this.#egress.sender.maxSegments = command.segmentation ? MAX_SEGMENTS : 1;
        this.#watch(UDP4, command.fd4);
        this.#watch(UDP6, command.fd6);
        this.#post({ kind: 'sockets-taken' });
        break;
      case 'link':
        this.#egress.mtu = command.mtu;
        if (command.up) transport.deviceUp(now);
        else transport.deviceDown();
        break;
      case 'watch':
        this.#watch(WATCH, command.fd);
        break;
      case 'add-peer':
        transport.addPeer(command.peer);
        this.#peerLimit = Math.max(this.#peerLimit, command.peer + 1);
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
        const { peer } = command.session;
        const isThere = transport.hasPeer(peer);
        if (isThere) {
          transport.roam(peer, command.source, 0);
          transport.handshakeReceived(peer, INITIATION_SIZE, now);
        }
        // For a peer that is gone this wipes the keys and gives the index back.
        transport.installKeypair(command.session, now);
        if (!isThere) break;
        this.#gate.asked(command.message);
        transport.responseSent(peer, this.#egress.sendHandshake(peer, command.message, now), now);
        break;
      }
      case 'established': {
        const { peer } = command.session;
        if (transport.hasPeer(peer)) {
          transport.roam(peer, command.source, 0);
          transport.handshakeReceived(peer, RESPONSE_SIZE, now);
        }
        transport.installKeypair(command.session, now);
        break;
      }
      case 'snapshot':
        this.#post({ kind: 'snapshot', id: command.id, snapshot: this.#snapshot() });
        break;
      case 'stop':
        transport.deviceDown();
        this.#running = false;
        break;
    }
  }

  #snapshot(): PlaneSnapshot {
    const transport = this.#transport;
    const peers: number[] = [];
    for (let peer = 0; peer < this.#peerLimit; peer += 1) if (transport.hasPeer(peer)) peers.push(peer);
    const numbers = new Float64Array(peers.length * 3);
    const endpoints = new Uint8Array(peers.length * ENDPOINT_SIZE);
    peers.forEach((peer, row) => {
      numbers[row * 3] = transport.txBytes(peer);
      numbers[row * 3 + 1] = transport.rxBytes(peer);
      numbers[row * 3 + 2] = transport.lastHandshake(peer);
      endpoints.set(this.#endpoint(peer), row * ENDPOINT_SIZE);
    });
    const drops = Object.fromEntries(dropNames.map((name, index) => [name, this.#drops[index] ?? 0]));
    drops['staged-dropped'] = transport.staged.dropped;
    const levels = { slabBytes: this.#slab.used, stagedBytes: transport.staged.usedBytes };
    return { peers: Int32Array.from(peers), numbers, endpoints, drops, ...levels };
  }
}

if (parentPort !== null) {
  new DataPlane(workerData as PlaneBoot, parentPort).run();
  parentPort.postMessage({ kind: 'stopped' } satisfies PlaneEvent);
  parentPort.close();
}
