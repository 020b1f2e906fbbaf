/**
 * An attachment's part in its network's nftables table.
 * @module
 */
import { type AttachmentName, fileName } from './attachment-name.ts';
import { enableSysctl } from './bridge.ts';
import type { Allocation } from './ipam/allocator.ts';
import { networkOf } from './ipam/ip-address.ts';
import { type NatPlan, NatTable } from './nat-table.ts';
import type { NetworkConfig } from './network-config.ts';
import type { AttachmentRecord, RecordStore } from './record.ts';
import { destroyGuards, guard } from './spoof-guard.ts';

export function natPlan(
  name: AttachmentName,
  config: Pick<NetworkConfig, 'ipMasq' | 'hostPorts' | 'hostPortOptions'>,
  addresses: readonly string[],
): NatPlan {
  return {
    subnets: addresses.map(networkOf),
    masquerade: config.ipMasq,
    hostPorts: config.hostPorts,
    options: config.hostPortOptions,
    addresses: addresses.map((address) => address.split('/')[0] ?? ''),
    owner: fileName(name),
  };
}

export function addNat(
  records: RecordStore,
  record: AttachmentRecord,
  config: NetworkConfig,
  allocations: readonly Allocation[],
): void {
  const addresses = allocations.map(({ address }) => address);
  addHostPorts(records, record, natPlan(record, config, addresses));
  if (config.hostPorts.length > 0) allowLocal(config.bridge);
}

export function addHostPorts(records: RecordStore, record: AttachmentRecord, plan: NatPlan): void {
  const lock = records.lockNetwork('shared');
  try {
    withNat(record.network, (table) => {
      table.add(plan);
      forgetFlows(table, record);
    });
  } finally {
    lock.release();
  }
}

/** A packet from 127.0.0.1 to a host port leaves by this link. */
export const allowLocal = (link: string): void => enableSysctl(`net/ipv4/conf/${link}/route_localnet`);

/** Its own MAC address only, from here on. */
export function addGuard(records: RecordStore, record: AttachmentRecord, mac: string): void {
  const lock = records.lockNetwork('shared');
  try {
    guard(record.network, record.hostVeth, mac);
  } finally {
    lock.release();
  }
}

export function removeNat(record: AttachmentRecord): void {
  withNat(record.network, (table) => {
    table.remove(fileName(record));
    forgetFlows(table, record);
  });
}

/** A UDP client that never pauses would be kept on the way it had before the port was opened, or closed. */
function forgetFlows(table: NatTable, { hostPorts = [] }: AttachmentRecord): void {
  const ports = hostPorts.filter((port) => port.startsWith('udp/')).map((port) => Number(port.slice(4)));
  if (ports.length > 0) table.forgetUdpFlows(new Set(ports));
}

/** The table goes with the last attachment. One that begins meanwhile has its record, and waits for the lock. */
export function dropTableIfUnused(records: RecordStore, network: string): void {
  if (!records.wasShared() || !records.isEmpty()) return;
  const lock = records.lockNetwork('alone');
  try {
    if (!records.isEmpty()) return;
    withNat(network, (table) => table.destroy());
    destroyGuards(network);
  } finally {
    lock.release();
  }
}

export function withNat<T>(network: string, use: (table: NatTable) => T): T {
  const table = new NatTable(network);
  try {
    return use(table);
  } finally {
    table.close();
  }
}
