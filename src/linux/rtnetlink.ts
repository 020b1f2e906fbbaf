/**
 * The routing family of netlink: its socket, its message numbers and the multicast groups to watch.
 * Source: include/uapi/linux/rtnetlink.h. Links, addresses, routes, rules and neighbours each have their own file; what
 * changes something is a Request (`socket.request(newLink(…))`, or many in one `socket.batch([…])`), what reads takes the socket.
 * @module
 */
import { parseIp } from './ip-address.ts';
import { NETLINK_ROUTE, NetlinkSocket } from './netlink.ts';
import { AF_INET, AF_INET6 } from './sys.ts';

export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
export const RTM_GETLINK = 18;
export const RTM_SETLINK = 19;
export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
export const RTM_GETADDR = 22;
export const RTM_NEWROUTE = 24;
export const RTM_DELROUTE = 25;
export const RTM_GETROUTE = 26;
export const RTM_NEWNEIGH = 28;
export const RTM_DELNEIGH = 29;
export const RTM_GETNEIGH = 30;
export const RTM_NEWRULE = 32;
export const RTM_DELRULE = 33;
export const RTM_GETRULE = 34;

export const RTNLGRP_LINK = 1;
export const RTNLGRP_NEIGH = 3;
export const RTNLGRP_IPV4_IFADDR = 5;
export const RTNLGRP_IPV4_ROUTE = 7;
export const RTNLGRP_IPV4_RULE = 8;
export const RTNLGRP_IPV6_IFADDR = 9;
export const RTNLGRP_IPV6_ROUTE = 11;
export const RTNLGRP_IPV6_RULE = 19;

export type Family = 4 | 6;

export const familyNumber = (family: Family): number => (family === 4 ? AF_INET : AF_INET6);

/** Undefined for families this layer does not speak (MPLS, bridge). */
export const familyOf = (number: number): Family | undefined =>
  number === AF_INET ? 4 : number === AF_INET6 ? 6 : undefined;

export const familyOfIp = (address: string): Family => (parseIp(address).length === 4 ? 4 : 6);

/** A socket in the network namespace the calling thread is in; `openRouteSocketIn` of namespaces.ts for another one. */
export const openRouteSocket = (): NetlinkSocket => NetlinkSocket.open({ protocol: NETLINK_ROUTE });

/** A socket that receives changes: call `drain()` when its `fd` is readable. Send requests over another socket. */
export const subscribeToRoutes = (groups: readonly number[]): NetlinkSocket =>
  NetlinkSocket.open({ protocol: NETLINK_ROUTE, groups });
