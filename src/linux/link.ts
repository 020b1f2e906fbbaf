/**
 * Network links: create, change, delete, read.
 * Sources: include/uapi/linux/if_link.h (IFLA_…), if.h (IFF_…), veth.h, if_tunnel.h. A veth is made in one message, its
 * peer born inside another namespace under its final name, so nothing is moved or renamed afterwards.
 * @module
 */
import { ENODEV } from './errno.ts';
import {
  BridgeAttributes,
  type BridgeOptions,
  BridgePortAttributes,
  type BridgePortOptions,
  IpipAttributes,
  type IpipOptions,
  LinkAttributes,
  VlanAttributes,
} from './link-attributes.ts';
import { isNetlinkError, NetlinkError, type NetlinkSocket, type Request } from './netlink.ts';
import {
  LITTLE_ENDIAN,
  type Message,
  type MessageWriter,
  NLM_F_CREATE,
  NLM_F_EXCL,
  viewOf,
} from './netlink-message.ts';
import { type Decoded, decodeAttributes, writeAttributes } from './netlink-schema.ts';
import { RTM_DELLINK, RTM_GETLINK, RTM_NEWLINK } from './rtnetlink.ts';

export const IFF_UP = 0x1;
export const IFF_LOOPBACK = 0x8;
export const IFF_RUNNING = 0x40;
export const IFF_NOARP = 0x80;
export const IFF_PROMISC = 0x100;
export const IFF_ALLMULTI = 0x200;
export const IFF_MULTICAST = 0x1000;

const RTEXT_FILTER_SKIP_STATS = 8;
const LINK_HEADER = 16;
const ETH_P_8021Q = 0x8100;

/** No alias here: the kernel takes one only from a change. */
interface LinkCommon {
  readonly name: string;
  readonly mac?: string | undefined;
  readonly mtu?: number | undefined;
  /** Index of the bridge it becomes a port of. */
  readonly master?: number | undefined;
  readonly up?: boolean | undefined;
  readonly queueLength?: number | undefined;
  /** A descriptor of the namespace the link is made in; the socket's own without it. */
  readonly namespace?: number | undefined;
}

/** The other end of a veth. It cannot be created up (the kernel refuses with ENOTCONN): bring it up in its namespace. */
export interface VethPeer {
  readonly name: string;
  readonly mac?: string | undefined;
  readonly mtu?: number | undefined;
  readonly namespace?: number | undefined;
}

export type NewLink = LinkCommon &
  (
    | { readonly kind: 'veth'; readonly peer: VethPeer }
    /** Give a bridge its MAC: without one it takes and changes the address of its ports. */
    | { readonly kind: 'bridge'; readonly bridge?: BridgeOptions }
    | { readonly kind: 'ipip'; readonly ipip?: IpipOptions }
    | { readonly kind: 'vlan'; readonly parent: number; readonly id: number }
    | { readonly kind: 'dummy' | 'ifb' | 'wireguard' }
  );

export interface LinkChange {
  readonly name?: string | undefined;
  readonly mac?: string | undefined;
  readonly mtu?: number | undefined;
  /** 0 takes it out of its bridge. */
  readonly master?: number | undefined;
  readonly up?: boolean | undefined;
  readonly promiscuous?: boolean | undefined;
  readonly allMulticast?: boolean | undefined;
  readonly arp?: boolean | undefined;
  readonly alias?: string | undefined;
  readonly queueLength?: number | undefined;
  /** A descriptor of the namespace the link moves to. */
  readonly namespace?: number | undefined;
  /** Links may be put into a group, which `deleteGroup` deletes at once. */
  readonly group?: number | undefined;
}

export interface Link {
  readonly index: number;
  readonly name: string;
  /** ARPHRD_…: 1 ethernet, 772 loopback, 65534 none (TUN), 768 ipip. */
  readonly hardware: number;
  readonly flags: number;
  readonly up: boolean;
  readonly mtu: number;
  /** Empty for links without one. */
  readonly mac: string;
  readonly master: number | undefined;
  readonly parent: number | undefined;
  readonly operState: OperState;
  /** '' for hardware and loopback. */
  readonly kind: string;
  readonly alias: string;
  readonly ipip: IpipOptions | undefined;
  readonly vlan: number | undefined;
  readonly bridge: BridgeOptions | undefined;
  readonly bridgePort: BridgePortOptions | undefined;
  /** Everything as it came, the attributes without a name under `other`. */
  readonly attributes: Decoded<typeof LinkAttributes>;
}

/** RFC 2863, in the kernel's order (IF_OPER_…). */
const OPER_STATES = ['unknown', 'absent', 'down', 'lower-layer-down', 'testing', 'dormant', 'up'] as const;
export type OperState = (typeof OPER_STATES)[number];

const linkHeader = (w: MessageWriter, index: number, flags: number, change: number, family = 0): void => {
  w.u8(family);
  w.u8(0);
  w.u16(0);
  w.u32(index);
  w.u32(flags);
  w.u32(change);
};

const infoOf = (link: NewLink): ((w: MessageWriter) => void) | undefined => {
  switch (link.kind) {
    case 'veth':
      return (w) =>
        w.nested(1 /* VETH_INFO_PEER */, () => {
          linkHeader(w, 0, 0, 0);
          writeAttributes(w, LinkAttributes, { ...link.peer });
        });
    case 'bridge':
      return link.bridge && ((w) => writeAttributes(w, BridgeAttributes, link.bridge ?? {}));
    case 'ipip':
      return link.ipip && ((w) => writeAttributes(w, IpipAttributes, link.ipip ?? {}));
    case 'vlan':
      return (w) => {
        writeAttributes(w, VlanAttributes, { id: link.id });
        w.attribute(5 /* IFLA_VLAN_PROTOCOL */, () => w.be16(ETH_P_8021Q));
      };
    default:
      return undefined;
  }
};

export const newLink = (link: NewLink): Request => ({
  name: 'RTM_NEWLINK',
  subject: `the new ${link.kind} ${link.name}`,
  type: RTM_NEWLINK,
  flags: NLM_F_CREATE | NLM_F_EXCL,
  body: (w) => {
    const flags = link.up ? IFF_UP : 0;
    linkHeader(w, 0, flags, flags);
    writeAttributes(w, LinkAttributes, {
      name: link.name,
      mac: link.mac,
      mtu: link.mtu,
      master: link.master,
      queueLength: link.queueLength,
      namespace: link.namespace,
      parent: link.kind === 'vlan' ? link.parent : undefined,
    });
    w.nested(18 /* IFLA_LINKINFO */, () => {
      w.attribute(1 /* IFLA_INFO_KIND */, () => w.text(link.kind));
      const info = infoOf(link);
      if (info) w.nested(2 /* IFLA_INFO_DATA */, info);
    });
  },
});

/** By index, or by name: then `change.name` cannot be a new one. */
export const changeLink = (link: number | string, change: LinkChange): Request => ({
  name: 'RTM_NEWLINK',
  subject: `link ${link}`,
  type: RTM_NEWLINK,
  flags: 0,
  body: (w) => {
    let flags = 0;
    let mask = 0;
    const bit = (value: boolean | undefined, mine: number): void => {
      if (value === undefined) return;
      mask |= mine;
      if (value) flags |= mine;
    };
    bit(change.up, IFF_UP);
    bit(change.promiscuous, IFF_PROMISC);
    bit(change.allMulticast, IFF_ALLMULTI);
    bit(change.arp === undefined ? undefined : !change.arp, IFF_NOARP);
    linkHeader(w, typeof link === 'number' ? link : 0, flags, mask);
    writeAttributes(w, LinkAttributes, {
      name: typeof link === 'number' ? change.name : link,
      mac: change.mac,
      mtu: change.mtu,
      master: change.master,
      alias: change.alias,
      queueLength: change.queueLength,
      namespace: change.namespace,
      group: change.group,
    });
  },
});

/** For a link, by index or name, that is a port of a bridge: hairpin, isolation, learning … as 0 or 1. */
export const changeBridgePort = (port: number | string, options: BridgePortOptions): Request => ({
  name: 'RTM_NEWLINK',
  subject: `bridge port ${port}`,
  type: RTM_NEWLINK,
  flags: 0,
  body: (w) => {
    identify(w, port);
    w.nested(18 /* IFLA_LINKINFO */, () => {
      w.attribute(4 /* IFLA_INFO_SLAVE_KIND */, () => w.text('bridge'));
      w.nested(5 /* IFLA_INFO_SLAVE_DATA */, () => writeAttributes(w, BridgePortAttributes, options));
    });
  },
});

/** By index, or by name. Deleting one end of a veth deletes both. */
export const deleteLink = (link: number | string): Request => ({
  name: 'RTM_DELLINK',
  subject: `link ${link}`,
  type: RTM_DELLINK,
  flags: 0,
  body: (w) => identify(w, link),
});

/** All links of a group; ENODEV when it has none. */
export const deleteGroup = (group: number): Request => ({
  name: 'RTM_DELLINK',
  subject: `link group ${group}`,
  type: RTM_DELLINK,
  flags: 0,
  body: (w) => {
    linkHeader(w, 0, 0, 0);
    writeAttributes(w, LinkAttributes, { group });
  },
});

const identify = (w: MessageWriter, link: number | string, filter?: number): void => {
  linkHeader(w, typeof link === 'number' ? link : 0, 0, 0);
  writeAttributes(w, LinkAttributes, { name: typeof link === 'string' ? link : undefined, filter });
};

export const readLink = (message: Message): Link => {
  const view = viewOf(message.payload);
  const attributes = decodeAttributes(LinkAttributes, message.payload.subarray(LINK_HEADER));
  const info = attributes.info ?? {};
  const flags = view.getUint32(8, LITTLE_ENDIAN);
  return {
    index: view.getInt32(4, LITTLE_ENDIAN),
    name: attributes.name ?? '',
    hardware: view.getUint16(2, LITTLE_ENDIAN),
    flags,
    up: (flags & IFF_UP) !== 0,
    mtu: attributes.mtu ?? 0,
    mac: attributes.mac ?? '',
    master: attributes.master,
    parent: attributes.parent,
    operState: OPER_STATES[attributes.operState ?? 0] ?? 'unknown',
    kind: info.kind ?? '',
    alias: attributes.alias ?? '',
    ipip: info.kind === 'ipip' && info.data ? decodeAttributes(IpipAttributes, info.data) : undefined,
    vlan: info.kind === 'vlan' && info.data ? decodeAttributes(VlanAttributes, info.data).id : undefined,
    bridge: info.kind === 'bridge' && info.data ? decodeAttributes(BridgeAttributes, info.data) : undefined,
    bridgePort:
      info.portKind === 'bridge' && info.portData
        ? decodeAttributes(BridgePortAttributes, info.portData)
        : undefined,
    attributes,
  };
};

/** Undefined when there is none. */
export const getLink = (socket: NetlinkSocket, link: number | string): Link | undefined => {
  try {
    const message = socket.get({
      name: 'RTM_GETLINK',
      subject: `link ${link}`,
      type: RTM_GETLINK,
      flags: 0,
      body: (w) => identify(w, link, RTEXT_FILTER_SKIP_STATS),
    });
    return readLink(message);
  } catch (error) {
    if (isNetlinkError(error, ENODEV)) return undefined;
    throw error;
  }
};

/** Throws NetlinkError ENODEV when there is none. */
export const linkIndex = (socket: NetlinkSocket, name: string): number => {
  const link = getLink(socket, name);
  if (link === undefined) throw new NetlinkError({ name: 'RTM_GETLINK', subject: `link ${name}` }, ENODEV);
  return link.index;
};

export const listLinks = (socket: NetlinkSocket): Link[] =>
  socket
    .dump({
      name: 'RTM_GETLINK',
      subject: 'all links',
      type: RTM_GETLINK,
      flags: 0,
      body: (w) => {
        linkHeader(w, 0, 0, 0);
        writeAttributes(w, LinkAttributes, { filter: RTEXT_FILTER_SKIP_STATS });
      },
    })
    .filter((message) => message.type === RTM_NEWLINK)
    .map(readLink);
