/**
 * Whether the interface is up, and its MTU, wherever it has been moved: a netlink socket in the interface's own
 * network namespace tells that something changed, and an ioctl there tells what. Nothing is polled.
 * Source: rtnetlink(7) (RTMGRP_LINK), linux/if_tun.h (TUNGETDEVNETNS, Linux 5.4).
 * @module
 */

import * as libc from '../linux/libc.ts';
import { enterNamespace } from '../linux/namespaces.ts';
import {
  interfaceIndex,
  interfaceIsUp,
  interfaceMtu,
  type TunDevice,
  tunNamespace,
} from '../tun/tun-device.ts';

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const NETLINK_ROUTE = 0;
const RTMGRP_LINK = 1;

export interface LinkState {
  readonly up: boolean;
  readonly mtu: number;
}

function openLinkSocket(): number {
  const fd = libc.socket(AF_NETLINK, SOCK_RAW | libc.O_NONBLOCK | libc.O_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) return -1;
  const address = Buffer.alloc(12);
  address.writeUInt16LE(AF_NETLINK, 0);
  address.writeUInt32LE(RTMGRP_LINK, 8);
  if (libc.bind(fd, address, address.length) === 0) return fd;
  libc.close(fd);
  return -1;
}

export class LinkWatch {
  readonly #tun: TunDevice;
  #namespace = -1;
  #socket = -1;

  constructor(tun: TunDevice) {
    this.#tun = tun;
    this.follow();
  }

  /** A socket that becomes readable when some link of the interface's namespace changes; -1 when there is none. */
  get descriptor(): number {
    return this.#socket;
  }

  #inside<T>(read: () => T): T {
    return this.#namespace < 0 ? read() : enterNamespace(this.#namespace, read);
  }

  /** Finds the namespace the interface is in now and listens there. */
  follow(): void {
    this.close();
    this.#namespace = tunNamespace(this.#tun.fd);
    this.#socket = this.#inside(openLinkSocket);
  }

  /** undefined when the interface is not where we listen: moved (then `follow`) or deleted. */
  state(): LinkState | undefined {
    const { name } = this.#tun;
    return this.#inside(() => {
      if (interfaceIndex(name) === undefined) return undefined;
      const up = interfaceIsUp(name);
      const mtu = interfaceMtu(name);
      return up === undefined || mtu === undefined ? undefined : { up, mtu };
    });
  }

  close(): void {
    if (this.#socket >= 0) libc.close(this.#socket);
    if (this.#namespace >= 0) libc.close(this.#namespace);
    this.#socket = -1;
    this.#namespace = -1;
  }
}
