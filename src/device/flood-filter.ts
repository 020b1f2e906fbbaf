/**
 * A filter in the kernel, in front of a socket's buffer, for the time of a flood: of the handshake messages of a few
 * sources that send far too many it lets one in thirty-two pass. The rest costs the sender's core and not ours, and takes no room
 * that the sessions' packets need. It is thrown away after a second and made anew of who is still at it.
 *
 * Sources are recognized by a salted hash of address and port, and apart by whether they show a cookie, so that the
 * messages somebody forges in the name of a peer do not keep out what that peer sends with its cookie.
 * Source: linux Documentation/networking/filter.rst (classic BPF), net/ipv4/udp.c (the data begins with the UDP header).
 * @module
 */
import * as libc from '../linux/libc.ts';
import { ENDPOINT_LENGTH } from '../tun/endpoint.ts';
import type { Slab } from '../tun/slab.ts';

const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const SO_DETACH_FILTER = 27;
const SO_MEMINFO = 55;
/** sock_diag.h SK_MEMINFO_DROPS, of SK_MEMINFO_VARS words. */
const MEMINFO_DROPS = 8;
const MEMINFO_VARS = 9;

const LIFETIME = 1_000;
/** A program is not made more often, in ms. */
const SPACING = 10;
const SOURCES = 64;
/** One in thirty-two passes. */
const SAMPLE = 31;

// linux/filter.h, bpf_common.h
const LOAD_BYTE = 0x30;
const LOAD_HALF = 0x28;
const LOAD_WORD = 0x20;
const LOAD_SCRATCH = 0x60;
const LOAD_CONSTANT = 0x00;
const STORE_SCRATCH = 0x02;
const TO_INDEX = 0x07;
const MULTIPLY = 0x24;
const AND = 0x54;
const XOR_INDEX = 0xac;
const JUMP = 0x05;
const JUMP_EQUAL = 0x15;
const JUMP_GREATER = 0x25;
const RETURN = 0x06;
const NETWORK_HEADER = 0xfff0_0000;
const RANDOM = 0xffff_f000 + 56;
const INSTRUCTION = 8;
const INSTRUCTIONS = 40 + SOURCES;

/** What follows the 8 bytes of the UDP header. */
const PAYLOAD = 8;
const INITIATION = 1;
const LAST_HANDSHAKE_TYPE = 3;
const INITIATION_MAC2 = 132;
const IPV6_LENGTH = 28;

/** Takes away what another process may have left on a socket that it handed over. */
export function clearFilter(fd: number): void {
  if (fd >= 0) libc.setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, new Uint8Array(4), 4);
}

export class FloodFilter {
  readonly #slab: Slab;
  readonly #program: number;
  readonly #descriptor = new Uint8Array(16);
  readonly #memory = new Uint8Array(4 * MEMINFO_VARS);
  readonly #memoryLength = new Uint8Array(4);
  readonly #keys = new Uint32Array(SOURCES);
  readonly #addressSalt: number;
  readonly #portSalt: number;
  readonly #cookieSalt: number;
  #size = 0;
  #attachedSize = 0;
  #attachedAt = Number.NEGATIVE_INFINITY;
  #fd = -1;
  #dropsBefore = 0;
  /** When the filter has to go: expire() then. */
  deadline = Number.POSITIVE_INFINITY;

  constructor(slab: Slab, random: () => number) {
    this.#slab = slab;
    this.#program = slab.take(INSTRUCTIONS * INSTRUCTION);
    this.#addressSalt = random() | 1;
    this.#portSalt = random() | 1;
    this.#cookieSalt = random() | 1;
  }

  /** The source of the endpoint record sends too much to `fd`. `cookie` is the first word of what should be mac2. */
  learn(fd: number, source: number, cookie: number, now: number): void {
    if (this.#size === SOURCES && this.#attachedSize === SOURCES) return;
    if (this.#fd >= 0 && fd !== this.#fd) this.expire();
    const key = this.#keyOf(source, cookie);
    if (!this.#knows(key) && this.#size < SOURCES) {
      this.#keys[this.#size] = key;
      this.#size += 1;
    }
    this.#attachIfDue(fd, source, now);
  }

  #knows(key: number): boolean {
    for (let i = 0; i < this.#size; i += 1) if (this.#keys[i] === key) return true;
    return false;
  }

  /** Takes the filter away. What the kernel dropped at the socket meanwhile, in datagrams or whole trains of them. */
  expire(): number {
    this.#size = 0;
    this.#attachedSize = 0;
    this.deadline = Number.POSITIVE_INFINITY;
    if (this.#fd < 0) return 0;
    libc.setsockopt(this.#fd, SOL_SOCKET, SO_DETACH_FILTER, this.#memoryLength, 4);
    const dropped = this.#dropsOf(this.#fd) - this.#dropsBefore;
    this.#fd = -1;
    return Math.max(0, dropped);
  }

  #attachIfDue(fd: number, source: number, now: number): void {
    if (this.#size === this.#attachedSize || now - this.#attachedAt < SPACING) return;
    this.#attachedAt = now;
    this.#attachedSize = this.#size;
    const isV6 = this.#slab.bytes[source + ENDPOINT_LENGTH] === IPV6_LENGTH;
    const view = new DataView(this.#descriptor.buffer);
    view.setUint16(0, this.#write(isV6), true);
    view.setBigUint64(8, BigInt(this.#slab.address + this.#program), true);
    const drops = this.#dropsOf(fd);
    // Where filters are forbidden there is none; the flood is dropped one by one as before.
    if (libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, this.#descriptor, 16) < 0) return;
    if (this.#fd < 0) {
      this.#fd = fd;
      this.#dropsBefore = drops;
      this.deadline = now + LIFETIME;
    }
  }

  #dropsOf(fd: number): number {
    this.#memoryLength[0] = this.#memory.length;
    if (libc.getsockopt(fd, SOL_SOCKET, SO_MEMINFO, this.#memory, this.#memoryLength) < 0) return 0;
    return new DataView(this.#memory.buffer).getUint32(4 * MEMINFO_DROPS, true);
  }

  /** What the program below computes. */
  #keyOf(source: number, cookie: number): number {
    const { view, bytes } = this.#slab;
    let address = 0;
    if (bytes[source + ENDPOINT_LENGTH] === IPV6_LENGTH) {
      for (let i = 8; i < 24; i += 4) address ^= view.getInt32(source + i, false);
    } else address = view.getInt32(source + 4, false);
    const port = view.getUint16(source + 2, false);
    const hash = Math.imul(address, this.#addressSalt) ^ Math.imul(port, this.#portSalt);
    return (cookie === 0 ? hash : hash ^ this.#cookieSalt) >>> 0;
  }

  /** Its length in instructions. */
  #write(isV6: boolean): number {
    let count = 0;
    const { view } = this.#slab;
    const put = (code: number, k: number, ifSo = 0, ifNot = 0): void => {
      const at = this.#program + count * INSTRUCTION;
      view.setUint16(at, code, true);
      view.setUint8(at + 2, ifSo);
      view.setUint8(at + 3, ifNot);
      view.setUint32(at + 4, k >>> 0, true);
      count += 1;
    };
    // Packets of sessions pass.
    put(LOAD_BYTE, PAYLOAD);
    put(JUMP_GREATER, LAST_HANDSHAKE_TYPE, 0, 1);
    put(RETURN, 0xffff_ffff);
    put(JUMP_EQUAL, INITIATION, 0, 5);
    put(LOAD_WORD, PAYLOAD + INITIATION_MAC2);
    put(JUMP_EQUAL, 0, 3, 0);
    put(LOAD_CONSTANT, this.#cookieSalt);
    put(STORE_SCRATCH, 0);
    put(JUMP, 2);
    put(LOAD_CONSTANT, 0);
    put(STORE_SCRATCH, 0);
    const words = isV6 ? [8, 12, 16, 20] : [12];
    for (const [index, offset] of words.entries()) {
      put(LOAD_WORD, NETWORK_HEADER + offset);
      if (index > 0) put(XOR_INDEX, 0);
      if (index < words.length - 1) put(TO_INDEX, 0);
    }
    put(MULTIPLY, this.#addressSalt);
    put(TO_INDEX, 0);
    put(LOAD_HALF, 0);
    put(MULTIPLY, this.#portSalt);
    put(XOR_INDEX, 0);
    put(TO_INDEX, 0);
    put(LOAD_SCRATCH, 0);
    put(XOR_INDEX, 0);
    for (let i = 0; i < this.#size; i += 1) put(JUMP_EQUAL, this.#keys[i] as number, this.#size - i, 0);
    put(RETURN, 0xffff_ffff);
    put(LOAD_WORD, RANDOM);
    put(AND, SAMPLE);
    put(JUMP_EQUAL, 0, 1, 0);
    put(RETURN, 0);
    put(RETURN, 0xffff_ffff);
    return count;
  }
}
