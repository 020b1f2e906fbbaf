/**
 * Connections the kernel tracks: found by where their first packet went, and forgotten, so that the next packet is
 * looked at afresh. Needed for UDP, where a client that keeps sending keeps the old entry, and its old NAT, alive.
 * Source: include/uapi/linux/netfilter/nfnetlink_conntrack.h.
 * @module
 */
import { ENOENT } from './errno.ts';
import { isNetlinkError, type NetlinkSocket } from './netlink.ts';
import type { Message } from './netlink-message.ts';
import { be16, bytes, decodeAttributes, ip, nested, u8 } from './netlink-schema.ts';
import { writeFamily } from './nftables.ts';
import { AF_INET, AF_INET6 } from './sys.ts';

const SUBSYSTEM = 1 << 8; // NFNL_SUBSYS_CTNETLINK
const IPCTNL_MSG_CT_GET = 1;
const IPCTNL_MSG_CT_DELETE = 2;
const FAMILY_HEADER = 4;
const UDP = 17;

const AddressAttributes = { source4: [1, ip], target4: [2, ip], source6: [3, ip], target6: [4, ip] } as const;
const ProtocolAttributes = { number: [1, u8], sourcePort: [2, be16], targetPort: [3, be16] } as const;
const TupleAttributes = {
  addresses: [1, nested(AddressAttributes)],
  protocol: [2, nested(ProtocolAttributes)],
  zone: [3, be16],
} as const;
const ConnectionAttributes = { original: [1, bytes], zone: [18, be16] } as const;

/** Forgets every UDP flow whose first packet went to one of the ports, whatever address it went to. Answers how many. */
export const forgetUdpFlows = (socket: NetlinkSocket, ports: ReadonlySet<number>): number => {
  let forgotten = 0;
  for (const family of [AF_INET, AF_INET6]) {
    for (const message of connections(socket, family)) {
      const { original, zone } = decodeAttributes(
        ConnectionAttributes,
        message.payload.subarray(FAMILY_HEADER),
      );
      if (original === undefined) continue;
      const { protocol } = decodeAttributes(TupleAttributes, original);
      if (protocol?.number !== UDP || !ports.has(protocol.targetPort ?? 0)) continue;
      if (forget(socket, family, original, zone)) forgotten++;
    }
  }
  return forgotten;
};

const connections = (socket: NetlinkSocket, family: number): Message[] =>
  socket.dump({
    name: 'IPCTNL_MSG_CT_GET',
    subject: 'tracked connections',
    type: SUBSYSTEM | IPCTNL_MSG_CT_GET,
    flags: 0,
    body: (w) => writeFamily(w, family),
  });

const forget = (
  socket: NetlinkSocket,
  family: number,
  original: Uint8Array,
  zone: number | undefined,
): boolean => {
  try {
    socket.request({
      name: 'IPCTNL_MSG_CT_DELETE',
      subject: 'a tracked UDP flow',
      type: SUBSYSTEM | IPCTNL_MSG_CT_DELETE,
      flags: 0,
      body: (w) => {
        writeFamily(w, family);
        w.nested(1 /* CTA_TUPLE_ORIG */, () => w.raw(original));
        if (zone !== undefined) w.attribute(18 /* CTA_ZONE */, () => w.be16(zone));
      },
    });
    return true;
  } catch (error) {
    if (isNetlinkError(error, ENOENT)) return false;
    throw error;
  }
};
