/**
 * Leases on disk, in host-local's layout, so that a node can change plugins in either direction:
 *
 *     <dataDir>/<network>/10.42.0.5            "<container id>\r\n<interface>", no newline at the end
 *                         last_reserved_ip.0   the address handed out last from range set 0
 *
 * host-local creates a lease and fills it in two steps; a kill between them leaves an empty file that nothing
 * ever frees. Here the text is written beside it and link(2) puts it in place: it fails when the name is taken,
 * exactly like O_EXCL, and what appears is whole.
 * @module
 */
import {
  closeSync,
  existsSync,
  linkSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeSync,
} from '#sys';
import { lockNetwork } from '../attachment-lock.ts';
import { errorCode, makeDirectory, removeFile } from '../files.ts';
import { markAsOwn } from './foreign-leases.ts';
import { type IpAddress, parseAddress } from './ip-address.ts';
import { isResting, rest } from './quarantine.ts';

export interface Owner {
  readonly containerId: string;
  readonly ifname: string;
}

export class LeaseStore {
  readonly directory: string;
  readonly #owner: Owner;
  readonly #draft: string;
  readonly #quarantine: number;

  /**
   * `token` names this attachment's drafts, so that whoever cleans up after it finds them. With a quarantine of some
   * seconds, addresses rest for so long between `release` and the next time they are found free.
   */
  constructor(directory: string, owner: Owner, token: string, quarantine = 0) {
    this.directory = directory;
    this.#owner = owner;
    this.#draft = `${directory}/.draft-${token}`;
    this.#quarantine = quarantine;
  }

  prepare(): void {
    makeDirectory(this.directory, 0o755);
    this.#write(this.#draft, leaseText(this.#owner));
  }

  /** False when somebody holds the address already. */
  reserve(address: string): boolean {
    try {
      linkSync(this.#draft, `${this.directory}/${address}`);
      return true;
    } catch (error) {
      if (errorCode(error) === 'EEXIST') return false;
      throw error;
    }
  }

  /** After the last `reserve`. */
  discardDraft(): void {
    removeFile(this.#draft);
    removeFile(`${this.#draft}.last`);
  }

  last(set: number): IpAddress | undefined {
    try {
      return parseAddress(readFileSync(`${this.directory}/last_reserved_ip.${set}`, 'utf8').trim());
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** A reader sees the old address or the new one, never half of one. */
  setLast(set: number, address: string): void {
    this.#write(`${this.#draft}.last`, address);
    markAsOwn(`${this.#draft}.last`);
    renameSync(`${this.#draft}.last`, `${this.directory}/last_reserved_ip.${set}`);
  }

  /** Removes the lease if it is ours; leaves it when the address meanwhile belongs to another. */
  release(address: string, orNobodys = false): void {
    if (!this.isOurs(address, orNobodys)) return;
    if (this.#quarantine > 0) rest(this.directory, address);
    removeFile(`${this.directory}/${address}`);
  }

  /** Nobody has it, but somebody had a moment ago. */
  isResting(address: string): boolean {
    return this.#quarantine > 0 && isResting(this.directory, address, this.#quarantine);
  }

  /** A power cut may leave a lease its name and not its text: `orNobodys` counts such a one as ours. */
  isOurs(address: string, orNobodys = false): boolean {
    const owner = this.ownerOf(address);
    return owner !== undefined && (isSame(owner, this.#owner) || (orNobodys && isNobody(owner)));
  }

  /** Addresses held by this attachment, found by reading every lease: only for one that has no record. */
  heldByOwner(orNobodys = false): readonly string[] {
    return this.addresses().filter((address) => this.isOurs(address, orNobodys));
  }

  /** Leases that name nobody, from before the power failed. host-local fills its own under its lock. */
  dropNobodys(): void {
    const isNobodys = (address: string): boolean => {
      const owner = this.ownerOf(address);
      return owner !== undefined && isNobody(owner);
    };
    const empty = this.addresses().filter(isNobodys);
    if (empty.length === 0) return;
    const path = `${this.directory}/lock`;
    const lock = existsSync(path) ? lockNetwork(path, 'alone') : undefined;
    try {
      for (const address of empty) if (isNobodys(address)) removeFile(`${this.directory}/${address}`);
    } finally {
      lock?.release();
    }
  }

  /** Names of all lease files. */
  addresses(): readonly string[] {
    try {
      return readdirSync(this.directory).filter((name) => parseAddress(name) !== undefined);
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return [];
      throw error;
    }
  }

  ownerOf(address: string): Owner | undefined {
    try {
      return parseLease(readFileSync(`${this.directory}/${address}`, 'utf8'));
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  #write(path: string, text: string): void {
    const fd = openSync(path, 'w', 0o600);
    try {
      writeSync(fd, text);
    } finally {
      closeSync(fd);
    }
  }
}

export const leaseText = ({ containerId, ifname }: Owner): string => `${containerId}\r\n${ifname}`;

/** Very old host-local wrote the container id alone: `ifname` is then empty and stands for any. */
export function parseLease(text: string): Owner {
  const [containerId = '', ifname = ''] = text.trim().split('\r\n');
  return { containerId, ifname };
}

/** Empty, or zeros where there was a text. */
const isNobody = ({ containerId }: Owner): boolean => !/^[a-zA-Z0-9]/.test(containerId);

function isSame(lease: Owner, owner: Owner): boolean {
  return lease.containerId === owner.containerId && (lease.ifname === '' || lease.ifname === owner.ifname);
}
