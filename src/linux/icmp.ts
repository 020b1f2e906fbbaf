/**
 * ICMP echo requests and replies as raw IPv4 sockets carry them: sent without, received with the IPv4 header in front.
 * Source: RFC 792 (echo), RFC 1071 (checksum), raw(7).
 * @module
 */

const ECHO_REQUEST = 8;
const ECHO_REPLY = 0;
const HEADER_LENGTH = 8;

const checksum = (bytes: Uint8Array): number => {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
};

export interface Echo {
  readonly id: number;
  readonly sequence: number;
}

export function createEchoRequest({ id, sequence }: Echo, payloadLength = 56): Uint8Array {
  const message = new Uint8Array(HEADER_LENGTH + payloadLength);
  const view = new DataView(message.buffer);
  message[0] = ECHO_REQUEST;
  view.setUint16(4, id);
  view.setUint16(6, sequence);
  for (let i = HEADER_LENGTH; i < message.length; i += 1) message[i] = i;
  view.setUint16(2, checksum(message));
  return message;
}

/** The echo reply in a packet read from a raw socket, with who sent it; null when it is something else. */
export function readEchoReply(packet: Uint8Array): (Echo & { readonly from: string }) | null {
  const first = packet[0] ?? 0;
  const headerLength = (first & 0xf) * 4;
  if (first >> 4 !== 4 || headerLength < 20 || packet.length < headerLength + HEADER_LENGTH) return null;
  const message = packet.subarray(headerLength);
  if (message[0] !== ECHO_REPLY || checksum(message) !== 0) return null;
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  return { id: view.getUint16(4), sequence: view.getUint16(6), from: packet.subarray(12, 16).join('.') };
}
