/**
 * VLANs of a bridge's ports. Source: include/uapi/linux/if_bridge.h (BRIDGE_VLAN_INFO_…), rtnetlink.h (IFLA_AF_SPEC).
 * @module
 */
import { BridgeAttributes } from './link-attributes.ts';
import type { Request } from './netlink.ts';
import type { MessageWriter } from './netlink-message.ts';
import { writeAttributes } from './netlink-schema.ts';
import { RTM_DELLINK, RTM_NEWLINK, RTM_SETLINK } from './rtnetlink.ts';

const AF_BRIDGE = 7;
const PVID = 2;
const UNTAGGED = 4;
const RANGE_BEGIN = 8;
const RANGE_END = 16;

export interface PortVlan {
  readonly first: number;
  readonly last: number;
  /** What comes in without a tag belongs to it, and goes out without one. */
  readonly native: boolean;
}

const header = (w: MessageWriter, family: number, index: number): void => {
  w.u8(family);
  w.u8(0);
  w.u16(0);
  w.u32(index);
  w.u32(0);
  w.u32(0);
};

const vlanInfo = (w: MessageWriter, flags: number, id: number): void =>
  w.attribute(2 /* IFLA_BRIDGE_VLAN_INFO */, () => {
    w.u16(flags);
    w.u16(id);
  });

const portVlans = (name: string, type: number, port: number, vlans: readonly PortVlan[]): Request => ({
  name,
  subject: `VLANs of bridge port ${port}`,
  type,
  flags: 0,
  body: (w) => {
    header(w, AF_BRIDGE, port);
    w.attribute(26 /* IFLA_AF_SPEC */, () => {
      for (const { first, last, native } of vlans) {
        const flags = native ? PVID | UNTAGGED : 0;
        vlanInfo(w, first === last ? flags : flags | RANGE_BEGIN, first);
        if (first !== last) vlanInfo(w, flags | RANGE_END, last);
      }
    });
  },
});

export const addPortVlans = (port: number, vlans: readonly PortVlan[]): Request =>
  portVlans('RTM_SETLINK', RTM_SETLINK, port, vlans);

export const deletePortVlans = (port: number, vlans: readonly PortVlan[]): Request =>
  portVlans('RTM_DELLINK', RTM_DELLINK, port, vlans);

/** The bridge tells VLANs apart from now on. */
export const filterVlans = (bridge: number): Request => ({
  name: 'RTM_NEWLINK',
  subject: `VLAN filtering of bridge ${bridge}`,
  type: RTM_NEWLINK,
  flags: 0,
  body: (w) => {
    header(w, 0, bridge);
    w.nested(18 /* IFLA_LINKINFO */, () => {
      w.attribute(1 /* IFLA_INFO_KIND */, () => w.text('bridge'));
      w.nested(2 /* IFLA_INFO_DATA */, () => writeAttributes(w, BridgeAttributes, { vlanFiltering: 1 }));
    });
  },
});
