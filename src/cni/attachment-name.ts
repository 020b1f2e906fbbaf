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

/**
 * In four quarters: the prime is 2^40 + 435, so everything stays a small integer. This runs a few times in a process that
 * compiles nothing, where a BigInt or a division for each byte is felt.
 */
function fnv1a(text: string): string {
  const bytes = new TextEncoder().encode(text);
  let [a, b, c, d] = [0x2325, 0x8422, 0x9ce4, 0xcbf2];
  for (let at = 0; at < bytes.length; at += 1) {
    const low = a ^ (bytes[at] ?? 0);
    const first = low * 435;
    const second = b * 435 + (first >>> 16);
    const third = c * 435 + (low << 8) + (second >>> 16);
    d = (d * 435 + (b << 8) + (third >>> 16)) & 0xffff;
    a = first & 0xffff;
    b = second & 0xffff;
    c = third & 0xffff;
  }
  return hex(d) + hex(c) + hex(b) + hex(a);
}

const hex = (quarter: number): string => quarter.toString(16).padStart(4, '0');

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
  const digits = (byte: number): string => byte.toString(16).padStart(2, '0');
  if (ipv4 !== undefined) return `0a:58:${[...ipv4].map(digits).join(':')}`;
  const hash = fnv1a(seed);
  return ownMacPrefix + [0, 2, 4, 6].map((at) => hash.slice(at, at + 2)).join(':');
}
