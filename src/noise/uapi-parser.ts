/**
 * The text of the control socket, from the reading side: requests, line by line, as they arrive.
 * Source: wireguard.com/xplatform; wireguard-go device/uapi.go for effects and error numbers; linux errno.h.
 * Lines are taken as bytes: a key goes from hexadecimal to bytes without ever being a string.
 * @module
 */
import { parseHexKey } from './hex-key.ts';
import { type Cidr, type Endpoint, parseCidr, parseEndpoint } from './ip.ts';
import { wipe } from './primitives.ts';
import { RangeLines } from './range-lines.ts';

/** The errno of linux/errno.h that the control socket speaks; 0 is success. */
export const EIO = 5;
export const EINVAL = 22;
export const EPROTO = 71;
export const EADDRINUSE = 98;

/** wireguard-go reads lines through a buffer of this size. */
export const LINE_LIMIT = 64 * 1024;

/**
 * What a `set` does to a device, in the order of its lines. Methods answer an errno, 0 when the line is applied.
 * Keys are lent: copy what is kept.
 */
export interface SetSink {
  /** Zeros clear it. */
  privateKey(key: Uint8Array): number;
  listenPort(port: number): number;
  fwmark(mark: number): number;
  replacePeers(): number;
  /**
   * Begins a section: the peer is found, or created at once. `own-key` (it is our own public key) makes the parser check
   * the section and apply none of it. A number is an errno and ends the operation.
   */
  peer(publicKey: Uint8Array): 'found' | 'created' | 'own-key' | number;
  /** The peer of the section goes; no further line and no `peerEnd` follows for it. */
  removePeer(): number;
  presharedKey(key: Uint8Array): number;
  endpoint(endpoint: Endpoint): number;
  persistentKeepalive(seconds: number): number;
  replaceAllowedIps(): number;
  allowedIp(cidr: Cidr): number;
  /** The same for many, packed (packed-prefixes.ts) and lent; a sink without it is given one by one. */
  allowedIps?(packed: Uint8Array): void;
  /** Only if this peer owns exactly this range. */
  removeAllowedIp(cidr: Cidr): number;
  /** The section is whole: start the peer, send the first keepalive if it was newly turned on, send what is staged. */
  peerEnd(): void;
}

const NEWLINE = 0x0a;

const decoder = new TextDecoder('utf-8');
/** As many as 64 KiB of lines hold, at 15 bytes each at the least. */
const lines = new RangeLines(4369);

function decimal(text: string, max: number): number | null {
  if (!/^[0-9]{1,10}$/.test(text)) return null;
  const value = Number(text);
  return value <= max ? value : null;
}

/** The lines of one `set` after `set=1`, up to and without the empty line. */
export class SetParser {
  readonly #sink: SetSink;
  /** none: in the device part; live: lines apply; void: lines are checked only. */
  #section: 'none' | 'live' | 'void' = 'none';
  #created = false;

  constructor(sink: SetSink) {
    this.#sink = sink;
  }

  /** Applies one line, without its newline; an errno ends the operation, and what came before stays. */
  line(line: Uint8Array): number {
    const equals = line.indexOf(0x3d);
    if (equals < 0) return EPROTO;
    const name = decoder.decode(line.subarray(0, equals));
    const value = line.subarray(equals + 1);
    if (name === 'public_key') return this.#publicKey(value);
    return this.#section === 'none' ? this.#deviceLine(name, value) : this.#peerLine(name, value);
  }

  /**
   * Applies as many whole `allowed_ip` lines as follow each other at `from`, and says where the rest begins. `line` would
   * do the same with each of them, but a configuration may have a hundred thousand.
   */
  ranges(chunk: Uint8Array, from: number): number {
    if (this.#section !== 'live' || this.#sink.allowedIps === undefined) return from;
    const packed = lines.read(chunk, from, chunk.lastIndexOf(NEWLINE) + 1);
    if (packed.length > 0) this.#sink.allowedIps(packed);
    return lines.next;
  }

  /** The empty line, or the end of the stream: closes the last section. */
  end(): void {
    if (this.#section === 'live') this.#sink.peerEnd();
    this.#section = 'none';
  }

  #publicKey(value: Uint8Array): number {
    this.end();
    const key = parseHexKey(value);
    if (key === null) return EINVAL;
    const found = this.#sink.peer(key);
    if (typeof found === 'number') return found;
    this.#section = found === 'own-key' ? 'void' : 'live';
    this.#created = found === 'created';
    return 0;
  }

  #deviceLine(name: string, value: Uint8Array): number {
    switch (name) {
      case 'private_key':
        return withKey(value, (key) => this.#sink.privateKey(key));
      case 'listen_port': {
        const port = decimal(decoder.decode(value), 0xffff);
        return port === null ? EINVAL : this.#sink.listenPort(port);
      }
      case 'fwmark': {
        const mark = decimal(decoder.decode(value), 0xffff_ffff);
        return mark === null ? EINVAL : this.#sink.fwmark(mark);
      }
      case 'replace_peers':
        return isTrue(value) ? this.#sink.replacePeers() : EINVAL;
      default:
        return EINVAL;
    }
  }

  #peerLine(name: string, value: Uint8Array): number {
    const live = this.#section === 'live';
    switch (name) {
      case 'update_only':
        if (!isTrue(value)) return EINVAL;
        return live && this.#created ? this.#removePeer() : 0;
      case 'remove':
        if (!isTrue(value)) return EINVAL;
        return live ? this.#removePeer() : 0;
      case 'preshared_key':
        return withKey(value, (key) => (live ? this.#sink.presharedKey(key) : 0));
      case 'endpoint': {
        const endpoint = parseEndpoint(decoder.decode(value));
        if (endpoint === null) return EINVAL;
        return live ? this.#sink.endpoint(endpoint) : 0;
      }
      case 'persistent_keepalive_interval': {
        const seconds = decimal(decoder.decode(value), 0xffff);
        if (seconds === null) return EINVAL;
        return live ? this.#sink.persistentKeepalive(seconds) : 0;
      }
      case 'replace_allowed_ips':
        if (!isTrue(value)) return EINVAL;
        return live ? this.#sink.replaceAllowedIps() : 0;
      case 'allowed_ip':
        return this.#allowedIp(decoder.decode(value), live);
      case 'protocol_version':
        return decoder.decode(value) === '1' ? 0 : EINVAL;
      default:
        return EINVAL;
    }
  }

  #allowedIp(text: string, live: boolean): number {
    const removes = text.startsWith('-');
    const cidr = parseCidr(removes ? text.slice(1) : text);
    if (cidr === null) return EINVAL;
    if (!live) return 0;
    return removes ? this.#sink.removeAllowedIp(cidr) : this.#sink.allowedIp(cidr);
  }

  #removePeer(): number {
    this.#section = 'void';
    return this.#sink.removePeer();
  }
}

function isTrue(value: Uint8Array): boolean {
  return decoder.decode(value) === 'true';
}

function withKey(value: Uint8Array, apply: (key: Uint8Array) => number): number {
  const key = parseHexKey(value);
  if (key === null) return EINVAL;
  try {
    return apply(key);
  } finally {
    wipe(key);
  }
}
