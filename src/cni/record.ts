/**
 * What this plugin knows of an attachment, on disk before the kernel hears of it: DEL and GC work from this
 * alone, with no network namespace and no prevResult.
 *
 *     <stateDir>/<network>/<container id>:<interface>.json   the record
 *                                                .new        its next version, being written
 *                                                .lock       held by the process that works on it
 *     <stateDir>/.<network>.boot                     the boot in which leavings of earlier ones were taken away
 *                          .lock                     for what the attachments have in common
 *
 * A record is written beside its place, synced, renamed, and the directory synced, so it is there whole or not
 * at all. Should it be unreadable all the same, its name still says whose it is, and everything else follows
 * from that: it is read as an ADD that did not finish.
 * @module
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
  writeSync,
} from '#sys';
import { type AttachmentLock, lockAttachment, lockNetwork, tryLockAttachment } from './attachment-lock.ts';
import { type AttachmentName, fileName, hostVethName } from './attachment-name.ts';
import { ifbName } from './bandwidth.ts';
import { errorCode, makeDirectory, removeFile } from './files.ts';
import { LeaseStore } from './ipam/lease-store.ts';
import type { StatePaths } from './network-config.ts';
import type { Result } from './result.ts';

export interface AttachmentRecord extends AttachmentName {
  readonly network: string;
  /** 'begun': leases and links may exist in part. 'done': `result` was handed out. */
  readonly state: 'begun' | 'done';
  readonly bootId: string;
  readonly netns: string;
  /** "device:inode" of the network namespace; a path is used again, this is not while it lives. */
  readonly netnsId: string;
  readonly bridge: string;
  readonly hostVeth: string;
  /** Directory of the leases; '' when the attachment has no addresses. */
  readonly leases: string;
  readonly addresses: readonly string[];
  /** It has a part in the network's nftables table. */
  readonly nat: boolean;
  /** Host ports as "udp/53", for what the kernel remembers of them. */
  readonly hostPorts?: readonly string[];
  /** Link through which what the container sends is limited. */
  readonly ifb?: string;
  /** Link of another plugin whose rate is limited. */
  readonly shaped?: string;
  /** Its bridge is kept apart from other bridges, a thing the attachments of the network have in common. */
  readonly isolated?: boolean;
  /** It may send with its own MAC address only. */
  readonly guarded?: boolean;
  /** Seconds its addresses rest after it. */
  readonly quarantine?: number;
  readonly podName: string;
  readonly at: string;
  readonly result: Result | undefined;
}

export class RecordStore {
  /** Of all networks. */
  readonly stateDir: string;
  readonly directory: string;
  /** Leases of the plugin that was here before. */
  readonly foreignLeases: string;
  readonly #network: string;
  readonly #networkLock: string;
  readonly #bootMark: string;
  readonly #leases: string;

  constructor({ stateDir, leases }: StatePaths, network: string) {
    // No network's name begins with a dot.
    this.#networkLock = `${stateDir}/.${network}.lock`;
    this.#bootMark = `${stateDir}/.${network}.boot`;
    this.directory = `${stateDir}/${network}`;
    this.stateDir = stateDir;
    this.foreignLeases = `${stateDir}/.${network}.leases`;
    this.#network = network;
    this.#leases = leases;
  }

  /** False when no record, no draft of one and no call in progress tells of the attachment: nothing to lock then. */
  mentions(name: AttachmentName): boolean {
    const path = this.#path(name);
    return ['.json', '.lock', '.new'].some((suffix) => existsSync(`${path}${suffix}`));
  }

  /** There is a whole record, or one that begins. */
  has(name: AttachmentName): boolean {
    return existsSync(`${this.#path(name)}.json`);
  }

  prepare(): void {
    makeDirectory(this.directory, 0o700);
  }

  lock(name: AttachmentName): AttachmentLock {
    return lockAttachment(`${this.#path(name)}.lock`);
  }

  /** Removes a draft or a lock without a record, unless a call holds it right now. */
  clearStray(name: AttachmentName): void {
    const lock = tryLockAttachment(`${this.#path(name)}.lock`);
    if (lock === undefined) return;
    try {
      if (this.read(name) === undefined) this.remove(name);
    } finally {
      lock.release();
    }
  }

  dropNobodysLeases(): void {
    new LeaseStore(this.#leases, { containerId: '', ifname: '' }, '').dropNobodys();
  }

  /** The boot in which this network was last cleared of earlier ones; '' before the first time. */
  bootSeen(): string {
    try {
      return readFileSync(this.#bootMark, 'utf8');
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return '';
      throw error;
    }
  }

  markBoot(bootId: string): void {
    writeFileSync(this.#bootMark, bootId, { mode: 0o600 });
  }

  /** For what all attachments of the network have in common. */
  lockNetwork(how: 'shared' | 'alone'): AttachmentLock {
    return lockNetwork(this.#networkLock, how);
  }

  /** Attachments had something in common at some time: the lock was taken. */
  wasShared(): boolean {
    return existsSync(this.#networkLock);
  }

  /** No attachment has begun, or none is left. */
  isEmpty(): boolean {
    return !this.#files().some((file) => file.endsWith('.json'));
  }

  read(name: AttachmentName): AttachmentRecord | undefined {
    let text: string;
    try {
      text = readFileSync(`${this.#path(name)}.json`, 'utf8');
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return undefined;
      throw error;
    }
    return parseRecord(text) ?? this.#unreadable(name);
  }

  /** Survives a power cut from here on. */
  begin(record: AttachmentRecord): void {
    this.#replace(record, true);
    syncDirectory(this.directory);
  }

  /** A power cut may bring back what `begin` wrote: that too cleans up all there is. */
  finish(record: AttachmentRecord): void {
    this.#replace(record, false);
  }

  remove(name: AttachmentName): void {
    removeFile(`${this.#path(name)}.new`);
    removeFile(`${this.#path(name)}.json`);
  }

  /** Every attachment of the network, those included of which only a draft or a lock is left. */
  names(): readonly AttachmentName[] {
    const names = new Map<string, AttachmentName>();
    for (const file of this.#files()) {
      const stem = file.replace(/\.(json|new|lock)$/, '');
      if (stem === file || names.get(stem) !== undefined) continue;
      const name = this.#nameOf(stem);
      if (name !== undefined) names.set(stem, name);
    }
    return [...names.values()];
  }

  #files(): readonly string[] {
    try {
      return readdirSync(this.directory);
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return [];
      throw error;
    }
  }

  #nameOf(stem: string): AttachmentName | undefined {
    const colon = stem.lastIndexOf(':');
    if (colon < 0) return undefined;
    const name = { containerId: stem.slice(0, colon), ifname: stem.slice(colon + 1) };
    if (!name.containerId.includes('~')) return name;
    // A long id is cut in the file name and whole in the record.
    return this.#tryRead(stem);
  }

  #tryRead(stem: string): AttachmentName | undefined {
    try {
      return parseRecord(readFileSync(`${this.directory}/${stem}.json`, 'utf8'));
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  #path(name: AttachmentName): string {
    return `${this.directory}/${fileName(name)}`;
  }

  #replace(record: AttachmentRecord, durable: boolean): void {
    const path = this.#path(record);
    const fd = openSync(`${path}.new`, 'w', 0o600);
    try {
      writeSync(fd, JSON.stringify({ version: 1, ...record }));
      if (durable) fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(`${path}.new`, `${path}.json`);
  }

  #unreadable(name: AttachmentName): AttachmentRecord {
    return {
      ...name,
      network: this.#network,
      state: 'begun',
      bootId: '',
      netns: '',
      netnsId: '',
      bridge: '',
      // A plugin chained behind another one has no interface of its own.
      hostVeth: this.#network.startsWith('.') ? '' : hostVethName(name),
      leases: this.#leases,
      addresses: [],
      nat: true,
      ...(this.#network.startsWith('.portmap.') ? {} : { ifb: ifbName(name) }),
      isolated: true,
      guarded: true,
      podName: '',
      at: '',
      result: undefined,
    };
  }
}

function parseRecord(text: string): AttachmentRecord | undefined {
  try {
    const value = JSON.parse(text) as Partial<AttachmentRecord> | null;
    const whole =
      typeof value === 'object' &&
      value !== null &&
      typeof value.containerId === 'string' &&
      typeof value.ifname === 'string' &&
      typeof value.hostVeth === 'string' &&
      typeof value.leases === 'string' &&
      Array.isArray(value.addresses);
    return whole ? (value as AttachmentRecord) : undefined;
  } catch {
    return undefined;
  }
}

function syncDirectory(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
