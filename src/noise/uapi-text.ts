/**
 * The text of the control socket, from the writing side: `get` replies and `set` requests, and reading a `get` reply.
 * Source: wireguard.com/xplatform (cross-platform configuration protocol); wireguard-go device/uapi.go for the order of lines.
 * Chunks are bytes, so that the keys in them can be wiped once they are sent.
 * @module
 */
import type { DeviceChange, DeviceStatus, PeerChange, PeerStatus } from './device-config.ts';
import { HEX_KEY_SIZE, parseHexKey, writeHexKey } from './hex-key.ts';
import { type Cidr, formatCidr, formatEndpoint, parseCidr, parseEndpoint } from './ip.ts';
import { isZero, NO_PRESHARED_KEY } from './primitives.ts';

const CHUNK_SIZE = 32 * 1024;
/** More than the longest line: a key name, 64 digits, or an endpoint with its zone. */
const LINE_ROOM = 256;

export class UapiReplyError extends Error {
  readonly code = 'ERR_UAPI_REPLY';
  /** The number the device answered, or 0 when the text itself was wrong. */
  readonly errno: number;

  constructor(message: string, errno = 0) {
    super(message);
    this.name = 'UapiReplyError';
    this.errno = errno;
  }
}

/** Gathers lines into chunks of bytes. */
class LineWriter {
  #chunk = new Uint8Array(CHUNK_SIZE);
  #length = 0;

  get isFull(): boolean {
    return this.#length > CHUNK_SIZE - LINE_ROOM;
  }

  /** Everything here is ASCII but for interface names, which the zone's grammar keeps short. */
  line(text: string): void {
    const { written } = encoder.encodeInto(text, this.#chunk.subarray(this.#length));
    this.#length += written;
    this.#chunk[this.#length++] = 0x0a;
  }

  key(name: string, key: Uint8Array): void {
    const { written } = encoder.encodeInto(`${name}=`, this.#chunk.subarray(this.#length));
    this.#length += written;
    writeHexKey(this.#chunk, this.#length, key);
    this.#length += HEX_KEY_SIZE;
    this.#chunk[this.#length++] = 0x0a;
  }

  take(): Uint8Array {
    const chunk = this.#chunk.subarray(0, this.#length);
    this.#chunk = new Uint8Array(CHUNK_SIZE);
    this.#length = 0;
    return chunk;
  }
}

const encoder = new TextEncoder();

/** What a device counts beyond the protocol's `get`, by name. */
export type Metrics = Readonly<Record<string, number>>;

const METRIC = 'kilowire_';
const ROUND_TRIP = 'kilowire_handshake_round_trip_usec';
const PATH_MTU = 'kilowire_path_mtu';

/**
 * The reply to `get`, with its errno=0 and the empty line. Ask for the next chunk when the last one is sent.
 * With metrics, the reply to `kilowire_get`: the same without secrets, and lines that begin with `kilowire_`.
 */
export function* formatGet(device: DeviceStatus, metrics?: Metrics): Generator<Uint8Array, void, void> {
  const out = new LineWriter();
  const isPlain = metrics === undefined;
  if (isPlain && device.privateKey !== undefined && !isZero(device.privateKey))
    out.key('private_key', device.privateKey);
  if (device.listenPort) out.line(`listen_port=${device.listenPort}`);
  if (device.fwmark) out.line(`fwmark=${device.fwmark}`);
  for (const [name, value] of Object.entries(metrics ?? {})) {
    if (out.isFull) yield out.take();
    out.line(`${METRIC}${name}=${value}`);
  }
  for (const peer of device.peers) {
    // A peer's own lines come to less than one chunk, so only the allowed IPs ask for room one by one.
    if (out.isFull) yield out.take();
    out.key('public_key', peer.publicKey);
    if (isPlain) out.key('preshared_key', peer.presharedKey ?? NO_PRESHARED_KEY);
    if (out.isFull) yield out.take();
    out.line('protocol_version=1');
    if (peer.endpoint !== undefined) out.line(`endpoint=${formatEndpoint(peer.endpoint)}`);
    if (out.isFull) yield out.take();
    out.line(`last_handshake_time_sec=${peer.lastHandshake.seconds}`);
    out.line(`last_handshake_time_nsec=${peer.lastHandshake.nanoseconds}`);
    out.line(`tx_bytes=${peer.txBytes}`);
    out.line(`rx_bytes=${peer.rxBytes}`);
    out.line(`persistent_keepalive_interval=${peer.persistentKeepalive ?? 0}`);
    if (!isPlain && peer.roundTrip !== undefined) {
      out.line(`${ROUND_TRIP}=${Math.round(peer.roundTrip * 1000)}`);
    }
    if (!isPlain && peer.pathMtu !== undefined) out.line(`${PATH_MTU}=${peer.pathMtu}`);
    for (const allowed of peer.allowedIps) {
      if (out.isFull) yield out.take();
      out.line(`allowed_ip=${formatCidr(allowed)}`);
    }
  }
  if (out.isFull) yield out.take();
  out.line('errno=0');
  out.line('');
  yield out.take();
}

/** A `set` request, with its empty line. */
export function* formatSet(change: DeviceChange): Generator<Uint8Array, void, void> {
  const out = new LineWriter();
  out.line('set=1');
  if (change.privateKey !== undefined) out.key('private_key', change.privateKey);
  if (change.listenPort !== undefined) out.line(`listen_port=${change.listenPort}`);
  if (change.fwmark !== undefined) out.line(`fwmark=${change.fwmark}`);
  if (change.replacePeers) out.line('replace_peers=true');
  for (const peer of change.peers) yield* formatPeerChange(out, peer);
  if (out.isFull) yield out.take();
  out.line('');
  yield out.take();
}

function* formatPeerChange(out: LineWriter, peer: PeerChange): Generator<Uint8Array, void, void> {
  if (out.isFull) yield out.take();
  out.key('public_key', peer.publicKey);
  if (peer.updateOnly) out.line('update_only=true');
  if (peer.remove) {
    out.line('remove=true');
    return;
  }
  if (out.isFull) yield out.take();
  if (peer.presharedKey !== undefined) out.key('preshared_key', peer.presharedKey);
  if (peer.endpoint !== undefined) out.line(`endpoint=${formatEndpoint(peer.endpoint)}`);
  if (out.isFull) yield out.take();
  if (peer.persistentKeepalive !== undefined) {
    out.line(`persistent_keepalive_interval=${peer.persistentKeepalive}`);
  }
  if (peer.replaceAllowedIps) out.line('replace_allowed_ips=true');
  for (const removed of peer.removeAllowedIps ?? []) {
    if (out.isFull) yield out.take();
    out.line(`allowed_ip=-${formatCidr(removed)}`);
  }
  for (const allowed of peer.allowedIps ?? []) {
    if (out.isFull) yield out.take();
    out.line(`allowed_ip=${formatCidr(allowed)}`);
  }
}

/** All chunks in one, for a caller that has no use for streaming. */
export function joinChunks(chunks: Iterable<Uint8Array>): Uint8Array {
  const all = [...chunks];
  const joined = new Uint8Array(all.reduce((length, chunk) => length + chunk.length, 0));
  let offset = 0;
  for (const chunk of all) {
    joined.set(chunk, offset);
    offset += chunk.length;
  }
  return joined;
}

interface PeerDraft {
  publicKey: Uint8Array;
  presharedKey?: Uint8Array;
  endpoint?: NonNullable<PeerStatus['endpoint']>;
  persistentKeepalive: number;
  allowedIps: Cidr[];
  lastHandshake: { seconds: number; nanoseconds: number };
  txBytes: number;
  rxBytes: number;
  roundTrip?: number;
  pathMtu?: number;
}

function wrong(name: string, wanted: string): UapiReplyError {
  return new UapiReplyError(
    `the device's reply is not ${wanted} in "${name}"; is it a WireGuard control socket?`,
  );
}

function numberOf(name: string, value: string): number {
  if (!/^[0-9]{1,20}$/.test(value)) throw wrong(name, 'a number');
  return Number(value);
}

function keyOf(name: string, value: string): Uint8Array {
  const key = parseHexKey(encoder.encode(value));
  if (key === null) throw wrong(name, 'a key of 64 digits');
  return key;
}

function peerLine(peer: PeerDraft, name: string, value: string): void {
  switch (name) {
    case 'preshared_key': {
      const key = keyOf(name, value);
      if (!isZero(key)) peer.presharedKey = key;
      break;
    }
    case 'endpoint': {
      const endpoint = parseEndpoint(value);
      if (endpoint === null) throw wrong(name, 'an address and port');
      peer.endpoint = endpoint;
      break;
    }
    case 'allowed_ip': {
      const allowed = parseCidr(value);
      if (allowed === null) throw wrong(name, 'an address range');
      peer.allowedIps.push(allowed);
      break;
    }
    case 'last_handshake_time_sec':
      peer.lastHandshake.seconds = numberOf(name, value);
      break;
    case 'last_handshake_time_nsec':
      peer.lastHandshake.nanoseconds = numberOf(name, value);
      break;
    case 'tx_bytes':
      peer.txBytes = numberOf(name, value);
      break;
    case 'rx_bytes':
      peer.rxBytes = numberOf(name, value);
      break;
    case 'persistent_keepalive_interval':
      peer.persistentKeepalive = numberOf(name, value);
      break;
    case ROUND_TRIP:
      peer.roundTrip = numberOf(name, value) / 1000;
      break;
    case PATH_MTU:
      peer.pathMtu = numberOf(name, value);
      break;
    // xplatform: a reader passes over keys it does not know.
  }
}

/** Reads a whole `get` reply, of our device or of another implementation. */
export function parseGet(text: string): DeviceStatus {
  const device: { privateKey?: Uint8Array; listenPort?: number; fwmark?: number } = {};
  const peers: PeerDraft[] = [];
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const equals = line.indexOf('=');
    if (equals < 0)
      throw new UapiReplyError('the reply has a line without "="; is it a WireGuard control socket?');
    const name = line.slice(0, equals);
    const value = line.slice(equals + 1);
    const peer = peers.at(-1);
    if (name === 'errno') {
      // Implementations differ in the sign.
      const errno = Math.abs(Number.parseInt(value, 10));
      if (errno !== 0)
        throw new UapiReplyError(`the device refused to tell its state (errno ${errno})`, errno);
      return { ...device, peers };
    }
    if (name === 'public_key') {
      peers.push({
        publicKey: keyOf(name, value),
        persistentKeepalive: 0,
        allowedIps: [],
        lastHandshake: { seconds: 0, nanoseconds: 0 },
        txBytes: 0,
        rxBytes: 0,
      });
    } else if (peer !== undefined) peerLine(peer, name, value);
    else if (name === 'private_key') device.privateKey = keyOf(name, value);
    else if (name === 'listen_port') device.listenPort = numberOf(name, value);
    else if (name === 'fwmark') device.fwmark = numberOf(name, value);
  }
  throw new UapiReplyError('the reply ended before its errno line; the device may have been stopped');
}

/** The device's `kilowire_` lines of a reply to `kilowire_get`; empty for a reply to `get`. */
export function parseMetrics(text: string): Metrics {
  const found: Record<string, number> = {};
  for (const line of text.split('\n')) {
    if (line.startsWith('public_key=')) break;
    if (!line.startsWith(METRIC)) continue;
    const equals = line.indexOf('=');
    const name = line.slice(METRIC.length, equals);
    found[name] = numberOf(name, line.slice(equals + 1));
  }
  return found;
}

/** The number at the end of the reply to a `set`: 0, or the errno without its sign. */
export function parseSetReply(text: string): number {
  const match = /^errno=(-?[0-9]{1,10})\n/m.exec(text);
  if (match === null) throw new UapiReplyError('the device closed the control socket without an answer');
  return Math.abs(Number(match[1]));
}
