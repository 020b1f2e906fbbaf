/**
 * A whole WireGuard device without I/O, in one thread: the Handshaker and the Transport joined by a cipher.
 * Source: WireGuard paper §5–6; the shape is that of boringtun's `Tunn`, for many peers.
 *
 * You own the socket, the TUN and the clock. Give it packets, datagrams and the time; it gives datagrams and packets to
 * the two functions of `TunnelOutput` before the call returns, and says in a word what became of yours.
 *
 *     const tunnel = new Tunnel({ primitives: noblePrimitives(randomBytes), output });
 *     tunnel.setPrivateKey(privateKey);
 *     const peer = tunnel.addPeer({ publicKey, endpoint, allowedIps }, now);
 *     tunnel.up(now);
 *     tunnel.send(ipPacket, now);                      // 'staged': it is sent when the session is there
 *     tunnel.receive(datagram, source, now);           // 'established', 'data', 'bad-tag', …
 *     sleepUntil(tunnel.nextDeadline()); tunnel.tick(now);
 *
 * `now` is a monotonic clock in milliseconds; `wallOffset`, added to it, is the time of day. An address of the outer
 * network is 6 or 18 bytes: IP address, then port, most significant byte first. Buffers handed to `TunnelOutput` are
 * valid until it returns, and it must not call back into the tunnel.
 * @module
 */
import {
  FLUSH_STAGED,
  HANDSHAKE_STALE,
  INITIATE,
  INITIATE_RETRY,
  KEEPALIVE,
  KEYPAIR_GONE,
} from './action-queue.ts';
import { DEFAULT_MTU, KEY_SIZE, TAG_SIZE } from './constants.ts';
import type { PeerConfig } from './device-config.ts';
import { Handshaker } from './handshaker.ts';
import { paddedLength } from './inner-packet.ts';
import type { Cidr, Endpoint } from './ip.ts';
import { TRANSPORT_COUNTER, TRANSPORT_MIN_SIZE, TRANSPORT_PACKET, TYPE_TRANSPORT } from './messages.ts';
import { ENDPOINT_SIZE } from './peer-table.ts';
import { RandomIndices } from './session-keys.ts';
import { layOut, MALFORMED, NONE, REPLAYED, Transport } from './transport.ts';
import { nobleTransportCipher, type TransportCipher } from './transport-cipher.ts';
import { TunnelError } from './tunnel-error.ts';
import type {
  ReceiveOutcome,
  SendOutcome,
  TunnelOptions,
  TunnelOutput,
  TunnelPeerStatus,
} from './tunnel-types.ts';

const MAX_PACKET = 65_535;
const MAX_STAGED = 1 << 20;
const ENDPOINT_LENGTH = 28;

/** A WireGuard interface as an object: the caller moves the bytes and tells the time. */
export class Tunnel {
  /** An initiation then has to prove where it comes from, by a cookie, before it costs us anything. */
  isUnderLoad = false;
  /** @internal */
  readonly transport: Transport;
  /** @internal */
  readonly handshaker: Handshaker;
  readonly #output: TunnelOutput;
  readonly #cipher: TransportCipher;
  readonly #indices: RandomIndices;
  readonly #mtu: number;
  readonly #memory: Uint8Array;
  /** A datagram while it is made or read. */
  readonly #buffer = new Uint8Array(TRANSPORT_MIN_SIZE + MAX_PACKET + TAG_SIZE);
  readonly #view = new DataView(this.#buffer.buffer);
  /** The endpoint record of the datagram that is being read. */
  readonly #source = new Uint8Array(ENDPOINT_SIZE);
  readonly #maxPeers: number;

  constructor(options: TunnelOptions) {
    const { primitives } = options;
    this.#maxPeers = options.maxPeers ?? 16;
    this.#output = options.output;
    this.#cipher = options.cipher ?? nobleTransportCipher;
    this.#mtu = options.mtu ?? DEFAULT_MTU;
    this.#indices = new RandomIndices(primitives.randomBytes);
    this.handshaker = new Handshaker(primitives, this.#indices);
    const layout = layOut(this.#maxPeers, options.stagedSize ?? MAX_STAGED);
    this.#memory = new Uint8Array(layout.size);
    const random = (): number => {
      const bytes = primitives.randomBytes(2);
      return (((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0)) / 0x1_0000;
    };
    this.transport = new Transport({ ...layout, memory: this.#memory, random });
    this.transport.wallOffset = options.wallOffset ?? 0;
  }

  /* ---- Configuration ---- */

  /** Indices in use: unfinished handshakes and sessions. */
  get indexCount(): number {
    return this.#indices.size;
  }

  /** Time of day minus `now`: set it anew when the clock of the machine was set. */
  set wallOffset(milliseconds: number) {
    this.transport.wallOffset = milliseconds;
  }

  /** Running sessions go on receiving; the next packet to each peer makes a new one. */
  setPrivateKey(privateKey: Uint8Array): void {
    const { changed, removedPeer } = this.handshaker.setPrivateKey(privateKey);
    if (!changed) return;
    if (removedPeer !== null) this.transport.removePeer(removedPeer);
    this.transport.invalidateKeys();
    this.#drain(0);
  }

  /** Returns the number by which the peer is called from now on. */
  addPeer(config: PeerConfig, now: number): number {
    let peer = 0;
    while (this.transport.hasPeer(peer)) peer += 1;
    if (peer >= this.#maxPeers) {
      throw new TunnelError(
        'ERR_TOO_MANY_PEERS',
        `all ${this.#maxPeers} peers are taken; make the tunnel with more`,
      );
    }
    const added = this.handshaker.addPeer(peer, config.publicKey);
    if (added === 'exists') {
      throw new TunnelError(
        'ERR_PEER_EXISTS',
        'a peer with this public key is there already; remove it first',
      );
    }
    if (added === 'own-key') {
      throw new TunnelError('ERR_OWN_KEY', 'this public key is our own; give the key of the other side');
    }
    this.transport.addPeer(peer);
    if (config.presharedKey !== undefined) this.handshaker.setPresharedKey(peer, config.presharedKey);
    if (config.endpoint !== undefined) this.setEndpoint(peer, config.endpoint);
    for (const range of config.allowedIps) this.allow(peer, range);
    this.setKeepalive(peer, config.persistentKeepalive ?? 0, now);
    return peer;
  }

  /** Wipes the peer's keys and drops what is staged for it; its number may be given to another. */
  removePeer(peer: number): void {
    this.transport.removePeer(peer);
    this.#drain(0);
    this.handshaker.removePeer(peer);
  }

  /** For the next handshake; zeros take it away. */
  setPresharedKey(peer: number, key: Uint8Array): void {
    this.handshaker.setPresharedKey(peer, key);
  }

  /** The peer may use these addresses, and packets to them go to it; another peer that had the range loses it. */
  allow(peer: number, range: Cidr): void {
    this.transport.allowedIps.insert(range.address, range.prefix, peer);
  }

  /** False when the range was not this peer's. */
  disallow(peer: number, range: Cidr): boolean {
    return this.transport.allowedIps.remove(range.address, range.prefix, peer);
  }

  /** Where to send to until the peer is heard from elsewhere. */
  setEndpoint(peer: number, endpoint: Endpoint): void {
    const bytes = new Uint8Array(endpoint.address.length + 2);
    bytes.set(endpoint.address);
    bytes[bytes.length - 2] = endpoint.port >> 8;
    bytes[bytes.length - 1] = endpoint.port & 0xff;
    this.transport.setEndpoint(peer, bytes);
  }

  /** Persistent keepalive in seconds, 0: off. */
  setKeepalive(peer: number, seconds: number, now: number): void {
    this.transport.setKeepalive(peer, seconds, now);
    this.#drain(now);
  }

  /** Nothing is sent or received before. */
  up(now: number): void {
    this.transport.deviceUp(now);
    this.#drain(now);
  }

  /** Forgets all sessions and handshakes; peers, endpoints and counters stay. */
  down(): void {
    this.transport.deviceDown();
    this.#drain(0);
    for (let peer = 0; peer < this.#maxPeers; peer += 1) {
      this.handshaker.clearHandshake(peer);
      this.handshaker.resetSpacing(peer);
    }
  }

  /** Counters and endpoint of one peer, as copies. */
  status(peer: number): TunnelPeerStatus {
    const { transport } = this;
    return {
      endpoint: transport.hasEndpoint(peer) ? this.#endpoint(peer).slice() : null,
      txBytes: transport.txBytes(peer),
      rxBytes: transport.rxBytes(peer),
      lastHandshake: transport.peers.lastHandshake(peer),
      hasSession: transport.keypairs.current(peer) !== NONE,
    };
  }

  /* ---- Packets ---- */

  /** An IP packet for one of the peers. */
  send(packet: Uint8Array, now: number): SendOutcome {
    const { transport } = this;
    if (!transport.isUp) return 'down';
    const { length } = packet;
    const peer = length > MAX_PACKET ? MALFORMED : transport.routeOut(packet, 0, length);
    if (peer < 0) return peer === MALFORMED ? 'malformed' : 'no-route';
    if (!transport.hasEndpoint(peer)) return 'no-endpoint';
    const slot = transport.usableKeypair(peer, now);
    if (slot !== NONE) {
      this.#buffer.set(packet, TRANSPORT_PACKET);
      const size = this.#sealAndSend(peer, slot, length);
      if (size > 0) {
        transport.sent(peer, size, true, now);
        this.#drain(now);
        return 'sent';
      }
    }
    const isKept = transport.stage(peer, packet, 0, length, now);
    this.#drain(now);
    return isKept ? 'staged' : 'dropped';
  }

  /** A datagram that came from an address of the outer network. */
  receive(datagram: Uint8Array, source: Uint8Array, now: number): ReceiveOutcome {
    if (!this.transport.isUp) return 'down';
    const { length } = datagram;
    if (length < TRANSPORT_MIN_SIZE || length > this.#buffer.length || source.length > ENDPOINT_LENGTH) {
      return 'malformed';
    }
    this.#source.fill(0);
    this.#source.set(source);
    this.#source[ENDPOINT_LENGTH] = source.length;
    const type = new DataView(datagram.buffer, datagram.byteOffset, 4).getUint32(0, true);
    const outcome =
      type === TYPE_TRANSPORT
        ? this.#receiveTransport(datagram, now)
        : this.#receiveHandshake(datagram, source, now);
    this.#drain(now);
    return outcome;
  }

  /** When to call `tick` next, Infinity: only after something else happened. */
  nextDeadline(): number {
    return this.transport.nextDeadline();
  }

  /** Does what is due by now. */
  tick(now: number): void {
    this.transport.expire(now);
    this.#drain(now);
  }

  /* ---- */

  #receiveTransport(datagram: Uint8Array, now: number): ReceiveOutcome {
    const { transport } = this;
    const { length } = datagram;
    this.#buffer.set(datagram);
    const slot = transport.receiveKeypair(this.#view.getUint32(4, true), now);
    if (slot === NONE) return 'unknown-index';
    const low = this.#view.getUint32(TRANSPORT_COUNTER, true);
    const high = this.#view.getUint32(TRANSPORT_COUNTER + 4, true);
    const key = this.#key(transport.keypairs.receiveKey(slot));
    if (!this.#cipher.open(key, high, low, this.#buffer, TRANSPORT_PACKET, length - TRANSPORT_PACKET)) {
      return 'bad-tag';
    }
    if (transport.opened(slot, high, low, now) === REPLAYED) return 'replayed';
    const peer = transport.keypairs.peerOf[slot] as number;
    transport.roam(peer, this.#source, 0);
    const padded = length - TRANSPORT_MIN_SIZE;
    transport.received(peer, length, padded > 0, now);
    if (padded === 0) return 'keepalive';
    const total = transport.acceptInner(peer, this.#buffer, TRANSPORT_PACKET, padded);
    if (total < 0) return total === MALFORMED ? 'bad-packet' : 'wrong-source';
    this.#output.packet(this.#buffer.subarray(TRANSPORT_PACKET, TRANSPORT_PACKET + total), peer);
    return 'data';
  }

  #receiveHandshake(message: Uint8Array, source: Uint8Array, now: number): ReceiveOutcome {
    const { transport } = this;
    const outcome = this.handshaker.consume(message, source, now, this.isUnderLoad);
    switch (outcome.kind) {
      case 'drop':
        return outcome.reason;
      case 'cookie-reply':
        this.#output.datagram(outcome.message, source);
        return 'cookie-reply';
      case 'cookie-stored':
        return 'cookie-stored';
      case 'response':
        transport.handshakeReceived(outcome.peer, message.length, now);
        transport.roam(outcome.peer, this.#source, 0);
        transport.installKeypair(outcome.session, now);
        transport.responseSent(outcome.peer, outcome.message.length, now);
        this.#output.datagram(outcome.message, source);
        return 'response';
      case 'established':
        transport.roam(outcome.peer, this.#source, 0);
        transport.handshakeReceived(outcome.peer, message.length, now);
        transport.installKeypair(outcome.session, now);
        return 'established';
    }
  }

  /** Does what the transport side wants done. */
  #drain(now: number): void {
    const { actions } = this.transport;
    while (actions.next()) {
      const { kind, value } = actions;
      if (kind === KEYPAIR_GONE) this.#indices.release(value);
      else if (!this.transport.isUp || !this.transport.hasPeer(value)) continue;
      else if (kind === INITIATE || kind === INITIATE_RETRY) this.#initiate(value, now);
      else if (kind === KEEPALIVE) this.#sendKeepalive(value, now);
      else if (kind === FLUSH_STAGED) this.#flushStaged(value, now);
      else if (kind === HANDSHAKE_STALE) this.handshaker.clearHandshake(value);
    }
  }

  #initiate(peer: number, now: number): void {
    const { transport } = this;
    // Nowhere to send it to: not worth the arithmetic, but tried again as if it had been lost.
    if (!transport.hasEndpoint(peer)) {
      transport.initiationSent(peer, 0, now);
      return;
    }
    const outcome = this.handshaker.initiate(peer, now, transport.wallOffset + now);
    if (outcome.kind !== 'initiation') return;
    transport.initiationSent(peer, outcome.message.length, now);
    this.#output.datagram(outcome.message, this.#endpoint(peer));
  }

  #sendKeepalive(peer: number, now: number): void {
    const slot = this.transport.usableKeypair(peer, now);
    if (slot === NONE || !this.transport.hasEndpoint(peer)) return;
    const size = this.#sealAndSend(peer, slot, 0);
    if (size > 0) this.transport.sent(peer, size, false, now);
  }

  #flushStaged(peer: number, now: number): void {
    const { transport } = this;
    while (transport.staged.count(peer) > 0) {
      const slot = transport.usableKeypair(peer, now);
      if (slot === NONE) {
        transport.requestHandshake(peer, now);
        return;
      }
      const length = transport.unstage(peer, this.#buffer, TRANSPORT_PACKET);
      const size = this.#sealAndSend(peer, slot, length);
      if (size > 0) transport.sent(peer, size, true, now);
    }
  }

  /** Seals the packet that lies in the buffer and sends it; its size, or 0 when the keypair is used up. */
  #sealAndSend(peer: number, slot: number, length: number): number {
    const { keypairs } = this.transport;
    const counter = this.transport.reserve(slot, 1);
    if (counter < 0) return 0;
    const padded = paddedLength(length, this.#mtu);
    this.#buffer.fill(0, TRANSPORT_PACKET + length, TRANSPORT_PACKET + padded);
    const high = Math.floor(counter / 0x1_0000_0000);
    const low = counter >>> 0;
    this.#view.setUint32(0, TYPE_TRANSPORT, true);
    this.#view.setUint32(4, keypairs.remoteIndexOf[slot] as number, true);
    this.#view.setUint32(TRANSPORT_COUNTER, low, true);
    this.#view.setUint32(TRANSPORT_COUNTER + 4, high, true);
    this.#cipher.seal(this.#key(keypairs.sendKey(slot)), high, low, this.#buffer, TRANSPORT_PACKET, padded);
    const size = TRANSPORT_MIN_SIZE + padded;
    this.#output.datagram(this.#buffer.subarray(0, size), this.#endpoint(peer));
    return size;
  }

  #key(offset: number): Uint8Array {
    return this.#memory.subarray(offset, offset + KEY_SIZE);
  }

  #endpoint(peer: number): Uint8Array {
    const at = this.transport.endpointOffset(peer);
    return this.#memory.subarray(at, at + (this.#memory[at + ENDPOINT_LENGTH] ?? 0));
  }
}
