/**
 * Names that follow from an attachment alone, so that whoever must clean up after a killed ADD knows them
 * without having been told.
 * Hash: FNV-1a, 64 bits (RFC 9923), enough to keep names apart; nothing secret hangs on it.
 * @module
 */

/** (CNI_CONTAINERID, CNI_IFNAME), the specification's identity of an attachment. */
export interface AttachmentName {
  readonly containerId: string;
  readonly ifname: string;
}

const longestFileName = 200;

/** In two halves: the prime is 2^40 + 435, and a BigInt for each byte takes ten times as long. */
function fnv1a(text: string): string {
  let high = 0xcbf29ce4;
  let low = 0x84222325;
  for (const byte of new TextEncoder().encode(text)) {
    low = (low ^ byte) >>> 0;
    const product = low * 435;
    high = (Math.imul(high, 435) + Math.floor(product / 2 ** 32) + (low << 8)) >>> 0;
    low = product % 2 ** 32;
  }
  return [high, low].map((half) => half.toString(16).padStart(8, '0')).join('');
}

/** ":" occurs in neither part, so no two attachments share a name. A container id may be of any length. */
export function fileName({ containerId, ifname }: AttachmentName): string {
  const name = `${containerId}:${ifname}`;
  return name.length <= longestFileName ? name : `${containerId.slice(0, 150)}~${fnv1a(name)}:${ifname}`;
}

/** Host end of the veth pair: 15 bytes, the longest a link name may be. `salt` tells apart when one is taken. */
export function hostVethName({ containerId, ifname }: AttachmentName, salt = 0): string {
  return `veth${fnv1a(`${containerId}:${ifname}${salt === 0 ? '' : `:${salt}`}`).slice(0, 11)}`;
}

/** Hexadecimal digits of the attachment, up to 16. */
export const shortHash = ({ containerId, ifname }: AttachmentName, digits: number): string =>
  fnv1a(`${containerId}:${ifname}`).slice(0, digits);

/** 32 bits of a text, for sets of nftables, which hold no texts. */
export const numericHash = (text: string): number => Number.parseInt(fnv1a(text).slice(0, 8), 16);

export const ownMacPrefix = '0a:59:';

/**
 * Locally administered, unicast. An IPv4 address gives the MAC address (0a:58 and the four bytes), so that a
 * neighbour's stale ARP entry is still right when the address comes to another pod.
 */
export function macAddress(seed: string, ipv4?: Uint8Array): string {
  const bytes =
    ipv4 === undefined ? [0x0a, 0x59, ...Buffer.from(fnv1a(seed).slice(0, 8), 'hex')] : [0x0a, 0x58, ...ipv4];
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}
