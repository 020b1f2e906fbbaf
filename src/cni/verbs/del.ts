/**
 * DEL: nothing of the attachment is left, however much or little of it there was and whoever made it.
 * Runtimes send it two or three times per container, mostly without namespace and prevResult: those find no
 * record and are done.
 * @module
 */
import { deleteLink, getLink } from '../../linux/link.ts';
import { openRouteSocketIn } from '../../linux/namespaces.ts';
import { sweep } from '../abandoned.ts';
import { IpamPlugin } from '../delegate.ts';
import { ForeignLeases } from '../ipam/foreign-leases.ts';
import { LeaseStore, type Owner } from '../ipam/lease-store.ts';
import { findNetns } from '../netns.ts';
import { parseStatePaths } from '../network-config.ts';
import { RecordStore } from '../record.ts';
import type { Environment, Request } from '../request.ts';
import { reclaim } from '../undo.ts';

export function del(request: Request, env: Environment): void {
  const paths = parseStatePaths(request, env);
  const records = new RecordStore(paths, request.network);
  let known = false;
  if (records.mentions(request))
    reclaim(
      records,
      request,
      (record) => {
        known = record !== undefined;
        return true;
      },
      'abandoned',
    );
  if (!known) {
    deleteForeignLink(request);
    sweep();
  }
  IpamPlugin.of(request, env)?.run('DEL');
  if (known) return;
  const store = new LeaseStore(paths.leases, request, '');
  const foreign = new ForeignLeases(records.foreignLeases, store);
  const isRecorded = (owner: Owner): boolean => records.has(owner);
  for (const address of foreign.of(request, isRecorded)) store.release(address);
}

/** An attachment without a record was made by the plugin that was here before: Go's bridge, mostly. */
function deleteForeignLink({ netns: path, ifname }: Request): void {
  const netns = path === '' ? undefined : findNetns(path);
  if (netns === undefined) return;
  try {
    const socket = openRouteSocketIn(netns.fd);
    try {
      const link = getLink(socket, ifname);
      if (link?.kind === 'veth') socket.request(deleteLink(link.index));
    } finally {
      socket.close();
    }
  } finally {
    netns.close();
  }
}
