/**
 * Notices when somebody else changes what the mesh put into the kernel: a route deleted or replaced, a link gone, an address
 * changed.
 * The socket is looked at a few times a second, which costs nothing, rather than waited on.
 * Source: rtnetlink(7), multicast groups.
 * @module
 */
import { readAddress } from '../linux/address.ts';
import { readLink } from '../linux/link.ts';
import { type Message, NLM_F_REPLACE } from '../linux/netlink-message.ts';
import { PROTOCOL_STATIC, readRoute, TABLE_MAIN } from '../linux/route.ts';
import {
  RTM_DELADDR,
  RTM_DELLINK,
  RTM_DELROUTE,
  RTM_NEWADDR,
  RTM_NEWLINK,
  RTM_NEWROUTE,
  RTNLGRP_IPV4_IFADDR,
  RTNLGRP_IPV4_ROUTE,
  RTNLGRP_IPV4_RULE,
  RTNLGRP_IPV6_IFADDR,
  RTNLGRP_IPV6_ROUTE,
  RTNLGRP_LINK,
  subscribeToRoutes,
} from '../linux/rtnetlink.ts';
import { KILO_TABLE } from '../routing/routes.ts';

const LOOK_MS = 250;
const RTM_DELRULE = 33;
const GROUPS = [
  RTNLGRP_LINK,
  RTNLGRP_IPV4_IFADDR,
  RTNLGRP_IPV6_IFADDR,
  RTNLGRP_IPV4_ROUTE,
  RTNLGRP_IPV6_ROUTE,
  RTNLGRP_IPV4_RULE,
];

export class KernelWatch {
  readonly #socket = subscribeToRoutes(GROUPS);
  readonly #timer: NodeJS.Timeout;
  readonly #names: () => readonly string[];
  #indexes = new Set<number>();

  /** `names`: of the links that matter. */
  constructor(names: () => readonly string[], onChange: () => void) {
    this.#names = names;
    this.#timer = setInterval(() => {
      if (!this.#socket.isReadable) return;
      const { messages, lost } = this.#socket.drain();
      if (lost || messages.some((message) => this.#matters(message))) onChange();
    }, LOOK_MS);
    this.#timer.unref();
  }

  /** Forgets what has arrived: it was our own doing. */
  ignoreSoFar(): void {
    for (const message of this.#socket.drain().messages) this.#matters(message);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#socket.close();
  }

  #matters(message: Message): boolean {
    switch (message.type) {
      case RTM_NEWLINK:
      case RTM_DELLINK: {
        const { index, name } = readLink(message);
        const ours = this.#names().includes(name);
        if (ours) this.#indexes.add(index);
        return ours;
      }
      case RTM_NEWADDR:
      case RTM_DELADDR:
        return this.#indexes.has(readAddress(message)?.link ?? -1) || this.#indexes.size === 0;
      case RTM_DELROUTE: {
        const route = readRoute(message);
        return (
          route?.table === KILO_TABLE || (route?.table === TABLE_MAIN && route.protocol === PROTOCOL_STATIC)
        );
      }
      case RTM_NEWROUTE: {
        // Another plugin's, in the place of one of ours: flannel does that when it starts.
        if ((message.flags & NLM_F_REPLACE) === 0) return false;
        const route = readRoute(message);
        if (route?.table !== TABLE_MAIN || route.protocol === PROTOCOL_STATIC) return false;
        return (route.metric ?? 0) === 0 || (route.family === 6 && route.metric === 1024);
      }
      case RTM_DELRULE:
        return true;
      default:
        return false;
    }
  }
}
