/**
 * Our own datagrams, come back through the TUN: the route to a peer's endpoint leads into the tunnel itself. Sealed again
 * and again they would fill machine and network, so they are recognised by what only we put into a message.
 * Source: linux drivers/net/wireguard/socket.c (ELOOP, "routing loop"), which sees the route; we see the packet.
 * @module
 */

const UDP = 17;
const UDP_HEADER = 8;
const IPV6_HEADER = 40;
const TYPE_TRANSPORT = 4;

/** Whether the IP packet carries a transport message to the session that the other side knows by `remoteIndex`. */
export function isOwnMessage(view: DataView, packet: number, remoteIndex: number): boolean {
  const isV4 = view.getUint8(packet) >>> 4 === 4;
  if (view.getUint8(packet + (isV4 ? 9 : 6)) !== UDP) return false;
  const header = isV4 ? (view.getUint8(packet) & 0x0f) * 4 : IPV6_HEADER;
  const message = packet + header + UDP_HEADER;
  return (
    view.getUint32(message, true) === TYPE_TRANSPORT && view.getUint32(message + 4, true) === remoteIndex
  );
}
