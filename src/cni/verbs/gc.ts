/**
 * GC: whatever belongs to no attachment of the given list is taken away: links, host ports, leases, records.
 * Everything is tried; what failed is told at the end.
 * @module
 */
import { sweep } from '../abandoned.ts';
import { fileName } from '../attachment-name.ts';
import { withNat } from '../attachment-nat.ts';
import { CniError } from '../cni-error.ts';
import { IpamPlugin } from '../delegate.ts';
import { removeFile } from '../files.ts';
import { LeaseStore } from '../ipam/lease-store.ts';
import type { JsonObject } from '../json-object.ts';
import { parseStatePaths } from '../network-config.ts';
import { RecordStore } from '../record.ts';
import type { Environment, Request } from '../request.ts';
import { reclaim } from '../undo.ts';

export function gc(request: Request, env: Environment): void {
  const valid = validAttachments(request.config);
  // No list is not an empty list: cnitool calls so, and everything would be taken for dead.
  if (valid === undefined) return;
  const paths = parseStatePaths(request, env);
  const failures: string[] = [];
  const attempt = (what: string, act: () => void): void => {
    try {
      act();
    } catch (error) {
      failures.push(`${what}: ${(error as Error).message}`);
    }
  };
  const records = new RecordStore(paths, request.network);
  for (const name of records.names()) {
    if (!valid.has(fileName(name))) attempt(fileName(name), () => reclaim(records, name, () => true));
  }
  attempt('links', sweep);
  attempt('leases', () => collectLeases(paths.leases, valid));
  attempt('host ports', () => withNat(request.network, (table) => table.retain(valid)));
  attempt('IPAM plugin', () => IpamPlugin.of(request, env)?.run('GC'));
  if (failures.length > 0)
    throw new CniError('ERR_CNI_INTERNAL', `${failures.length} things could not be cleaned up`, {
      details: failures.join('\n'),
    });
}

/** Leases of plugins that were here before, and the empty ones host-local leaves when it is killed. */
function collectLeases(directory: string, valid: ReadonlySet<string>): void {
  const store = new LeaseStore(directory, { containerId: '', ifname: '' }, '');
  for (const address of store.addresses()) {
    const owner = store.ownerOf(address);
    if (owner === undefined || isValid(owner, valid)) continue;
    removeFile(`${directory}/${address}`);
  }
}

function isValid(owner: { containerId: string; ifname: string }, valid: ReadonlySet<string>): boolean {
  if (owner.ifname !== '') return valid.has(fileName(owner));
  return owner.containerId !== '' && [...valid].some((name) => name.startsWith(`${owner.containerId}:`));
}

/** The key was misspelt for a while: cni#1101. */
export function validAttachments(config: JsonObject): ReadonlySet<string> | undefined {
  const key = ['cni.dev/valid-attachments', 'cni.dev/attachments'].find((name) => config.has(name));
  if (key === undefined) return undefined;
  return new Set(
    config
      .objects(key)
      .map((entry) => fileName({ containerId: entry.string('containerID'), ifname: entry.string('ifname') })),
  );
}
