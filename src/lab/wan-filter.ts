/**
 * Tells WireGuard datagrams from everything else on the wan, in the kernel: a socket filter never loses count, however fast
 * packets pass. Written for AF_PACKET sockets of type SOCK_DGRAM, whose packets begin at the network header.
 * Source: linux/filter.h and the kernel's Documentation/networking/filter.rst (classic BPF and its ancillary loads); the
 * WireGuard paper §5.4 for the four message types: one byte of type, three of zero. The datagrams of a batch reach a capture
 * as one long one, so of the length only the minimum is judged.
 * @module
 */
import { API } from './plan.ts';

/** Loads of what lies outside the packet: SKF_AD_OFF + SKF_AD_PROTOCOL, + SKF_AD_PKTTYPE. */
const ANCILLARY_PROTOCOL = 0xfffff000;
const ANCILLARY_PACKET_TYPE = 0xfffff004;
/** A packet on its way out: the same one was seen coming in on another link. */
const PACKET_OUTGOING = 4;
const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
const TCP = 6;
const UDP = 17;
/** UDP header and the shortest WireGuard message, a keepalive. */
const SHORTEST = 8 + 32;

const CODES = {
  /** a = 16 bits, 8 bits or 32 bits at k, or at x + k */
  load16: 0x28,
  load8: 0x30,
  load32: 0x20,
  load16AtX: 0x48,
  load32AtX: 0x40,
  /** x = length of the IPv4 header at k */
  loadHeaderLength: 0xb1,
  mask: 0x54,
  ifEqual: 0x15,
  ifAtLeast: 0x35,
  ifAnyBit: 0x45,
  answer: 0x06,
} as const;

type Label = 'next' | 'ipv4' | 'stream' | 'answer' | 'wireguard' | 'other' | 'nothing';
interface Step {
  readonly code: keyof typeof CODES;
  readonly k: number;
  readonly match?: Label;
  readonly otherwise?: Label;
  readonly label?: Label;
}

const numberOf = (ip: string): number =>
  new DataView(Uint8Array.from(ip.split('.').map(Number)).buffer).getUint32(0);

const steps: readonly Step[] = [
  { code: 'load8', k: ANCILLARY_PACKET_TYPE },
  { code: 'ifEqual', k: PACKET_OUTGOING, match: 'nothing' },
  { code: 'load16', k: ANCILLARY_PROTOCOL },
  { code: 'ifEqual', k: ETHERTYPE_IPV4, match: 'ipv4' },
  // ARP and the like stay on their own segment.
  { code: 'ifEqual', k: ETHERTYPE_IPV6, otherwise: 'nothing' },
  { code: 'load8', k: 24 },
  { code: 'ifEqual', k: 0xff, match: 'nothing', otherwise: 'other' }, // neighbour discovery and other multicast
  { label: 'ipv4', code: 'load8', k: 16 },
  { code: 'mask', k: 0xf0 },
  { code: 'ifEqual', k: 0xe0, match: 'nothing' }, // multicast is not forwarded
  { code: 'load8', k: 9 },
  { code: 'ifEqual', k: UDP, otherwise: 'stream' },
  { code: 'load16', k: 6 },
  { code: 'ifAnyBit', k: 0x1fff, match: 'other' }, // a later fragment: nobody can say what it is
  { code: 'loadHeaderLength', k: 0 },
  { code: 'load16AtX', k: 4 },
  { code: 'ifAtLeast', k: SHORTEST, otherwise: 'other' },
  { code: 'load32AtX', k: 8 },
  { code: 'ifEqual', k: 0x01000000, match: 'wireguard' },
  { code: 'ifEqual', k: 0x02000000, match: 'wireguard' },
  { code: 'ifEqual', k: 0x03000000, match: 'wireguard' },
  { code: 'ifEqual', k: 0x04000000, match: 'wireguard', otherwise: 'other' },
  // What nodes and the API server say to each other is of another kind: it speaks nothing but TLS.
  { label: 'stream', code: 'ifEqual', k: TCP, otherwise: 'other' },
  { code: 'load16', k: 6 },
  { code: 'ifAnyBit', k: 0x1fff, match: 'other' },
  { code: 'loadHeaderLength', k: 0 },
  { code: 'load32', k: 16 },
  { code: 'ifEqual', k: numberOf(API.ip), otherwise: 'answer' },
  { code: 'load16AtX', k: 2 },
  { code: 'ifEqual', k: API.port, match: 'nothing' },
  { label: 'answer', code: 'load32', k: 12 },
  { code: 'ifEqual', k: numberOf(API.ip), otherwise: 'other' },
  { code: 'load16AtX', k: 0 },
  { code: 'ifEqual', k: API.port, match: 'nothing', otherwise: 'other' },
];

/** Bytes of a packet that a taker gets: enough to say what it is. */
export const SNAP_LENGTH = 64;

/**
 * The program as an array of struct sock_filter {u16 code; u8 jt; u8 jf; u32 k}.
 * `wireguard` takes WireGuard over IPv4 and nothing else; `other` takes every IP packet that is neither that nor
 * of the API server.
 */
export function wanFilter(take: 'wireguard' | 'other'): Uint8Array {
  const program: readonly Step[] = [
    ...steps,
    { label: 'wireguard', code: 'answer', k: take === 'wireguard' ? SNAP_LENGTH : 0 },
    { label: 'other', code: 'answer', k: take === 'other' ? SNAP_LENGTH : 0 },
    { label: 'nothing', code: 'answer', k: 0 },
  ];
  const bytes = new Uint8Array(program.length * 8);
  const view = new DataView(bytes.buffer);
  program.forEach(({ code, k, match = 'next', otherwise = 'next' }, index) => {
    const distance = (label: Label): number =>
      label === 'next' ? 0 : program.findIndex((step) => step.label === label) - index - 1;
    view.setUint16(index * 8, CODES[code], true);
    view.setUint8(index * 8 + 2, distance(match));
    view.setUint8(index * 8 + 3, distance(otherwise));
    view.setUint32(index * 8 + 4, k, true);
  });
  return bytes;
}

const protocols: Readonly<Record<number, string>> = { 1: 'icmp', 4: 'ipip', 6: 'tcp', 17: 'udp' };

/** A caught packet in words: "10.42.0.2 to 10.42.3.2, icmp". */
export function describePacket(packet: Uint8Array): string {
  const version = (packet[0] ?? 0) >> 4;
  if (version === 6) return 'an IPv6 packet';
  if (version !== 4 || packet.length < 20) return 'an unreadable packet';
  const protocol = packet[9] ?? 0;
  const source = packet.subarray(12, 16).join('.');
  const target = packet.subarray(16, 20).join('.');
  return `${source} to ${target}, ${protocols[protocol] ?? `protocol ${protocol}`}`;
}
