/**
 * Whether the interface is up, its MTU and its name, wherever it has been moved. One netlink socket, in the network
 * namespace the program was born in, tells that some link changed, also in the namespace the interface is in now; what
 * changed is asked there. That namespace is never held open, so deleting it deletes the interface and ends the program.
 * Nothing is polled, unless the kernel does not let us listen.
 * Source: rtnetlink(7) (RTMGRP_LINK), netlink(7) (NETLINK_LISTEN_ALL_NSID), linux/if_tun.h (TUNGETDEVNETNS, Linux 5.4).
 * @module
 */
import { fstatSync, statSync } from 'node:fs';
import * as libc from '../linux/libc.ts';
import { assignNamespaceId } from '../linux/namespace-id.ts';
import { enterNamespace } from '../linux/namespaces.ts';
import { interfaceIsUp, interfaceMtu, type TunDevice, tunName, tunNamespace } from '../tun/tun-device.ts';

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const NETLINK_ROUTE = 0;
const RTMGRP_LINK = 1;
const SOL_NETLINK = 270;
const NETLINK_LISTEN_ALL_NSID = 8;
const OWN_NAMESPACE = '/proc/thread-self/ns/net';

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
  /** Readable when some link we listen to changes: then ask for `state`. -1: there is none. */
  readonly descriptor: number = openLinkSocket();
  readonly #tun: TunDevice;
  readonly #own = identity(statSync(OWN_NAMESPACE, { bigint: true }));
  /** The namespace we have seen to hearing of. */
  #heard = this.#own;
  #deaf = this.descriptor < 0;

  constructor(tun: TunDevice) {
    this.#tun = tun;
  }

  /** Changes are not told: ask for the state now and then. */
  get isDeaf(): boolean {
    return this.#deaf;
  }

  /** undefined when the interface is gone, or is where we may not look. */
  state(): LinkState | undefined {
    const name = tunName(this.#tun.fd);
    if (name === undefined) return undefined;
    const namespace = tunNamespace(this.#tun.fd);
    try {
      if (namespace < 0) return linkState(name);
      const where = identity(fstatSync(namespace, { bigint: true }));
      if (where === this.#own) {
        this.#deaf = this.descriptor < 0;
        this.#heard = where;
        return linkState(name);
      }
      // First listen, then look, so that no change falls in between.
      if (where !== this.#heard) this.#hear(namespace, where);
      return enterNamespace(namespace, () => linkState(name));
    } catch {
      // Entering takes SYS_ADMIN.
      return undefined;
    } finally {
      if (namespace >= 0) libc.close(namespace);
    }
  }

  #hear(namespace: number, where: string): void {
    this.#heard = where;
    const yes = Buffer.alloc(4);
    yes.writeInt32LE(1);
    this.#deaf =
      libc.setsockopt(this.descriptor, SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, yes, yes.length) !== 0;
    try {
      assignNamespaceId(namespace);
    } catch {
      this.#deaf = true;
    }
  }

  close(): void {
    if (this.descriptor >= 0) libc.close(this.descriptor);
  }
}

const identity = ({ dev, ino }: { readonly dev: bigint; readonly ino: bigint }): string => `${dev}:${ino}`;

function linkState(name: string): LinkState | undefined {
  const up = interfaceIsUp(name);
  const mtu = interfaceMtu(name);
  return up === undefined || mtu === undefined ? undefined : { up, mtu };
}
