/**
 * `kilowire cni gc`: what no runtime knows is taken away. It may run while pods come and go, on a node with several
 * runtimes, so being unknown is not enough: the network namespace must be gone or empty, and the attachment older
 * than an ADD and the start after it can take. Only an explicit list of the living overrules that.
 * @module
 */
import { statSync } from 'node:fs';
import { fileName } from '../attachment-name.ts';
import { withNat } from '../attachment-nat.ts';
import { LeaseStore } from '../ipam/lease-store.ts';
import { reclaim } from '../undo.ts';
import { type Holder, listHolders } from './holder.ts';
import { inhabitedNamespaces } from './known-containers.ts';
import type { Network } from './network.ts';

export interface Verdict {
  readonly holder: Holder;
  readonly remove: boolean;
  readonly why: string;
}

export interface CollectionOptions {
  /** Container ids that live; undefined when nobody could be asked. */
  readonly known: ReadonlySet<string> | undefined;
  /** `known` was given by the operator and is all there is. */
  readonly complete: boolean;
  /** ms; younger attachments may be in the making. */
  readonly grace: number;
  /** Wall clock, ms. */
  readonly now: number;
}

export function judge(network: Network, options: CollectionOptions): readonly Verdict[] {
  const { dev } = statSync('/proc/self/ns/net');
  const inhabited = inhabitedNamespaces(String(dev));
  return listHolders(network).map((holder) => ({ holder, ...verdict(holder, options, inhabited) }));
}

function verdict(
  holder: Holder,
  { known, complete, grace, now }: CollectionOptions,
  inhabited: ReadonlySet<string>,
): { remove: boolean; why: string } {
  const { record, containerId } = holder;
  const young = holder.since !== '' && Math.abs(now - Date.parse(holder.since)) < grace;
  if (known?.has(containerId)) return { remove: false, why: 'a runtime knows it' };
  if (complete) return { remove: true, why: 'it is not in the list' };
  if (holder.homeless) return { remove: true, why: holder.why };
  if (young) return { remove: false, why: 'it is young: its container may be on the way' };
  if (record === undefined && holder.life === 'dead') return { remove: true, why: holder.why };
  if (known === undefined) return { remove: false, why: 'there is no runtime to ask' };
  if (record !== undefined && inhabited.has(record.netnsId))
    return { remove: false, why: 'no runtime knows it, but a process lives in its network namespace' };
  if (record === undefined) return { remove: true, why: 'no runtime knows its container' };
  return { remove: true, why: 'no runtime knows it, and nobody lives in its network namespace' };
}

/** Answers what could not be removed. */
export function collect(network: Network, verdicts: readonly Verdict[]): readonly string[] {
  const failures: string[] = [];
  const attempt = (what: string, act: () => void): void => {
    try {
      act();
    } catch (error) {
      failures.push(`${what}: ${(error as Error).message}`);
    }
  };
  for (const { holder, remove } of verdicts)
    if (remove) attempt(fileName(holder), () => removeHolder(network, holder));
  attempt('host ports', () => retainHostPorts(network));
  return failures;
}

function removeHolder(network: Network, holder: Holder): void {
  if (network.records.mentions(holder))
    // Somebody may have attached it anew since it was judged.
    reclaim(network.records, holder, (record) => record?.at === holder.record?.at);
  else {
    const store = new LeaseStore(network.paths.leases, holder, '');
    for (const address of holder.addresses) store.release(address);
  }
}

/** Elements of attachments that have no record. Under the lock no record can be on its way to its first element. */
function retainHostPorts({ name, records }: Network): void {
  if (!records.wasShared()) return;
  const lock = records.lockNetwork('alone');
  try {
    const owners = new Set(records.names().map(fileName));
    withNat(name, (table) => table.retain(owners));
  } finally {
    lock.release();
  }
}
