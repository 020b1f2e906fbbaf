/**
 * Neighbours: which MAC an address on a link has (ARP, NDP), proxies, and the forwarding entries of bridges.
 * Source: include/uapi/linux/neighbour.h.
 * @module
 */
import { parseIp } from './ip-address.ts';
import type { NetlinkSocket, Request } from './netlink.ts';
import { LITTLE_ENDIAN, type Message, NLM_F_CREATE, NLM_F_REPLACE, viewOf } from './netlink-message.ts';
import { bytes, type Decoded, decodeAttributes, ip, mac, u32, writeAttributes } from './netlink-schema.ts';
import {
  type Family,
  familyNumber,
  familyOf,
  RTM_DELNEIGH,
  RTM_GETNEIGH,
  RTM_NEWNEIGH,
} from './rtnetlink.ts';

export const NUD_REACHABLE = 0x02;
export const NUD_STALE = 0x04;
export const NUD_FAILED = 0x20;
export const NUD_NOARP = 0x40;
export const NUD_PERMANENT = 0x80;

/** The kernel answers for this address itself (proxy ARP). */
export const NTF_PROXY = 0x08;

const NEIGHBOUR_HEADER = 12;

const NeighbourAttributes = {
  address: [1, ip], // NDA_DST
  mac: [2, mac], // NDA_LLADDR
  cacheInfo: [3, bytes],
  probes: [4, u32],
} as const;

export interface NewNeighbour {
  /** Index of the link. */
  readonly link: number;
  readonly address: string;
  readonly mac?: string | undefined;
  /** NUD_…; permanent by default. */
  readonly state?: number | undefined;
  /** NTF_… */
  readonly flags?: number | undefined;
}

export interface Neighbour {
  readonly family: Family;
  readonly link: number;
  readonly address: string;
  readonly mac: string | undefined;
  readonly state: number;
  readonly flags: number;
  readonly attributes: Decoded<typeof NeighbourAttributes>;
}

const neighbourRequest = (name: string, type: number, flags: number, spec: NewNeighbour): Request => ({
  name,
  subject: `neighbour ${spec.address} on link ${spec.link}`,
  type,
  flags,
  body: (w) => {
    w.u8(familyNumber(parseIp(spec.address).length === 4 ? 4 : 6));
    w.u8(0);
    w.u16(0);
    w.u32(spec.link);
    w.u16(spec.state ?? NUD_PERMANENT);
    w.u8(spec.flags ?? 0);
    w.u8(0);
    writeAttributes(w, NeighbourAttributes, { address: spec.address, mac: spec.mac });
  },
});

export const replaceNeighbour = (spec: NewNeighbour): Request =>
  neighbourRequest('RTM_NEWNEIGH', RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, spec);

export const deleteNeighbour = (spec: NewNeighbour): Request =>
  neighbourRequest('RTM_DELNEIGH', RTM_DELNEIGH, 0, spec);

export const readNeighbour = (message: Message): Neighbour | undefined => {
  const view = viewOf(message.payload);
  const family = familyOf(view.getUint8(0));
  if (family === undefined) return undefined;
  const attributes = decodeAttributes(NeighbourAttributes, message.payload.subarray(NEIGHBOUR_HEADER));
  return {
    family,
    link: view.getInt32(4, LITTLE_ENDIAN),
    address: attributes.address ?? '',
    mac: attributes.mac,
    state: view.getUint16(8, LITTLE_ENDIAN),
    flags: view.getUint8(10),
    attributes,
  };
};

export const listNeighbours = (socket: NetlinkSocket, link?: number): Neighbour[] =>
  socket
    .dump({
      name: 'RTM_GETNEIGH',
      subject: 'all neighbours',
      type: RTM_GETNEIGH,
      flags: 0,
      body: (w) => {
        for (let at = 0; at < NEIGHBOUR_HEADER; at++) w.u8(0);
        if (link !== undefined) w.attribute(8 /* NDA_IFINDEX */, () => w.u32(link));
      },
    })
    .map(readNeighbour)
    .filter((entry) => entry !== undefined)
    .filter((entry) => link === undefined || entry.link === link);
