/**
 * The kernel's WireGuard devices: reading one with all its peers, and changing it in messages the kernel takes.
 * Source: include/uapi/linux/wireguard.h. A peer with more allowed IPs than fit one message comes, and is sent, in several
 * parts that follow each other and begin with its key.
 * @module
 */

import { GENERIC_HEADER, writeGenericHeader } from './generic-netlink.ts';
import type { NetlinkSocket, Request } from './netlink.ts';
import { LITTLE_ENDIAN, type Message, MessageWriter, viewOf } from './netlink-message.ts';
import { bytes, type Codec, decodeAttributes, list, nested, u8, u16, u32 } from './netlink-schema.ts';
import {
  type KernelEndpoint,
  type KernelTime,
  readSocketAddress,
  readTime,
  writeSocketAddress,
} from './socket-address.ts';
import { AF_INET, AF_INET6 } from './sys.ts';

export const WIREGUARD_FAMILY = 'wireguard';
const VERSION = 1;
const WG_CMD_GET_DEVICE = 0;
const WG_CMD_SET_DEVICE = 1;
/** A page: what the kernel's own answers hold, and every receive buffer takes. */
const MESSAGE_BYTES = 4096;

const WGDEVICE_A_IFNAME = 2;
const WGDEVICE_F_REPLACE_PEERS = 1;
const WGPEER_F_REMOVE_ME = 1;
const WGPEER_F_REPLACE_ALLOWEDIPS = 2;
const WGPEER_F_UPDATE_ONLY = 4;
const WGALLOWEDIP_F_REMOVE_ME = 1;

const u64: Codec<number> = {
  write: (writer, type, value) => writer.attribute(type, (w) => w.u64(value)),
  read: (data) => (data.length < 8 ? 0 : Number(viewOf(data).getBigUint64(0, LITTLE_ENDIAN))),
};

const AllowedIpAttributes = {
  family: [1, u16],
  address: [2, bytes],
  prefix: [3, u8],
  flags: [4, u32],
} as const;
const PeerAttributes = {
  publicKey: [1, bytes],
  presharedKey: [2, bytes],
  flags: [3, u32],
  endpoint: [4, bytes],
  keepalive: [5, u16],
  lastHandshake: [6, bytes],
  rxBytes: [7, u64],
  txBytes: [8, u64],
  allowedIps: [9, list(0, nested(AllowedIpAttributes))],
} as const;
const DeviceAttributes = {
  privateKey: [3, bytes],
  listenPort: [6, u16],
  fwmark: [7, u32],
  peers: [8, list(0, nested(PeerAttributes))],
} as const;

export interface KernelAllowedIp {
  readonly address: Uint8Array;
  readonly prefix: number;
}

export interface KernelPeer {
  readonly publicKey: Uint8Array;
  /** Zeros: none. A secret. */
  readonly presharedKey: Uint8Array;
  readonly endpoint: KernelEndpoint | undefined;
  readonly keepalive: number;
  /** Time of day; zeros when there was none. */
  readonly lastHandshake: KernelTime;
  readonly rxBytes: number;
  readonly txBytes: number;
  readonly allowedIps: readonly KernelAllowedIp[];
}

export interface KernelDevice {
  /** Zeros: none. A secret. */
  readonly privateKey: Uint8Array;
  readonly listenPort: number;
  readonly fwmark: number;
  readonly peers: readonly KernelPeer[];
}

export interface KernelPeerChange {
  readonly publicKey: Uint8Array;
  readonly remove?: boolean | undefined;
  readonly updateOnly?: boolean | undefined;
  readonly presharedKey?: Uint8Array | undefined;
  readonly endpoint?: KernelEndpoint | undefined;
  readonly keepalive?: number | undefined;
  readonly replaceAllowedIps?: boolean | undefined;
  readonly allowedIps?: readonly KernelAllowedIp[] | undefined;
  /** Linux 6.16 and later. */
  readonly removeAllowedIps?: readonly KernelAllowedIp[] | undefined;
}

export interface KernelDeviceChange {
  readonly privateKey?: Uint8Array | undefined;
  readonly listenPort?: number | undefined;
  readonly fwmark?: number | undefined;
  readonly replacePeers?: boolean | undefined;
  readonly peers: readonly KernelPeerChange[];
}

/** Throws NetlinkError ENODEV for a link that is none of WireGuard's. */
export const getDevice = (socket: NetlinkSocket, family: number, link: string): KernelDevice =>
  readDevice(
    socket.dump({
      name: 'WG_CMD_GET_DEVICE',
      subject: `link ${link}`,
      type: family,
      flags: 0,
      body: (w) => {
        writeGenericHeader(w, WG_CMD_GET_DEVICE, VERSION);
        w.attribute(WGDEVICE_A_IFNAME, () => w.text(link));
      },
    }),
  );

/** The parts of an answer, joined. */
export const readDevice = (messages: readonly Message[]): KernelDevice => {
  let device: Omit<KernelDevice, 'peers'> = { privateKey: new Uint8Array(32), listenPort: 0, fwmark: 0 };
  const peers: (KernelPeer & { allowedIps: KernelAllowedIp[] })[] = [];
  for (const [at, { payload }] of messages.entries()) {
    const part = decodeAttributes(DeviceAttributes, payload.subarray(GENERIC_HEADER));
    if (at === 0)
      device = {
        privateKey: part.privateKey ?? new Uint8Array(32),
        listenPort: part.listenPort ?? 0,
        fwmark: part.fwmark ?? 0,
      };
    for (const peer of part.peers ?? []) {
      const publicKey = peer.publicKey ?? new Uint8Array(32);
      const allowedIps = (peer.allowedIps ?? []).map(({ address = new Uint8Array(4), prefix = 0 }) => ({
        address,
        prefix,
      }));
      const last = peers.at(-1);
      if (last !== undefined && sameBytes(last.publicKey, publicKey)) {
        last.allowedIps.push(...allowedIps);
        continue;
      }
      peers.push({
        publicKey,
        presharedKey: peer.presharedKey ?? new Uint8Array(32),
        endpoint: peer.endpoint === undefined ? undefined : readSocketAddress(peer.endpoint),
        keepalive: peer.keepalive ?? 0,
        lastHandshake: readTime(peer.lastHandshake),
        rxBytes: peer.rxBytes ?? 0,
        txBytes: peer.txBytes ?? 0,
        allowedIps,
      });
    }
  }
  return { ...device, peers };
};

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => a.every((byte, at) => byte === b[at]);

/**
 * The change as messages, each of a page at most. Carried out in order; the kernel does each on its own, so that one that is
 * refused leaves what came before it.
 */
export const changeDevice = (family: number, link: string, change: KernelDeviceChange): Request[] => {
  const parts = new PartWriter();
  parts.device(change);
  for (const peer of change.peers) parts.peer(peer);
  return parts.done().map((part) => ({
    name: 'WG_CMD_SET_DEVICE',
    subject: `link ${link}`,
    type: family,
    flags: 0,
    body: (w) => {
      writeGenericHeader(w, WG_CMD_SET_DEVICE, VERSION);
      w.attribute(WGDEVICE_A_IFNAME, () => w.text(link));
      w.raw(part.device.bytes);
      if (part.peers.length > 0)
        w.nested(8, () => {
          for (const peer of part.peers) w.nested(0, () => w.raw(peer));
        });
    },
  }));
};

interface Part {
  readonly device: MessageWriter;
  readonly peers: Uint8Array[];
  length: number;
}

/** Headers of netlink, generic netlink, the name and the list of peers. */
const PART_OVERHEAD = 48;
/** An IPv6 range with its nest and flags. */
const ALLOWED_IP_BYTES = 48;
/** All other attributes of a peer, with their headers. */
const PEER_BYTES = 160;

class PartWriter {
  readonly #parts: Part[] = [];

  #begin(): Part {
    const part = { device: new MessageWriter(128), peers: [], length: PART_OVERHEAD };
    this.#parts.push(part);
    return part;
  }

  device({ privateKey, listenPort, fwmark, replacePeers }: KernelDeviceChange): void {
    const part = this.#begin();
    const w = part.device;
    if (replacePeers === true) w.attribute(5, () => w.u32(WGDEVICE_F_REPLACE_PEERS));
    if (privateKey !== undefined) w.attribute(3, () => w.raw(privateKey));
    if (listenPort !== undefined) w.attribute(6, () => w.u16(listenPort));
    if (fwmark !== undefined) w.attribute(7, () => w.u32(fwmark));
    part.length += w.length;
  }

  peer(peer: KernelPeerChange): void {
    const ranges = [
      ...(peer.allowedIps ?? []).map((range) => ({ ...range, flags: 0 })),
      ...(peer.removeAllowedIps ?? []).map((range) => ({ ...range, flags: WGALLOWEDIP_F_REMOVE_ME })),
    ];
    for (let at = 0, first = true; first || at < ranges.length; first = false) {
      let part = this.#parts.at(-1) ?? this.#begin();
      if (part.length + PEER_BYTES + ALLOWED_IP_BYTES > MESSAGE_BYTES) part = this.#begin();
      const room = Math.floor((MESSAGE_BYTES - part.length - PEER_BYTES) / ALLOWED_IP_BYTES);
      const some = ranges.slice(at, at + room);
      at += some.length;
      const w = new MessageWriter(512);
      w.attribute(1, () => w.raw(peer.publicKey));
      const flags =
        (peer.remove === true ? WGPEER_F_REMOVE_ME : 0) |
        (first && peer.replaceAllowedIps === true ? WGPEER_F_REPLACE_ALLOWEDIPS : 0) |
        (peer.updateOnly === true ? WGPEER_F_UPDATE_ONLY : 0);
      if (flags !== 0) w.attribute(3, () => w.u32(flags));
      if (first) writeOnce(w, peer);
      if (some.length > 0)
        w.nested(9, () => {
          for (const range of some) writeAllowedIp(w, range);
        });
      part.peers.push(w.bytes.slice());
      w.bytes.fill(0); // it may have held a preshared key
      part.length += w.length + 4;
    }
  }

  done(): readonly Part[] {
    return this.#parts;
  }
}

/** What a peer's later parts need not repeat. */
const writeOnce = (w: MessageWriter, { presharedKey, endpoint, keepalive }: KernelPeerChange): void => {
  if (presharedKey !== undefined) w.attribute(2, () => w.raw(presharedKey));
  if (endpoint !== undefined) w.attribute(4, () => writeSocketAddress(w, endpoint));
  if (keepalive !== undefined) w.attribute(5, () => w.u16(keepalive));
};

const writeAllowedIp = (
  w: MessageWriter,
  { address, prefix, flags }: KernelAllowedIp & { readonly flags: number },
): void =>
  w.nested(0, () => {
    w.attribute(1, () => w.u16(address.length === 4 ? AF_INET : AF_INET6));
    w.attribute(2, () => w.raw(address));
    w.attribute(3, () => w.u8(prefix));
    if (flags !== 0) w.attribute(4, () => w.u32(flags));
  });
