/**
 * Links that are given up. Unregistering a veth pair takes the kernel 16 to 20 ms, most of it waiting for two grace periods
 * of RCU, so DEL does not wait for it: the host's end leaves its bridge, both ends go down, the container's name becomes
 * free, which is all a caller can ask for, and the pair goes into a link group that a process without us deletes.
 *
 * Should that process be killed before it began, the group is what the next one deletes too; a DEL that finds no record
 * and GC delete it themselves, so nothing stays.
 * @module
 */
import { ENODEV } from '../linux/errno.ts';
import { changeLink, deleteGroup, getLink } from '../linux/link.ts';
import { openRouteSocketIn } from '../linux/namespaces.ts';
import { isNetlinkError, type NetlinkSocket } from '../linux/netlink.ts';
import { openRouteSocket } from '../linux/rtnetlink.ts';
import { type AttachmentName, shortHash } from './attachment-name.ts';

/** "kilo": nobody numbers a group of his own so. */
export const abandonedGroup = 0x6b696c6f;
export const abandonedPrefix = 'kwgone';

let waiting = false;
let wakeSweeper: (() => boolean) | undefined;

/** True: there may be something for `deleteInBackground`. */
export const isSomethingAbandoned = (): boolean => waiting;

/** Of a process that stays: another one deletes, and is told by `wake`, which answers false when that one is gone. */
export function sweepBy(wake: () => boolean): void {
  wakeSweeper = wake;
}

/** Between two requests of a process that stays. */
export function sweepAbandoned(): void {
  if (!waiting) return;
  waiting = false;
  sweep();
}

/** False when it could not be done as a whole, and the link is to be deleted at once. */
export function abandonLink(socket: NetlinkSocket, name: string): boolean {
  const [error] = socket.tryBatch([changeLink(name, { up: false, master: 0, group: abandonedGroup })]);
  if (error !== undefined) return error.errno === ENODEV;
  waiting = true;
  return true;
}

/** The container's end: no longer up, and no longer called so. */
export function freeName(name: AttachmentName, netns: string): boolean {
  const inside = openRouteSocketIn(netns);
  try {
    const link = getLink(inside, name.ifname);
    if (link === undefined) return true;
    const hidden = `${abandonedPrefix}${shortHash(name, 9)}`;
    // Down first: an older kernel renames no link that is up.
    return inside
      .tryBatch([changeLink(link.index, { up: false }), changeLink(link.index, { name: hidden })])
      .every((error) => error === undefined || error.errno === ENODEV);
  } finally {
    inside.close();
  }
}

/** What was abandoned by a call that was killed. */
export function sweep(): void {
  if (wakeSweeper?.()) return;
  const socket = openRouteSocket();
  try {
    deleteAll(socket);
  } finally {
    socket.close();
  }
}

/** The last thing a process does; only `exit` may follow. */
export function deleteInBackground(): void {
  const socket = openRouteSocket();
  if (!socket.requestInBackground(deleteGroup(abandonedGroup))) deleteAll(socket);
}

function deleteAll(socket: NetlinkSocket): void {
  try {
    socket.request(deleteGroup(abandonedGroup));
  } catch (error) {
    if (!isNetlinkError(error, ENODEV)) throw error;
  }
}
