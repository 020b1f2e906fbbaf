/**
 * Numbers for other network namespaces. A namespace that has one in ours can be listened to from here without holding
 * it: its events arrive on our own netlink sockets, and it dies when it would have died anyway.
 * Source: linux/net_namespace.h (RTM_NEWNSID), netlink(7) (NETLINK_LISTEN_ALL_NSID, Linux 4.2).
 * @module
 */
import { EEXIST } from './errno.ts';
import { isNetlinkError } from './netlink.ts';
import { openRouteSocket } from './rtnetlink.ts';

const RTM_NEWNSID = 88;
const NETNSA_NSID = 1;
const NETNSA_FD = 3;
const ANY = 0xffff_ffff;

/** Gives the namespace behind a descriptor a number in the one this thread is in, unless it has one. */
export function assignNamespaceId(namespace: number): void {
  const socket = openRouteSocket();
  try {
    socket.request({
      name: 'RTM_NEWNSID',
      subject: `namespace descriptor ${namespace}`,
      type: RTM_NEWNSID,
      flags: 0,
      body: (writer) => {
        // struct rtgenmsg: AF_UNSPEC, padded.
        writer.u32(0);
        writer.attribute(NETNSA_NSID, (value) => value.u32(ANY));
        writer.attribute(NETNSA_FD, (value) => value.u32(namespace));
      },
    });
  } catch (error) {
    if (!isNetlinkError(error, EEXIST)) throw error;
  } finally {
    socket.close();
  }
}
