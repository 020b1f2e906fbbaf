/**
 * Addresses of links. Source: include/uapi/linux/if_addr.h.
 * @module
 */
import { parsePrefix } from './ip-address.ts';
import type { NetlinkSocket, Request } from './netlink.ts';
import {
  LITTLE_ENDIAN,
  type Message,
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
  text,
  u8,
  u32,
  writeAttributes,
} from './netlink-schema.ts';
import { type Family, familyNumber, familyOf, RTM_DELADDR, RTM_GETADDR, RTM_NEWADDR } from './rtnetlink.ts';

/** No duplicate address detection: an IPv6 address is usable at once. */
export const IFA_F_NODAD = 0x02;
export const IFA_F_DADFAILED = 0x08;
export const IFA_F_TENTATIVE = 0x40;
export const IFA_F_PERMANENT = 0x80;
/** The kernel adds no route to the address's prefix. */
export const IFA_F_NOPREFIXROUTE = 0x200;

export const SCOPE_GLOBAL = 0;
export const SCOPE_LINK = 253;
export const SCOPE_HOST = 254;

const ADDRESS_HEADER = 8;

const AddressAttributes = {
  address: [1, ip], // IFA_ADDRESS: the peer's on a point-to-point link, else the same as local
  local: [2, ip],
  label: [3, text],
  broadcast: [4, ip],
  cacheInfo: [6, bytes],
  flags: [8, u32],
  metric: [9, u32], // IFA_RT_PRIORITY
  origin: [11, u8], // IFA_PROTO
} as const;

export interface NewAddress {
  /** Index of the link. */
  readonly link: number;
  /** "10.42.0.1/24", host bits and all. */
  readonly address: string;
  /** The other end's address on a point-to-point link. */
  readonly peer?: string | undefined;
  /** Without one an IPv4 address has none, as with `ip address add`. */
  readonly broadcast?: string | undefined;
  readonly label?: string | undefined;
  readonly scope?: number | undefined;
  /** IFA_F_… */
  readonly flags?: number | undefined;
  /** Of the route to the prefix. */
  readonly metric?: number | undefined;
}

export interface LinkAddress {
  readonly family: Family;
  readonly link: number;
  /** "10.42.0.1/24" */
  readonly address: string;
  readonly peer: string | undefined;
  readonly broadcast: string | undefined;
  readonly label: string | undefined;
  readonly scope: number;
  readonly flags: number;
  readonly attributes: Decoded<typeof AddressAttributes>;
}

const addressRequest = (name: string, type: number, flags: number, spec: NewAddress): Request => ({
  name,
  subject: `address ${spec.address} of link ${spec.link}`,
  type,
  flags,
  body: (w) => {
    const prefix = parsePrefix(spec.address);
    const local = spec.address.split('/')[0];
    w.u8(familyNumber(prefix.address.length === 4 ? 4 : 6));
    w.u8(prefix.length);
    w.u8(0);
    w.u8(spec.scope ?? SCOPE_GLOBAL);
    w.u32(spec.link);
    writeAttributes(w, AddressAttributes, {
      local,
      address: spec.peer?.split('/')[0] ?? local,
      label: spec.label,
      broadcast: spec.broadcast,
      flags: spec.flags,
      metric: spec.metric,
    });
  },
});

export const newAddress = (spec: NewAddress): Request =>
  addressRequest('RTM_NEWADDR', RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, spec);

/** As newAddress, but an address that is there already is no error. */
export const replaceAddress = (spec: NewAddress): Request =>
  addressRequest('RTM_NEWADDR', RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, spec);

export const deleteAddress = (spec: Pick<NewAddress, 'link' | 'address' | 'peer'>): Request =>
  addressRequest('RTM_DELADDR', RTM_DELADDR, 0, spec);

export const readAddress = (message: Message): LinkAddress | undefined => {
  const view = viewOf(message.payload);
  const family = familyOf(view.getUint8(0));
  if (family === undefined) return undefined;
  const attributes = decodeAttributes(AddressAttributes, message.payload.subarray(ADDRESS_HEADER));
  const local = attributes.local ?? attributes.address ?? '';
  return {
    family,
    link: view.getUint32(4, LITTLE_ENDIAN),
    address: `${local}/${view.getUint8(1)}`,
    peer: attributes.address === local ? undefined : attributes.address,
    broadcast: attributes.broadcast,
    label: attributes.label,
    scope: view.getUint8(3),
    flags: attributes.flags ?? view.getUint8(2),
    attributes,
  };
};

export interface AddressFilter {
  readonly link?: number;
  readonly family?: Family;
}

export const allAddresses = (filter: AddressFilter = {}): Request => ({
  name: 'RTM_GETADDR',
  subject: 'all addresses',
  type: RTM_GETADDR,
  flags: 0,
  body: (w) => {
    w.u8(filter.family === undefined ? 0 : familyNumber(filter.family));
    w.u8(0);
    w.u16(0);
    w.u32(filter.link ?? 0);
  },
});

export const addressesOf = (messages: readonly Message[]): LinkAddress[] =>
  messages.map(readAddress).filter((address) => address !== undefined);

export const listAddresses = (socket: NetlinkSocket, filter: AddressFilter = {}): LinkAddress[] =>
  addressesOf(socket.dump(allAddresses(filter))).filter(
    (address) => filter.link === undefined || address.link === filter.link,
  );
