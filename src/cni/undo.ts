/**
 * Taking an attachment away, from its record alone: by the ADD that failed, by DEL, by GC, and by the first ADD
 * after a reboot.
 * @module
 */
import { readFileSync } from '#sys';
import type { NetlinkSocket } from '../linux/netlink.ts';
import { openRouteSocket } from '../linux/rtnetlink.ts';
import { abandonLink, freeName } from './abandoned.ts';
import type { AttachmentName } from './attachment-name.ts';
import { dropTableIfUnused, removeNat } from './attachment-nat.ts';
import { deleteIfb, unlimitBandwidth } from './bandwidth.ts';
import { LeaseStore } from './ipam/lease-store.ts';
import { releaseIsolation } from './isolation.ts';
import { netnsIdAt } from './netns.ts';
import type { AttachmentRecord, RecordStore } from './record.ts';
import { releaseGuard } from './spoof-guard.ts';
import { deleteVeth } from './veth.ts';

/**
 * Back to nothing: traffic first, then the address (nobody else may have it while we still answer for it),
 * then the record, which has to outlive all it tells of.
 */
export function undo(
  records: RecordStore,
  record: AttachmentRecord,
  socket: NetlinkSocket,
  links: 'deleted' | 'abandoned' = 'deleted',
): void {
  // Links do not survive a reboot; a record that tells nothing of its boot is taken for one of this.
  if (record.hostVeth !== '' && (record.bootId === '' || record.bootId === bootId())) {
    if (links === 'deleted' || !abandonVeth(socket, record)) deleteVeth(socket, record.hostVeth);
  }
  if (record.shaped !== undefined) unlimitBandwidth(socket, record.shaped);
  if (record.ifb !== undefined && (links === 'deleted' || !abandonLink(socket, record.ifb)))
    deleteIfb(socket, record.ifb);
  if (record.nat) removeNat(record);
  if (record.guarded && record.hostVeth !== '') releaseGuard(record.network, record.hostVeth);
  if (record.leases !== '') {
    // An address that was never handed out needs no rest.
    const quarantine = record.state === 'done' ? record.quarantine : 0;
    const leases = new LeaseStore(record.leases, record, record.hostVeth, quarantine);
    leases.discardDraft();
    const earlier = isOfEarlierBoot(record);
    const held = record.state === 'done' ? record.addresses : leases.heldByOwner(earlier);
    for (const address of held) leases.release(address, earlier);
  }
  records.remove(record);
  dropTableIfUnused(records, record.network);
  if (record.isolated) releaseIsolation(records.stateDir, record.network, () => records.isEmpty());
}

/** False when the pair is to be deleted at once, because the container's namespace cannot be entered or its end not renamed. */
function abandonVeth(socket: NetlinkSocket, record: AttachmentRecord): boolean {
  if (record.netns === '' || netnsIdAt(record.netns) !== record.netnsId) return false;
  try {
    return abandonLink(socket, record.hostVeth) && freeName(record, record.netns);
  } catch {
    return false;
  }
}

let boot: string | undefined;

export function bootId(): string {
  boot ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return boot;
}

/** A record that cannot be read tells of no boot, and may be a living pod's. */
const isOfEarlierBoot = (record: AttachmentRecord): boolean =>
  record.bootId !== '' && record.bootId !== bootId();

/** Under its lock, the attachment goes if it is still stale then. */
export function reclaim(
  records: RecordStore,
  name: AttachmentName,
  isStale: (record: AttachmentRecord | undefined) => boolean,
  links: 'deleted' | 'abandoned' = 'deleted',
): void {
  const lock = records.lock(name);
  try {
    const record = records.read(name);
    if (!isStale(record)) return;
    if (record === undefined) records.remove(name);
    else {
      const socket = openRouteSocket();
      try {
        undo(records, record, socket, links);
      } finally {
        socket.close();
      }
    }
  } finally {
    lock.release();
  }
}

/**
 * No network namespace survives a reboot, so no address needs to. Done by the first ADD of a network after it,
 * before that takes its own lock: two of them never wait for each other.
 */
export function reclaimEarlierBoot(records: RecordStore): void {
  if (records.bootSeen() === bootId()) return;
  const isStale = (record: AttachmentRecord | undefined): boolean =>
    record !== undefined && isOfEarlierBoot(record);
  for (const name of records.names()) {
    const record = records.read(name);
    if (record === undefined) records.clearStray(name);
    else if (isStale(record)) reclaim(records, name, isStale);
  }
  records.dropNobodysLeases();
  records.markBoot(bootId());
}
