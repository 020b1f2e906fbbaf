/**
 * Who holds which address: every attachment that has a record or a lease, and whether it still lives.
 * @module
 */
import { statSync } from 'node:fs';
import { getLink } from '../../linux/link.ts';
import type { NetlinkSocket } from '../../linux/netlink.ts';
import { openRouteSocket } from '../../linux/rtnetlink.ts';
import { type AttachmentName, fileName } from '../attachment-name.ts';
import { errorCode } from '../files.ts';
import { LeaseStore } from '../ipam/lease-store.ts';
import { netnsIdAt } from '../netns.ts';
import type { AttachmentRecord } from '../record.ts';
import { bootId } from '../undo.ts';
import type { Network } from './network.ts';

/** 'unknown': no record of ours tells where its interface would be. */
export type Life = 'alive' | 'dead' | 'unknown';

export interface Holder extends AttachmentName {
  readonly network: string;
  readonly addresses: readonly string[];
  readonly podName: string;
  /** ISO 8601; of the record, else of the oldest lease; '' when neither tells. */
  readonly since: string;
  readonly life: Life;
  /** What speaks against its life, or why that cannot be told; '' for the living. */
  readonly why: string;
  /** Its network namespace does not exist any more: nothing can live there. */
  readonly homeless: boolean;
  readonly record: AttachmentRecord | undefined;
}

export function listHolders(network: Network): readonly Holder[] {
  const leases = leasesByOwner(network);
  const socket = openRouteSocket();
  try {
    const holders: Holder[] = [];
    for (const name of network.records.names()) {
      const key = fileName(name);
      const lease = leases.get(key);
      leases.delete(key);
      holders.push(fromRecord(network, name, lease, socket));
    }
    for (const lease of leases.values()) holders.push(fromLease(network, lease));
    return holders.sort((a, b) => byAddress(a.addresses[0] ?? '', b.addresses[0] ?? ''));
  } finally {
    socket.close();
  }
}

interface HeldLeases extends AttachmentName {
  readonly addresses: string[];
  since: string;
}

function leasesByOwner({ paths }: Network): Map<string, HeldLeases> {
  const store = new LeaseStore(paths.leases, { containerId: '', ifname: '' }, '');
  const owners = new Map<string, HeldLeases>();
  for (const address of [...store.addresses()].sort(byAddress)) {
    const owner = store.ownerOf(address);
    if (owner === undefined) continue;
    const key = fileName(owner);
    const held = owners.get(key) ?? { ...owner, addresses: [], since: '' };
    const since = modified(`${paths.leases}/${address}`);
    if (held.since === '' || since < held.since) held.since = since;
    held.addresses.push(address);
    owners.set(key, held);
  }
  return owners;
}

function fromRecord(
  network: Network,
  name: AttachmentName,
  lease: HeldLeases | undefined,
  socket: NetlinkSocket,
): Holder {
  const record = network.records.read(name);
  const why = record === undefined ? 'its ADD was killed before it began' : reasonOfDeath(record, socket);
  return {
    containerId: name.containerId,
    ifname: name.ifname,
    network: network.name,
    addresses: lease?.addresses ?? record?.addresses ?? [],
    podName: record?.podName ?? '',
    since: record?.at || (lease?.since ?? ''),
    life: why === '' ? 'alive' : 'dead',
    why,
    homeless: record !== undefined && isHomeless(record),
    record,
  };
}

function fromLease(network: Network, { containerId, ifname, addresses, since }: HeldLeases): Holder {
  const nobody = containerId === '';
  return {
    containerId,
    ifname,
    network: network.name,
    addresses,
    podName: '',
    since,
    life: nobody ? 'dead' : 'unknown',
    why: nobody ? 'the lease names nobody' : 'another plugin made it: there is a lease and no record',
    homeless: false,
    record: undefined,
  };
}

/** An unreadable record tells of no namespace: that says nothing. */
const isHomeless = (record: AttachmentRecord): boolean =>
  record.bootId !== '' && (record.bootId !== bootId() || netnsIdAt(record.netns) !== record.netnsId);

/** '' for what is as an ADD left it. */
export function reasonOfDeath(record: AttachmentRecord, socket: NetlinkSocket): string {
  if (record.at === '') return 'its record cannot be read';
  if (record.bootId !== bootId()) return 'it is from an earlier boot';
  if (record.state !== 'done') return 'its ADD did not finish';
  const netns = netnsIdAt(record.netns);
  if (netns === '') return `its network namespace ${record.netns} is gone`;
  if (netns !== record.netnsId) return `${record.netns} is another network namespace now`;
  if (getLink(socket, record.hostVeth) === undefined) return `its interface ${record.hostVeth} is gone`;
  return '';
}

function modified(path: string): string {
  try {
    return statSync(path).mtime.toISOString();
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return '';
    throw error;
  }
}

/** IPv4 first, then by number. */
export function byAddress(a: string, b: string): number {
  const v6 = Number(a.includes(':')) - Number(b.includes(':'));
  return v6 !== 0 ? v6 : a.localeCompare(b, 'en', { numeric: true });
}
