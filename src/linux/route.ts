/**
 * Routes. Source: include/uapi/linux/rtnetlink.h (struct rtmsg, RTA_…, RTAX_…).
 * @module
 */
import { ENOENT } from './errno.ts';
import { formatIp, formatPrefix, parseIp, parsePrefix } from './ip-address.ts';
import { isNetlinkError, type NetlinkSocket, type Request } from './netlink.ts';
import {
  LITTLE_ENDIAN,
  type Message,
  NLM_F_APPEND,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  viewOf,
} from './netlink-message.ts';
import {
  bytes,
  type Decoded,
  decodeAttributes,
  ip,
  nested,
  u8,
  u32,
  writeAttributes,
} from './netlink-schema.ts';
import {
  type Family,
  familyNumber,
  familyOf,
  familyOfIp,
  RTM_DELROUTE,
  RTM_GETROUTE,
  RTM_NEWROUTE,
} from './rtnetlink.ts';

export const TABLE_MAIN = 254;
export const TABLE_LOCAL = 255;
/** Who made a route (rtm_protocol); 17 and up are free for programs to mark their own. */
export const PROTOCOL_KERNEL = 2;
export const PROTOCOL_BOOT = 3;
export const PROTOCOL_STATIC = 4;

const SCOPE_UNIVERSE = 0;
const SCOPE_LINK = 253;
const SCOPE_HOST = 254;
const SCOPE_NOWHERE = 255;
const RTNH_F_ONLINK = 4;
const RTM_F_CLONED = 0x200;
const ROUTE_HEADER = 12;

/** RTN_…, in the kernel's order. */
const ROUTE_TYPES = [
  'unspecified',
  'unicast',
  'local',
  'broadcast',
  'anycast',
  'multicast',
  'blackhole',
  'unreachable',
  'prohibit',
  'throw',
] as const;
export type RouteType = (typeof ROUTE_TYPES)[number];

const RouteMetrics = {
  mtu: [2, u32], // RTAX_MTU
  advmss: [8, u32],
  hopLimit: [10, u32],
} as const;

const RouteAttributes = {
  destination: [1, bytes], // RTA_DST
  from: [2, bytes], // RTA_SRC
  incoming: [3, u32], // RTA_IIF
  link: [4, u32], // RTA_OIF
  gateway: [5, ip],
  metric: [6, u32], // RTA_PRIORITY
  source: [7, ip], // RTA_PREFSRC
  metrics: [8, nested(RouteMetrics)],
  cacheInfo: [12, bytes],
  table: [15, u32],
  via: [18, bytes], // RTA_VIA, struct rtvia: a gateway of another family than the destination
  mark: [16, u32],
  preference: [20, u8], // RTA_PREF, RFC 4191
  expires: [23, u32],
} as const;

export interface NewRoute {
  /** "10.42.1.0/24", or "default", which needs a gateway or a family. */
  readonly destination: string;
  readonly family?: Family | undefined;
  readonly gateway?: string | undefined;
  /** Index of the link it leaves by. */
  readonly link?: number | undefined;
  /** The source address of packets from this host. */
  readonly source?: string | undefined;
  readonly table?: number | undefined;
  readonly metric?: number | undefined;
  readonly type?: RouteType | undefined;
  /** By default link for a route without gateway, host for a local one. */
  readonly scope?: number | undefined;
  readonly protocol?: number | undefined;
  /** The gateway is reachable through `link` though no address says so. */
  readonly onlink?: boolean | undefined;
  readonly mtu?: number | undefined;
  readonly advmss?: number | undefined;
}

export interface Route {
  readonly family: Family;
  /** "10.42.1.0/24"; the default route is "0.0.0.0/0" or "::/0". */
  readonly destination: string;
  readonly gateway: string | undefined;
  readonly link: number | undefined;
  readonly source: string | undefined;
  readonly table: number;
  readonly metric: number | undefined;
  readonly type: RouteType;
  readonly scope: number;
  readonly protocol: number;
  readonly onlink: boolean;
  readonly mtu: number | undefined;
  readonly advmss: number | undefined;
  /** RTM_F_… and RTNH_F_… */
  readonly flags: number;
  readonly attributes: Decoded<typeof RouteAttributes>;
}

const familyOfRoute = (route: NewRoute): Family => {
  if (route.family !== undefined) return route.family;
  if (route.destination !== 'default') return parsePrefix(route.destination).address.length === 4 ? 4 : 6;
  return route.gateway === undefined ? 4 : familyOfIp(route.gateway);
};

const defaultScope = (route: NewRoute, type: RouteType): number => {
  if (type === 'local') return SCOPE_HOST;
  if (type !== 'unicast' && type !== 'broadcast' && type !== 'anycast') return SCOPE_UNIVERSE;
  return route.gateway === undefined ? SCOPE_LINK : SCOPE_UNIVERSE;
};

/** IPv4 goes by an IPv6 gateway since Linux 5.2. */
const gatewayAttribute = (route: NewRoute): { gateway?: string | undefined; via?: Uint8Array } => {
  const { gateway } = route;
  if (gateway === undefined || familyOfIp(gateway) === familyOfRoute(route)) return { gateway };
  const via = new Uint8Array(18);
  new DataView(via.buffer).setUint16(0, familyNumber(6), LITTLE_ENDIAN);
  via.set(parseIp(gateway), 2);
  return { via };
};

const subjectOf = (route: NewRoute): string => {
  const via = route.gateway === undefined ? '' : ` via ${route.gateway}`;
  const table = route.table === undefined ? '' : ` in table ${route.table}`;
  return `route ${route.destination}${via}${route.link === undefined ? '' : ` over link ${route.link}`}${table}`;
};

const routeRequest = (type: number, flags: number, route: NewRoute): Request => ({
  name: type === RTM_DELROUTE ? 'RTM_DELROUTE' : 'RTM_NEWROUTE',
  subject: subjectOf(route),
  type,
  flags,
  body: (w) => {
    const deleting = type === RTM_DELROUTE;
    const prefix = route.destination === 'default' ? undefined : parsePrefix(route.destination);
    const routeType = route.type ?? (deleting ? 'unspecified' : 'unicast');
    const table = route.table ?? TABLE_MAIN;
    w.u8(familyNumber(familyOfRoute(route)));
    w.u8(prefix?.length ?? 0);
    w.u8(0);
    w.u8(0);
    w.u8(table < 256 ? table : 0);
    w.u8(route.protocol ?? (deleting ? 0 : PROTOCOL_STATIC));
    w.u8(route.scope ?? (deleting ? SCOPE_NOWHERE : defaultScope(route, routeType)));
    w.u8(ROUTE_TYPES.indexOf(routeType));
    w.u32(route.onlink ? RTNH_F_ONLINK : 0);
    const metrics = route.mtu !== undefined || route.advmss !== undefined;
    writeAttributes(w, RouteAttributes, {
      destination: prefix?.address,
      link: route.link,
      ...gatewayAttribute(route),
      metric: route.metric,
      source: route.source,
      metrics: metrics ? { mtu: route.mtu, advmss: route.advmss } : undefined,
      table,
    });
  },
});

export const newRoute = (route: NewRoute): Request =>
  routeRequest(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, route);

/** Takes the place of the route with the same destination, table and metric, or adds it. */
export const replaceRoute = (route: NewRoute): Request =>
  routeRequest(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route);

/** Stands beside a route with the same destination, after it. */
export const appendRoute = (route: NewRoute): Request =>
  routeRequest(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_APPEND, route);

/** Deletes the first route that agrees in everything given. */
export const deleteRoute = (route: NewRoute): Request => routeRequest(RTM_DELROUTE, 0, route);

export const readRoute = (message: Message): Route | undefined => {
  const view = viewOf(message.payload);
  const family = familyOf(view.getUint8(0));
  if (family === undefined) return undefined;
  const attributes = decodeAttributes(RouteAttributes, message.payload.subarray(ROUTE_HEADER));
  const flags = view.getUint32(8, LITTLE_ENDIAN);
  const address = attributes.destination ?? new Uint8Array(family === 4 ? 4 : 16);
  return {
    family,
    destination: formatPrefix({ address, length: view.getUint8(1) }),
    gateway:
      attributes.gateway ?? (attributes.via === undefined ? undefined : formatIp(attributes.via.subarray(2))),
    link: attributes.link,
    source: attributes.source,
    table: attributes.table ?? view.getUint8(4),
    metric: attributes.metric,
    type: ROUTE_TYPES[view.getUint8(7)] ?? 'unspecified',
    scope: view.getUint8(6),
    protocol: view.getUint8(5),
    onlink: (flags & RTNH_F_ONLINK) !== 0,
    mtu: attributes.metrics?.mtu,
    advmss: attributes.metrics?.advmss,
    flags,
    attributes,
  };
};

export interface RouteFilter {
  readonly family?: Family;
  readonly table?: number;
  readonly link?: number;
  readonly protocol?: number;
}

/** The routes of all tables, or of those the filter leaves; none for a table that does not exist. */
export const listRoutes = (socket: NetlinkSocket, filter: RouteFilter = {}): Route[] => {
  const families: readonly Family[] = filter.family === undefined ? [4, 6] : [filter.family];
  return families.flatMap((family) => listFamily(socket, family, filter));
};

export const allRoutes = (family: Family, filter: RouteFilter = {}): Request => ({
  name: 'RTM_GETROUTE',
  subject: 'all routes',
  type: RTM_GETROUTE,
  flags: 0,
  body: (w) => {
    w.u8(familyNumber(family));
    for (let at = 0; at < 4; at++) w.u8(0);
    w.u8(filter.protocol ?? 0);
    w.u16(0);
    w.u32(0);
    writeAttributes(w, RouteAttributes, { table: filter.table, link: filter.link });
  },
});

/** No message where there is no such table. */
const dumpRoutes = (socket: NetlinkSocket, family: Family, filter: RouteFilter = {}): readonly Message[] => {
  try {
    return socket.dump(allRoutes(family, filter));
  } catch (error) {
    if (isNetlinkError(error, ENOENT)) return [];
    throw error;
  }
};

const listFamily = (socket: NetlinkSocket, family: Family, filter: RouteFilter): Route[] =>
  dumpRoutes(socket, family, filter)
    .map(readRoute)
    .filter((route) => route !== undefined)
    .filter((route) => (route.flags & RTM_F_CLONED) === 0)
    .filter(
      (route) =>
        (filter.table === undefined || route.table === filter.table) &&
        (filter.link === undefined || route.link === filter.link) &&
        (filter.protocol === undefined || route.protocol === filter.protocol),
    );

export interface RouteQuestion {
  readonly to: string;
  readonly from?: string;
  readonly mark?: number;
  /** Index of the link the packet would come in by. */
  readonly incoming?: number;
}

/** The way a packet would take, as `ip route get`; throws NetlinkError ENETUNREACH where there is none. */
export const lookupRoute = (socket: NetlinkSocket, question: RouteQuestion): Route | undefined =>
  readRoute(
    socket.get({
      name: 'RTM_GETROUTE',
      subject: `the way to ${question.to}`,
      type: RTM_GETROUTE,
      flags: 0,
      body: (w) => {
        const to = parseIp(question.to);
        const from = question.from === undefined ? undefined : parseIp(question.from);
        w.u8(familyNumber(to.length === 4 ? 4 : 6));
        w.u8(to.length * 8);
        w.u8(from === undefined ? 0 : from.length * 8);
        w.u8(0);
        w.u32(0);
        w.u32(0);
        writeAttributes(w, RouteAttributes, {
          destination: to,
          from,
          incoming: question.incoming,
          mark: question.mark,
        });
      },
    }),
  );
