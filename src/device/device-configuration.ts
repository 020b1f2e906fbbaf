/**
 * What the lines of a `set` on the control socket do to a device.
 * Source: the cross-platform configuration protocol; wireguard-go device/uapi.go for effects and error numbers.
 * @module
 */
import { networkInterfaces } from 'node:os';
import type { Handshaker } from '../noise/handshaker.ts';
import type { Cidr, Endpoint } from '../noise/ip.ts';
import { PackedPrefixes, packPrefixes } from '../noise/packed-prefixes.ts';
import { EADDRINUSE, EINVAL, type SetSink } from '../noise/uapi-parser.ts';
import { ENDPOINT_SIZE, writeEndpoint } from '../tun/endpoint.ts';
import { interfaceIndex } from '../tun/tun-device.ts';
import { type Log, peerName } from './log.ts';
import type { Peer, PeerBook } from './peer-book.ts';
import type { PlaneClient } from './plane-client.ts';

/** Ranges the data plane is given with one command, between two batches of packets. */
const RANGES_AT_ONCE = 1024;
const IPV4_MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/** The number of an IPv6 zone: an interface's name or index; 0 when there is none. */
function scopeOf(zone: string | undefined): number {
  if (zone === undefined) return 0;
  if (/^\d+$/.test(zone)) return Number(zone);
  const known = networkInterfaces()[zone]?.find((entry) => entry.family === 'IPv6');
  return interfaceIndex(zone) ?? (known?.family === 'IPv6' ? known.scopeid : 0);
}

/** An IPv4 address in IPv6 clothing belongs on the IPv4 socket. */
function plainAddress(address: Uint8Array): Uint8Array {
  const isMapped = address.length === 16 && IPV4_MAPPED.every((byte, index) => address[index] === byte);
  return isMapped ? address.slice(12) : address;
}

/** What of a device is configured: device.ts has it all. */
export interface Configured {
  readonly book: PeerBook;
  readonly handshaker: Handshaker;
  readonly plane: PlaneClient;
  readonly log: Log;
  setListenPort(port: number): boolean;
  setMark(mark: number): boolean;
}

/** One `set`. Others may be under way on other connections: what they take away is gone here too. */
export class DeviceConfiguration implements SetSink {
  readonly #device: Configured;
  #section: Peer | undefined;
  /** Ranges of the section at hand that are still to be given to its peer: before this turn of the event loop ends. */
  readonly #ranges = new PackedPrefixes(RANGES_AT_ONCE);
  #giving = false;

  constructor(device: Configured) {
    this.#device = device;
  }

  /** The peer of the section at hand, unless somebody has removed it. */
  get #peer(): Peer | undefined {
    const peer = this.#section;
    return peer !== undefined && this.#device.book.byId(peer.id) === peer ? peer : undefined;
  }

  privateKey(key: Uint8Array): number {
    const { handshaker, book, plane } = this.#device;
    const { changed, removedPeer } = handshaker.setPrivateKey(key);
    if (!changed) return 0;
    this.#device.log.verbose('UAPI: Updating private key');
    const own = removedPeer === null ? undefined : book.byId(removedPeer);
    if (own !== undefined) this.#forget(own);
    plane.send({ kind: 'expire-keys' });
    // Turned off and on again, a persistent keepalive says so at once.
    for (const { id, keepalive } of book.all()) {
      if (keepalive === 0) continue;
      plane.send({ kind: 'keepalive', peer: id, seconds: 0 });
      plane.send({ kind: 'keepalive', peer: id, seconds: keepalive });
    }
    return 0;
  }

  listenPort(port: number): number {
    this.#device.log.verbose('UAPI: Updating listen port');
    return this.#device.setListenPort(port) ? 0 : EADDRINUSE;
  }

  fwmark(mark: number): number {
    this.#device.log.verbose('UAPI: Updating fwmark');
    return this.#device.setMark(mark) ? 0 : EADDRINUSE;
  }

  replacePeers(): number {
    this.#device.log.verbose('UAPI: Removing all peers');
    for (const peer of [...this.#device.book.all()]) this.#remove(peer);
    return 0;
  }

  peer(publicKey: Uint8Array): 'found' | 'created' | 'own-key' | number {
    const { book, handshaker, plane } = this.#device;
    this.#section = book.byKey(publicKey);
    if (this.#section !== undefined) return 'found';
    const peer = book.add(publicKey);
    if (peer === undefined) return EINVAL;
    if (handshaker.addPeer(peer.id, peer.publicKey) === 'own-key') {
      book.remove(peer);
      return 'own-key';
    }
    plane.send({ kind: 'add-peer', peer: peer.id });
    this.#section = peer;
    this.#device.log.verbose(`${peerName(publicKey)} - UAPI: Created`);
    return 'created';
  }

  removePeer(): number {
    if (this.#peer !== undefined) this.#remove(this.#peer);
    this.#section = undefined;
    this.#ranges.clear();
    return 0;
  }

  #remove(peer: Peer): void {
    this.#device.handshaker.removePeer(peer.id);
    this.#forget(peer);
    this.#device.log.verbose(`${peerName(peer.publicKey)} - UAPI: Removing`);
  }

  #forget(peer: Peer): void {
    this.#device.book.remove(peer);
    this.#device.plane.send({ kind: 'remove-peer', peer: peer.id });
  }

  presharedKey(key: Uint8Array): number {
    if (this.#peer !== undefined) this.#device.handshaker.setPresharedKey(this.#peer.id, key);
    return 0;
  }

  endpoint(endpoint: Endpoint): number {
    if (this.#peer === undefined) return 0;
    const record = new Uint8Array(ENDPOINT_SIZE);
    const address = plainAddress(endpoint.address);
    writeEndpoint(record, 0, { address, port: endpoint.port, scope: scopeOf(endpoint.zone) });
    this.#device.plane.send({ kind: 'endpoint', peer: this.#peer.id, record });
    return 0;
  }

  persistentKeepalive(seconds: number): number {
    if (this.#peer === undefined) return 0;
    this.#peer.keepalive = seconds;
    this.#device.plane.send({ kind: 'keepalive', peer: this.#peer.id, seconds });
    return 0;
  }

  replaceAllowedIps(): number {
    if (this.#peer === undefined) return 0;
    this.#ranges.clear();
    this.#device.book.disallowAll(this.#peer);
    this.#device.plane.send({ kind: 'disallow-all', peer: this.#peer.id });
    return 0;
  }

  allowedIp(range: Cidr): number {
    // Other connections get their turn when this one's bytes have been read: by then all is told.
    if (!this.#giving) {
      this.#giving = true;
      queueMicrotask(() => {
        this.#giving = false;
        this.#giveRanges();
      });
    }
    this.#ranges.add(range);
    if (this.#ranges.isFull) this.#giveRanges();
    return 0;
  }

  allowedIps(packed: Uint8Array): void {
    this.#giveRanges();
    this.#give(packed.slice());
  }

  removeAllowedIp(range: Cidr): number {
    if (this.#peer === undefined) return 0;
    this.#giveRanges();
    if (!this.#device.book.disallow(this.#peer, range)) return 0;
    this.#device.plane.send({ kind: 'disallow', peer: this.#peer.id, prefixes: packPrefixes([range]) });
    return 0;
  }

  #giveRanges(): void {
    if (!this.#ranges.isEmpty) this.#give(this.#ranges.take());
  }

  /** Book and data plane are told in the same order, so they agree on whose a range is. */
  #give(prefixes: Uint8Array): void {
    const peer = this.#peer;
    if (peer === undefined) return;
    this.#device.book.allow(peer, prefixes);
    this.#device.plane.send({ kind: 'allow', peer: peer.id, prefixes });
  }

  peerEnd(): void {
    this.#giveRanges();
    if (this.#peer === undefined) return;
    this.#device.plane.send({ kind: 'configured', peer: this.#peer.id });
    this.#section = undefined;
  }
}
