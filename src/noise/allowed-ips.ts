/**
 * Whose packet is it: from an address to the peer with the longest matching prefix, one table for IPv4, one for IPv6.
 * Source: WireGuard paper §2 (cryptokey routing); kernel allowedips.c for what inserting and removing mean.
 *
 * Outgoing packets are routed by their destination. Incoming ones are held against the same table by their source: it
 * must lead to the peer whose key opened them, so a more specific prefix of another peer wins.
 * @module
 */
import type { Cidr } from './ip.ts';
import { PACKED_ADDRESS, PACKED_PREFIX_SIZE } from './packed-prefixes.ts';
import { NO_PEER, PrefixTrie } from './prefix-trie.ts';

export { NO_PEER } from './prefix-trie.ts';

/** Offsets of the addresses in an IP header. RFC 791 §3.1, RFC 8200 §3. */
const SOURCE4 = 12;
const DESTINATION4 = 16;
const SOURCE6 = 8;
const DESTINATION6 = 24;

export class AllowedIps {
  readonly #v4: PrefixTrie = new PrefixTrie(1);
  readonly #v6: PrefixTrie = new PrefixTrie(4);
  readonly #key = new Int32Array(4);

  /** Prefixes held, of both families. */
  get size(): number {
    return this.#v4.size + this.#v6.size;
  }

  /** Bytes of the tables. */
  get byteLength(): number {
    return this.#v4.byteLength + this.#v6.byteLength;
  }

  /** Gives address/cidr (4 or 16 bytes, host bits ignored) to the peer, taking it from whoever had it. */
  insert(address: Uint8Array, cidr: number, peer: number): void {
    checkPrefix(address.length, cidr);
    this.#trie(address, 0, address.length, cidr).insert(this.#key, cidr, peer);
  }

  /** The same for every range of a run (packed-prefixes.ts). */
  insertPacked(packed: Uint8Array, peer: number): void {
    for (let at = 0; at < packed.length; at += PACKED_PREFIX_SIZE) {
      const cidr = packed[at + 1] as number;
      this.#packedTrie(packed, at, cidr).insert(this.#key, cidr, peer);
    }
  }

  /** Takes those ranges of a run from the peer that are its own. */
  removePacked(packed: Uint8Array, peer: number): void {
    for (let at = 0; at < packed.length; at += PACKED_PREFIX_SIZE) {
      const cidr = packed[at + 1] as number;
      this.#packedTrie(packed, at, cidr).remove(this.#key, cidr, peer);
    }
  }

  /** Takes exactly this prefix from this peer; false, and nothing happens, when it is not the peer's. */
  remove(address: Uint8Array, cidr: number, peer: number): boolean {
    checkPrefix(address.length, cidr);
    return this.#trie(address, 0, address.length, cidr).remove(this.#key, cidr, peer);
  }

  /** What is the peer's, host bits cleared: first IPv4, then IPv6, each as it was given to it, the oldest first. */
  rangesOf(peer: number): Cidr[] {
    return [...this.#v4.rangesOf(peer), ...this.#v6.rangesOf(peer)];
  }

  removePeer(peer: number): void {
    this.#v4.removePeer(peer);
    this.#v6.removePeer(peer);
  }

  /** The peer of an IPv4 address given as one word, or NO_PEER. */
  lookup4(word: number): number {
    return this.#v4.lookup1(word);
  }

  /** The peer of the IPv6 address at `offset`, or NO_PEER. */
  lookup6(bytes: Uint8Array, offset: number): number {
    return this.#v6.lookup4(
      wordAt(bytes, offset),
      wordAt(bytes, offset + 4),
      wordAt(bytes, offset + 8),
      wordAt(bytes, offset + 12),
    );
  }

  /** The peer that the destination of the IP packet at `offset` leads to, or NO_PEER. Its header must be all there. */
  lookupDestination(bytes: Uint8Array, offset: number): number {
    const version = (bytes[offset] as number) >>> 4;
    if (version === 4) return this.lookup4(wordAt(bytes, offset + DESTINATION4));
    return version === 6 ? this.lookup6(bytes, offset + DESTINATION6) : NO_PEER;
  }

  /** The peer that the source of the IP packet at `offset` leads to, or NO_PEER. Its header must be all there. */
  lookupSource(bytes: Uint8Array, offset: number): number {
    const version = (bytes[offset] as number) >>> 4;
    if (version === 4) return this.lookup4(wordAt(bytes, offset + SOURCE4));
    return version === 6 ? this.lookup6(bytes, offset + SOURCE6) : NO_PEER;
  }

  #packedTrie(packed: Uint8Array, at: number, cidr: number): PrefixTrie {
    const size = packed[at] === 4 ? 4 : 16;
    checkPrefix(size, cidr);
    return this.#trie(packed, at + PACKED_ADDRESS, size, cidr);
  }

  /** Chooses the table and leaves the masked address in #key. */
  #trie(bytes: Uint8Array, at: number, size: number, cidr: number): PrefixTrie {
    const width = size >> 2;
    for (let i = 0; i < width; i += 1) {
      const bits = cidr - 32 * i;
      const mask = bits <= 0 ? 0 : bits >= 32 ? -1 : -1 << (32 - bits);
      this.#key[i] = wordAt(bytes, at + 4 * i) & mask;
    }
    return width === 1 ? this.#v4 : this.#v6;
  }
}

function checkPrefix(size: number, cidr: number): void {
  if ((size === 4 || size === 16) && cidr >= 0 && cidr <= 8 * size) return;
  throw new RangeError(`"prefix" expected 4 or 16 bytes and 0 to 32 or 128 bits, got ${size}/${cidr}`);
}

/** Four bytes in network order, as a signed word. */
function wordAt(bytes: Uint8Array, offset: number): number {
  return (
    ((bytes[offset] as number) << 24) |
    ((bytes[offset + 1] as number) << 16) |
    ((bytes[offset + 2] as number) << 8) |
    (bytes[offset + 3] as number)
  );
}
