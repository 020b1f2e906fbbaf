/**
 * Generic netlink: families that register by name, such as "wireguard".
 * Source: include/uapi/linux/genetlink.h; Documentation/networking/generic_netlink.rst.
 * @module
 */
import { ENOENT } from './errno.ts';
import { isNetlinkError, NETLINK_GENERIC, NetlinkSocket } from './netlink.ts';
import type { MessageWriter } from './netlink-message.ts';
import { decodeAttributes, text, u16, writeAttributes } from './netlink-schema.ts';

const GENL_ID_CTRL = 16;
const CTRL_CMD_GETFAMILY = 3;
export const GENERIC_HEADER = 4;

const FamilyAttributes = { id: [1, u16], name: [2, text] } as const;

export const openGenericSocket = (): NetlinkSocket => NetlinkSocket.open({ protocol: NETLINK_GENERIC });

/** struct genlmsghdr. */
export const writeGenericHeader = (w: MessageWriter, command: number, version: number): void => {
  w.u8(command);
  w.u8(version);
  w.u16(0);
};

/** The message type of a family; undefined when the kernel has none of that name, nor a module that brings it. */
export const genericFamily = (socket: NetlinkSocket, name: string): number | undefined => {
  try {
    const message = socket.get({
      name: 'CTRL_CMD_GETFAMILY',
      subject: `the family ${name}`,
      type: GENL_ID_CTRL,
      flags: 0,
      body: (w) => {
        writeGenericHeader(w, CTRL_CMD_GETFAMILY, 1);
        writeAttributes(w, FamilyAttributes, { name });
      },
    });
    return decodeAttributes(FamilyAttributes, message.payload.subarray(GENERIC_HEADER)).id;
  } catch (error) {
    if (isNetlinkError(error, ENOENT)) return undefined;
    throw error;
  }
};
