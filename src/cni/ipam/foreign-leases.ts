/**
 * Leases that no record tells of, because host-local made them: found by reading every lease once, and remembered, so
 * that the second and third DEL of every container do not read them all again.
 *
 *     <stateDir>/.<network>.leases    {"<container id>:<interface>": ["10.42.0.5"]}
 *
 * What we write last into last_reserved_ip.N carries a time no clock shows; host-local's own write gives it the time of
 * day. That is how an ADD or DEL sees that host-local was here again, and that the list is out of date.
 * @module
 */

import { readFileSync, renameSync, statSync, utimesSync, writeFileSync } from '#sys';
import { errorCode, makeDirectory, parentOf, removeFile } from '../files.ts';
import type { LeaseStore, Owner } from './lease-store.ts';

/** 2001-09-09, a second no lease was given in. */
const ownTime = 1_000_000_000;

export function markAsOwn(path: string): void {
  utimesSync(path, ownTime, ownTime);
}

function isOwn(path: string): boolean {
  const found = statSync(path, { throwIfNoEntry: false });
  return found === undefined || found.mtimeMs === ownTime * 1000;
}

export class ForeignLeases {
  readonly #list: string;
  readonly #store: LeaseStore;

  /** `list` is where they are remembered. */
  constructor(list: string, store: LeaseStore) {
    this.#list = list;
    this.#store = store;
  }

  /** Before an allocation hides who made the last one. */
  noticeHostLocal(sets: number): void {
    for (let set = 0; set < sets; set++) {
      if (isOwn(`${this.#store.directory}/last_reserved_ip.${set}`)) continue;
      removeFile(this.#list);
      return;
    }
  }

  /** Addresses the owner had when the leases were read. */
  of(owner: Owner, isRecorded: (owner: Owner) => boolean): readonly string[] {
    const known = this.#known() ?? this.#read(isRecorded);
    return [...(known[keyOf(owner)] ?? []), ...(known[keyOf({ ...owner, ifname: '' })] ?? [])];
  }

  #known(): Record<string, readonly string[]> | undefined {
    for (let set = 0; ; set++) {
      const path = `${this.#store.directory}/last_reserved_ip.${set}`;
      if (!isOwn(path)) return undefined;
      if (statSync(path, { throwIfNoEntry: false }) === undefined) break;
    }
    try {
      return JSON.parse(readFileSync(this.#list, 'utf8')) as Record<string, readonly string[]>;
    } catch (error) {
      // Not there, or not whole: it is read anew.
      if (errorCode(error) === 'ENOENT' || error instanceof SyntaxError) return undefined;
      throw error;
    }
  }

  #read(isRecorded: (owner: Owner) => boolean): Record<string, readonly string[]> {
    // First the mark: what host-local does from here on shows.
    const marked = this.#try(() => this.#markAll());
    const found: Record<string, string[]> = {};
    for (const address of this.#store.addresses()) {
      const owner = this.#store.ownerOf(address);
      if (owner === undefined || owner.containerId === '' || isRecorded(owner)) continue;
      const key = keyOf(owner);
      found[key] = [...(found[key] ?? []), address];
    }
    if (marked) this.#try(() => this.#remember(JSON.stringify(found)));
    return found;
  }

  #markAll(): void {
    for (let set = 0; ; set++) {
      const path = `${this.#store.directory}/last_reserved_ip.${set}`;
      if (statSync(path, { throwIfNoEntry: false }) === undefined) return;
      markAsOwn(path);
    }
  }

  #remember(text: string): void {
    makeDirectory(parentOf(this.#list), 0o700);
    const draft = `${this.#list}.${process.pid}`;
    writeFileSync(draft, text, { mode: 0o600 });
    renameSync(draft, this.#list);
  }

  /** A disk that cannot be written to costs time at the next DEL, no more. */
  #try(act: () => void): boolean {
    try {
      act();
      return true;
    } catch (error) {
      if (errorCode(error) === '') throw error;
      return false;
    }
  }
}

const keyOf = ({ containerId, ifname }: Owner): string => `${containerId}:${ifname}`;
