/**
 * How large a datagram may be on its way to each tunnel's other end. The tunnel's own datagrams may be cut on the way, so nobody
 * would ever say that they are too large: one datagram a few minutes is sent that may not be, and the kernel remembers what a
 * router answers.
 * Source: RFC 1191 §3 and RFC 8201 §4 (path MTU discovery), ip(7) and ipv6(7) (IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
 * WireGuard's padding to 16 bytes.
 * @module
 */
import { randomBytes } from 'node:crypto';
import { closeSync } from 'node:fs';
import { sys } from '#sys';
import type { NetlinkSocket } from '../../linux/netlink.ts';
import { MessageWriter } from '../../linux/netlink-message.ts';
import { lookupRoute, type Route } from '../../linux/route.ts';
import { writeSocketAddress } from '../../linux/socket-address.ts';
import { AF_INET, AF_INET6, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK } from '../../linux/sys.ts';
import { type Address, type Endpoint, formatAddress, isIpv6 } from '../../noise/ip.ts';
import type { HostLinks } from './links.ts';

const IPPROTO_IP = 0;
const IPPROTO_IPV6 = 41;
const IP_MTU_DISCOVER = 10;
const IPV6_MTU_DISCOVER = 23;
/** Never cut, whatever is remembered. */
const PMTUDISC_PROBE = 3;

/** The kernel forgets after ten minutes (net.ipv4.route.mtu_expires). */
const PERIOD_MS = 5 * 60_000;
/** As long as a router's answer may take; it goes to the socket that asked. */
const ANSWER_MS = 2000;
/** So many are asked at once. */
const AT_ONCE = 64;
/** IPv4 or IPv6, UDP, and WireGuard's header and tag. */
const OVERHEAD = { 4: 20 + 8 + 32, 6: 40 + 8 + 32 } as const;
const PADDING = 16;
/** Its first four bytes. */
const TRANSPORT_MESSAGE = Uint8Array.of(4, 0, 0, 0);
/** No link of IPv6 carries less (RFC 8200 §5). */
const LEAST = 1280;

/** What fits into a tunnel whose datagrams may have `pathMtu` bytes. */
export const innerMtu = (pathMtu: number, outer: 4 | 6): number =>
  Math.max(LEAST, Math.floor((pathMtu - OVERHEAD[outer]) / PADDING) * PADDING);

/** A tunnel's other end, by the text of its address. */
export interface PathEnd extends Endpoint {
  readonly key: string;
}

export class PathMtus {
  /** By the endpoint's address: when it was asked last. */
  readonly #asked = new Map<string, number>();
  /** What came of it; absent where nothing is known. */
  readonly #known = new Map<string, number>();
  readonly #open = new Set<number>();
  #waiting: PathEnd[] = [];
  #ends: readonly PathEnd[] = [];
  #revision = 0;
  readonly #socket: NetlinkSocket;
  readonly #onChange: () => void;
  #timer: NodeJS.Timeout | null = null;

  /** @param onChange a way is another than it was */
  constructor(socket: NetlinkSocket, onChange: () => void = () => {}) {
    this.#socket = socket;
    this.#onChange = onChange;
  }

  /**
   * Asks those that have not been asked for some minutes.
   * @param now ms
   */
  ask(ends: readonly PathEnd[], host: HostLinks, now: number): void {
    if (ends !== this.#ends) this.#forgetOthers(ends);
    this.#ends = ends;
    for (const end of ends) {
      if (this.#open.size >= AT_ONCE) break;
      if (now - (this.#asked.get(end.key) ?? -PERIOD_MS) < PERIOD_MS) continue;
      this.#asked.set(end.key, now);
      this.#waiting.push(end);
      this.#probe(end, host);
    }
    if (this.#open.size > 0) this.#timer ??= setTimeout(() => this.#take(), ANSWER_MS).unref();
  }

  #forgetOthers(ends: readonly PathEnd[]): void {
    const keys = new Set(ends.map(({ key }) => key));
    for (const key of this.#asked.keys()) if (!keys.has(key)) this.#asked.delete(key);
    for (const key of this.#known.keys()) if (!keys.has(key) && this.#known.delete(key)) this.#revision++;
  }

  /** Another number once anything else is known. */
  get revision(): number {
    return this.#revision;
  }

  /** What is known of the way there; undefined when nothing is. */
  to(address: Address): number | undefined {
    return this.#known.get(formatAddress(address));
  }

  #wayTo({ key }: PathEnd): Route | undefined {
    try {
      return lookupRoute(this.#socket, { to: key });
    } catch {
      return undefined; // there is none
    }
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#closeSockets();
  }

  #take(): void {
    this.#timer = null;
    this.#closeSockets();
    let changed = false;
    for (const end of this.#waiting) {
      const { key } = end;
      const mtu = this.#wayTo(end)?.mtu;
      changed ||= mtu !== this.#known.get(key);
      if (mtu === undefined) this.#known.delete(key);
      else this.#known.set(key, mtu);
    }
    this.#waiting = [];
    if (!changed) return;
    this.#revision++;
    this.#onChange();
  }

  #closeSockets(): void {
    for (const fd of this.#open) closeSync(fd);
    this.#open.clear();
  }

  /**
   * To whoever sees it, and to the other end, a transport message like any other (WireGuard paper §5.4.6); it is of no
   * session and has no content, so it is dropped there.
   */
  #probe(end: PathEnd, { byIndex }: HostLinks): void {
    const link = byIndex.get(this.#wayTo(end)?.link ?? -1);
    if (link === undefined) return;
    const six = isIpv6(end.address);
    const flags = SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
    const fd = sys.socket(six ? AF_INET6 : AF_INET, flags, 0);
    this.#open.add(fd);
    const w = new MessageWriter();
    writeSocketAddress(w, { ...end, scope: 0 });
    try {
      const [level, option] = six ? [IPPROTO_IPV6, IPV6_MTU_DISCOVER] : [IPPROTO_IP, IP_MTU_DISCOVER];
      sys.setsockopt(fd, level as number, option as number, PMTUDISC_PROBE);
      sys.connect(fd, w.bytes);
      const datagram = randomBytes(link.mtu - (six ? 48 : 28));
      datagram.set(TRANSPORT_MESSAGE);
      sys.sendto(fd, datagram, 0, null);
    } catch {
      // No way there, or longer than the link: the kernel knows already.
    }
  }
}
