/**
 * The entries of a dump of routes (`allRoutes`) read with little ado: for who compares thousands of them many times a minute.
 * Addresses stay the bytes the kernel sent. route.ts has every field, by name, as text.
 * Source: include/uapi/linux/rtnetlink.h (struct rtmsg, RTA_…).
 * @module
 */
import { LITTLE_ENDIAN, type Message, viewOf } from './netlink-message.ts';
import { type Family, familyOf } from './rtnetlink.ts';

const ROUTE_HEADER = 12;
const RTNH_F_ONLINK = 4;
const RTM_F_CLONED = 0x200;
const RTN_UNICAST = 1;
const RTN_UNREACHABLE = 7;

const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_METRICS = 8;
const RTAX_MTU = 2;
const RTA_TABLE = 15;
const RTA_VIA = 18;

export interface RouteBytes {
  readonly family: Family;
  readonly address: Uint8Array;
  readonly prefix: number;
  readonly table: number;
  readonly protocol: number;
  /** Others, such as local and broadcast ones, are neither. */
  readonly type: 'unicast' | 'unreachable' | 'other';
  readonly onlink: boolean;
  readonly metric: number;
  readonly gateway: Uint8Array | undefined;
  readonly source: Uint8Array | undefined;
  /** Of the route itself, when it has one. */
  readonly mtu: number | undefined;
  /** Index of the link it leaves by. */
  readonly link: number | undefined;
}

const ZEROS = { 4: new Uint8Array(4), 6: new Uint8Array(16) } as const;

export const routeBytesOf = (messages: readonly Message[]): RouteBytes[] => {
  const routes: RouteBytes[] = [];
  for (const message of messages) {
    const route = readRouteBytes(message);
    if (route !== undefined) routes.push(route);
  }
  return routes;
};

const readRouteBytes = ({ payload }: Message): RouteBytes | undefined => {
  const view = viewOf(payload);
  const family = familyOf(payload[0] ?? 0);
  const flags = view.getUint32(8, LITTLE_ENDIAN);
  if (family === undefined || (flags & RTM_F_CLONED) !== 0) return undefined;
  let address: Uint8Array = ZEROS[family];
  let table = payload[4] ?? 0;
  let metric = 0;
  let gateway: Uint8Array | undefined;
  let source: Uint8Array | undefined;
  let link: number | undefined;
  let mtu: number | undefined;
  for (let at = ROUTE_HEADER; at + 4 <= payload.length; ) {
    const length = view.getUint16(at, LITTLE_ENDIAN);
    const end = at + length;
    if (length < 4 || end > payload.length) break;
    const type = view.getUint16(at + 2, LITTLE_ENDIAN);
    if (type === RTA_DST) address = payload.subarray(at + 4, end);
    else if (type === RTA_GATEWAY) gateway = payload.subarray(at + 4, end);
    // struct rtvia: the family first
    else if (type === RTA_VIA) gateway = payload.subarray(at + 6, end);
    else if (type === RTA_PREFSRC) source = payload.subarray(at + 4, end);
    else if (type === RTA_METRICS) mtu = readMtu(view, at + 4, end);
    else if (length >= 8) {
      if (type === RTA_OIF) link = view.getUint32(at + 4, LITTLE_ENDIAN);
      else if (type === RTA_PRIORITY) metric = view.getUint32(at + 4, LITTLE_ENDIAN);
      else if (type === RTA_TABLE) table = view.getUint32(at + 4, LITTLE_ENDIAN);
    }
    at += (length + 3) & ~3;
  }
  const kind = payload[7];
  return {
    family,
    address,
    prefix: payload[1] ?? 0,
    table,
    protocol: payload[5] ?? 0,
    type: kind === RTN_UNICAST ? 'unicast' : kind === RTN_UNREACHABLE ? 'unreachable' : 'other',
    onlink: (flags & RTNH_F_ONLINK) !== 0,
    metric,
    gateway,
    source,
    mtu,
    link,
  };
};

const readMtu = (view: DataView, begin: number, end: number): number | undefined => {
  for (let at = begin; at + 8 <= end; ) {
    const length = view.getUint16(at, LITTLE_ENDIAN);
    if (length < 4) return undefined;
    if (view.getUint16(at + 2, LITTLE_ENDIAN) === RTAX_MTU) return view.getUint32(at + 4, LITTLE_ENDIAN);
    at += (length + 3) & ~3;
  }
  return undefined;
};
