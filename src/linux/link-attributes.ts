/**
 * The attributes of links as tables. Sources: include/uapi/linux/if_link.h (IFLA_…, IFLA_BR_…, IFLA_BRPORT_…),
 * if_tunnel.h (IFLA_IPTUN_…).
 * @module
 */
import { parseIp } from './ip-address.ts';
import { bytes, type Codec, mac, nested, text, u8, u16, u32, type Values } from './netlink-schema.ts';

const LinkInfo = {
  kind: [1, text], // IFLA_INFO_KIND
  data: [2, bytes], // IFLA_INFO_DATA, by kind
  portKind: [4, text], // IFLA_INFO_SLAVE_KIND
  portData: [5, bytes], // IFLA_INFO_SLAVE_DATA
} as const;

export const LinkAttributes = {
  mac: [1, mac], // IFLA_ADDRESS
  name: [3, text], // IFLA_IFNAME
  mtu: [4, u32],
  parent: [5, u32], // IFLA_LINK: the veth peer, the link below a vlan
  queueing: [6, text], // IFLA_QDISC
  master: [10, u32],
  queueLength: [13, u32], // IFLA_TXQLEN
  operState: [16, u8],
  info: [18, nested(LinkInfo)], // IFLA_LINKINFO
  alias: [20, text], // IFLA_IFALIAS
  group: [27, u32],
  namespace: [28, u32], // IFLA_NET_NS_FD
  filter: [29, u32], // IFLA_EXT_MASK
  promiscuity: [30, u32],
  carrier: [33, u8],
  parentNamespaceId: [37, u32], // IFLA_LINK_NETNSID
  gsoMaxSize: [41, u32],
} as const;

/** Options of a bridge: IFLA_BR_… Times in hundredths of a second. */
export const BridgeAttributes = {
  forwardDelay: [1, u32],
  ageingTime: [4, u32],
  stp: [5, u32],
  priority: [6, u16],
  vlanFiltering: [7, u8],
  multicastSnooping: [23, u8],
} as const;

/** Options of a link as a bridge's port: IFLA_BRPORT_… */
export const BridgePortAttributes = {
  hairpin: [4, u8], // IFLA_BRPORT_MODE
  learning: [8, u8],
  unicastFlood: [9, u8],
  proxyArp: [10, u8],
  multicastFlood: [27, u8],
  neighbourSuppression: [32, u8],
  isolated: [33, u8],
} as const;

/** IFLA_IPTUN_LOCAL and REMOTE keep the zero address as "any". */
const tunnelIp: Codec<string> = {
  write: (writer, type, value) => writer.attribute(type, (w) => w.raw(parseIp(value))),
  read: (data) => data.join('.'),
};

/** IFLA_IPTUN_… of ipip and sit. */
export const IpipAttributes = {
  parent: [1, u32],
  local: [2, tunnelIp],
  remote: [3, tunnelIp],
  ttl: [4, u8],
  tos: [5, u8],
  pathMtuDiscovery: [10, u8],
} as const;

export const VlanAttributes = { id: [1, u16] } as const;

export type BridgeOptions = Values<typeof BridgeAttributes>;
export type BridgePortOptions = Values<typeof BridgePortAttributes>;
export type IpipOptions = Values<typeof IpipAttributes>;
