/**
 * Allowed IPs as a list that is searched from end to end: what the trie must answer.
 * @module
 */

interface Entry {
  readonly bits: string;
  readonly family: number;
  readonly peer: number;
}

const bitsOf = (address: Uint8Array): string =>
  Array.from(address, (byte) => byte.toString(2).padStart(8, '0')).join('');

export class AllowedIpsTwin {
  #entries: Entry[] = [];

  get size(): number {
    return this.#entries.length;
  }

  insert(address: Uint8Array, cidr: number, peer: number): void {
    const bits = bitsOf(address).slice(0, cidr);
    this.#entries = this.#entries.filter((e) => e.bits !== bits || e.family !== address.length);
    this.#entries.push({ bits, family: address.length, peer });
  }

  remove(address: Uint8Array, cidr: number, peer: number): boolean {
    const bits = bitsOf(address).slice(0, cidr);
    const left = this.#entries.filter(
      (e) => e.bits !== bits || e.family !== address.length || e.peer !== peer,
    );
    const found = left.length < this.#entries.length;
    this.#entries = left;
    return found;
  }

  removePeer(peer: number): void {
    this.#entries = this.#entries.filter((e) => e.peer !== peer);
  }

  lookup(address: Uint8Array): number {
    const bits = bitsOf(address);
    let best: Entry | undefined;
    for (const entry of this.#entries) {
      if (entry.family !== address.length || !bits.startsWith(entry.bits)) continue;
      if (best === undefined || entry.bits.length > best.bits.length) best = entry;
    }
    return best?.peer ?? -1;
  }
}
