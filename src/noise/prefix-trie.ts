/**
 * Longest-prefix match in typed arrays: a path-compressed binary trie, one for addresses of one word (IPv4) or four (IPv6).
 * Source: kernel allowedips.c (the same trie, with pointers); Knuth, TAOCP 6.3 (Patricia).
 *
 * A node is a run of ints in one growing array; freed nodes hang in a chain and are used again. A node either belongs
 * to a peer or joins two branches, so n prefixes take at most 2n - 1 nodes. Nodes of one peer hang in a chain of their
 * own, so that removing a peer touches its nodes only.
 *
 *     | cidr | peer | child 0 | child 1 | parent | next of peer | previous of peer | address words … |
 * @module
 */
import { growInt32, grownCapacity } from './growable.ts';
import type { Cidr } from './ip.ts';

export const NO_PEER = -1;
/** No node has this number. */
const NIL = 0;
const CIDR = 0;
const PEER = 1;
const CHILD = 2;
const PARENT = 4;
const NEXT = 5;
const PREVIOUS = 6;
const WORDS = 7;
const FIRST_CAPACITY = 32;
/** Steps up from the node inserted last before a descent begins at the root. */
const NEAR = 6;

export class PrefixTrie {
  readonly #width: number;
  readonly #stride: number;
  #nodes: Int32Array;
  /** The address of the node that an insertion moves down. */
  readonly #below: Int32Array;
  #root = NIL;
  /** Nodes handed out so far, NIL among them. */
  #used = 1;
  #freed = NIL;
  /** Inserted last, while it is sure to be there. */
  #last = NIL;
  #size = 0;
  /** By peer: the first of its nodes. */
  #first = new Int32Array(0);

  /** `width` is the length of an address in u32 words. */
  constructor(width: 1 | 4) {
    this.#width = width;
    this.#stride = WORDS + width;
    this.#nodes = new Int32Array(this.#stride * FIRST_CAPACITY);
    this.#below = new Int32Array(width);
  }

  /** Prefixes held. */
  get size(): number {
    return this.#size;
  }

  /** Bytes of the tables. */
  get byteLength(): number {
    return this.#nodes.byteLength + this.#first.byteLength;
  }

  /** Gives the prefix to the peer, taking it from whoever had it. `key` must have no bits beyond `cidr`. */
  insert(key: Int32Array, cidr: number, peer: number): void {
    if (peer >= this.#first.length)
      this.#first = growInt32(this.#first, grownCapacity(this.#first.length, peer + 1), NIL);
    let node = this.#near(key, cidr);
    let parent = this.#nodes[node * this.#stride + PARENT] as number;
    while (node !== NIL) {
      const nodeCidr = this.#nodes[node * this.#stride + CIDR] as number;
      const common = this.#commonBits(node, key, Math.min(nodeCidr, cidr));
      if (common < nodeCidr) break;
      if (nodeCidr === cidr) {
        this.#disown(node);
        this.#own(node, peer);
        return;
      }
      parent = node;
      node = this.#nodes[node * this.#stride + CHILD + bitOf(key, nodeCidr)] as number;
    }
    const added = this.#create(key, cidr);
    this.#own(added, peer);
    this.#last = added;
    if (node === NIL) {
      this.#attach(parent, added, key);
      return;
    }
    // The new prefix and `node` part below `parent`: one of them is above the other, or a branch joins both.
    const common = this.#commonBits(
      node,
      key,
      Math.min(this.#nodes[node * this.#stride + CIDR] as number, cidr),
    );
    const below = this.#below;
    for (let i = 0; i < this.#width; i += 1)
      below[i] = this.#nodes[node * this.#stride + WORDS + i] as number;
    if (common === cidr) {
      this.#attach(parent, added, key);
      this.#attach(added, node, below);
      return;
    }
    const branch = this.#create(key, common);
    this.#attach(parent, branch, key);
    this.#attach(branch, added, key);
    this.#attach(branch, node, below);
  }

  /** Forgets the prefix if it is exactly this one and the peer's; false otherwise. */
  remove(key: Int32Array, cidr: number, peer: number): boolean {
    let node = this.#root;
    while (node !== NIL) {
      const at = node * this.#stride;
      const nodeCidr = this.#nodes[at + CIDR] as number;
      if (nodeCidr > cidr || this.#commonBits(node, key, nodeCidr) < nodeCidr) return false;
      if (nodeCidr === cidr) {
        if (peer === NO_PEER || this.#nodes[at + PEER] !== peer) return false;
        this.#drop(node);
        return true;
      }
      node = this.#nodes[at + CHILD + bitOf(key, nodeCidr)] as number;
    }
    return false;
  }

  /** Forgets every prefix of the peer. */
  removePeer(peer: number): void {
    if (peer >= this.#first.length) return;
    for (let node = this.#first[peer] as number; node !== NIL; node = this.#first[peer] as number)
      this.#drop(node);
  }

  /** The peer's prefixes, the one it was given first before the others. */
  rangesOf(peer: number): Cidr[] {
    const ranges: Cidr[] = [];
    if (peer >= this.#first.length) return ranges;
    let node = this.#first[peer] as number;
    for (; node !== NIL; node = this.#nodes[node * this.#stride + NEXT] as number) {
      const at = node * this.#stride;
      const address = new Uint8Array(4 * this.#width);
      for (let i = 0; i < address.length; i += 1) {
        address[i] = (this.#nodes[at + WORDS + (i >> 2)] as number) >>> (24 - 8 * (i & 3));
      }
      ranges.push({ address, prefix: this.#nodes[at + CIDR] as number });
    }
    return ranges.reverse();
  }

  /** The owner of the longest prefix of an IPv4 address, or NO_PEER; only of a trie of width 1. */
  lookup1(word: number): number {
    const nodes = this.#nodes;
    let found = NO_PEER;
    let node = this.#root;
    while (node !== NIL) {
      const at = node * (WORDS + 1);
      const cidr = nodes[at + CIDR] as number;
      // A shift by 32 is a shift by 0 in JavaScript, so /0 needs its own case.
      if (cidr !== 0 && (word ^ (nodes[at + WORDS] as number)) >>> (32 - cidr) !== 0) break;
      const peer = nodes[at + PEER] as number;
      if (peer !== NO_PEER) found = peer;
      if (cidr === 32) break;
      node = nodes[at + CHILD + ((word >>> (31 - cidr)) & 1)] as number;
    }
    return found;
  }

  /** The owner of the longest prefix of an IPv6 address, or NO_PEER; only of a trie of width 4. */
  lookup4(a: number, b: number, c: number, d: number): number {
    const nodes = this.#nodes;
    let found = NO_PEER;
    let node = this.#root;
    while (node !== NIL) {
      const at = node * (WORDS + 4);
      const cidr = nodes[at + CIDR] as number;
      if (cidr > 0 && mismatch(a ^ (nodes[at + WORDS] as number), cidr)) break;
      if (cidr > 32 && mismatch(b ^ (nodes[at + WORDS + 1] as number), cidr - 32)) break;
      if (cidr > 64 && mismatch(c ^ (nodes[at + WORDS + 2] as number), cidr - 64)) break;
      if (cidr > 96 && mismatch(d ^ (nodes[at + WORDS + 3] as number), cidr - 96)) break;
      const peer = nodes[at + PEER] as number;
      if (peer !== NO_PEER) found = peer;
      if (cidr === 128) break;
      const word = cidr < 64 ? (cidr < 32 ? a : b) : cidr < 96 ? c : d;
      node = nodes[at + CHILD + ((word >>> (31 - (cidr & 31))) & 1)] as number;
    }
    return found;
  }

  /**
   * A node on the key's way down: the last insertion's, or one a few steps above it, because ranges come in order; or the
   * root.
   */
  #near(key: Int32Array, cidr: number): number {
    let node = this.#last;
    for (let step = 0; step < NEAR && node !== NIL; step += 1) {
      const nodeCidr = this.#nodes[node * this.#stride + CIDR] as number;
      if (nodeCidr <= cidr && this.#commonBits(node, key, nodeCidr) === nodeCidr) return node;
      node = this.#nodes[node * this.#stride + PARENT] as number;
    }
    return this.#root;
  }

  /** How many of the first `limit` bits the node and the key share. */
  #commonBits(node: number, key: Int32Array, limit: number): number {
    const nodes = this.#nodes;
    const at = node * this.#stride + WORDS;
    for (let i = 0; 32 * i < limit; i += 1) {
      const difference = (nodes[at + i] as number) ^ (key[i] as number);
      if (difference !== 0) return Math.min(limit, 32 * i + Math.clz32(difference));
    }
    return limit;
  }

  #create(key: Int32Array, cidr: number): number {
    let node = this.#freed;
    if (node !== NIL) this.#freed = this.#nodes[node * this.#stride + CHILD] as number;
    else {
      node = this.#used;
      this.#used += 1;
      if (this.#used * this.#stride > this.#nodes.length) {
        this.#nodes = growInt32(this.#nodes, 2 * this.#nodes.length, 0);
      }
    }
    const at = node * this.#stride;
    const nodes = this.#nodes;
    // Eleven words at the most: `fill` takes longer.
    for (let i = 0; i < this.#stride; i += 1) nodes[at + i] = 0;
    nodes[at + CIDR] = cidr;
    nodes[at + PEER] = NO_PEER;
    for (let i = 0; 32 * i < cidr; i += 1)
      nodes[at + WORDS + i] = (key[i] as number) & prefixMask(cidr - 32 * i);
    return node;
  }

  /** Hangs a node below a parent (NIL: as the root), on the side that its address says. */
  #attach(parent: number, node: number, key: Int32Array): void {
    this.#nodes[node * this.#stride + PARENT] = parent;
    if (parent === NIL) {
      this.#root = node;
      return;
    }
    const at = parent * this.#stride;
    this.#nodes[at + CHILD + bitOf(key, this.#nodes[at + CIDR] as number)] = node;
  }

  #own(node: number, peer: number): void {
    const at = node * this.#stride;
    const next = this.#first[peer] as number;
    this.#nodes[at + PEER] = peer;
    this.#nodes[at + NEXT] = next;
    this.#nodes[at + PREVIOUS] = NIL;
    if (next !== NIL) this.#nodes[next * this.#stride + PREVIOUS] = node;
    this.#first[peer] = node;
    this.#size += 1;
  }

  #disown(node: number): void {
    const at = node * this.#stride;
    const peer = this.#nodes[at + PEER] as number;
    if (peer === NO_PEER) return;
    const next = this.#nodes[at + NEXT] as number;
    const previous = this.#nodes[at + PREVIOUS] as number;
    if (previous === NIL) this.#first[peer] = next;
    else this.#nodes[previous * this.#stride + NEXT] = next;
    if (next !== NIL) this.#nodes[next * this.#stride + PREVIOUS] = previous;
    this.#nodes[at + PEER] = NO_PEER;
    this.#size -= 1;
  }

  /** Takes the node from its owner, and out of the trie unless it joins two branches. */
  #drop(node: number): void {
    this.#disown(node);
    const parent = this.#nodes[node * this.#stride + PARENT] as number;
    // A branch that lost one of its two sides joins nothing any more.
    if (this.#prune(node) && parent !== NIL && this.#nodes[parent * this.#stride + PEER] === NO_PEER)
      this.#prune(parent);
    if (this.#size === 0 && this.#used > FIRST_CAPACITY) this.#startOver();
  }

  /** Puts the only child, or nothing, in the node's place; false when there are two. */
  #prune(node: number): boolean {
    this.#last = NIL;
    const at = node * this.#stride;
    const left = this.#nodes[at + CHILD] as number;
    const right = this.#nodes[at + CHILD + 1] as number;
    if (left !== NIL && right !== NIL) return false;
    const child = left !== NIL ? left : right;
    const parent = this.#nodes[at + PARENT] as number;
    if (child !== NIL) this.#nodes[child * this.#stride + PARENT] = parent;
    if (parent === NIL) this.#root = child;
    else {
      const side = parent * this.#stride + CHILD;
      this.#nodes[this.#nodes[side] === node ? side : side + 1] = child;
    }
    this.#nodes[at + CHILD] = this.#freed;
    this.#freed = node;
    return true;
  }

  /** Empty again: give the memory of a big configuration back. */
  #startOver(): void {
    this.#nodes = new Int32Array(this.#stride * FIRST_CAPACITY);
    this.#root = NIL;
    this.#used = 1;
    this.#freed = NIL;
  }
}

/** The top `bits` (at least 1) bits of a word set; more than 32 means all. */
function prefixMask(bits: number): number {
  return bits >= 32 ? -1 : -1 << (32 - bits);
}

function bitOf(key: Int32Array, bit: number): number {
  return ((key[bit >>> 5] as number) >>> (31 - (bit & 31))) & 1;
}

/** Whether two words whose XOR this is differ in the first `bits` (at least 1) bits. */
function mismatch(difference: number, bits: number): boolean {
  return (bits >= 32 ? difference : difference >>> (32 - bits)) !== 0;
}
