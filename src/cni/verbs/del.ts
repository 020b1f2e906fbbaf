/**
 * DEL: nothing of the attachment is left, however much or little of it there was and whoever made it.
 * Runtimes send it two or three times per container, mostly without namespace and prevResult: those find no
 * record and are done.
 * @module
 */
import { deleteLink, getLink } from '../../linux/link.ts';
import { openRouteSocketIn } from '../../linux/namespaces.ts';
import type { NetlinkSocket } from '../../linux/netlink.ts';
import { openRouteSocket } from '../../linux/rtnetlink.ts';
import { undo } from '../attachment.ts';
import { LeaseStore } from '../ipam/lease-store.ts';
import { findNetns } from '../netns.ts';
import { parseStatePaths } from '../network-config.ts';
import { RecordStore } from '../record.ts';
import type { Environment, Request } from '../request.ts';

export function del(request: Request, env: Environment): void {
  const paths = parseStatePaths(request, env);
  const records = new RecordStore(paths, request.network);
  let known = false;
  if (records.mentions(request)) {
    const lock = records.lock(request);
    try {
      const record = records.read(request);
      known = record !== undefined;
      if (record !== undefined) withRouteSocket((socket) => undo(records, record, () => socket));
      else records.remove(request);
    } finally {
      lock.release();
    }
  }
  if (known) return;
  deleteForeignLink(request);
  const store = new LeaseStore(paths.leases, request, '');
  for (const address of store.heldByOwner()) store.release(address);
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

function withRouteSocket(use: (socket: NetlinkSocket) => void): void {
  const socket = openRouteSocket();
  try {
    use(socket);
  } finally {
    socket.close();
  }
}
