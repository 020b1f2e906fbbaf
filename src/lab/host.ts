/**
 * A network namespace as a host one programs: its links, addresses, routes and switches.
 * @module
 */
import { closeSync } from 'node:fs';
import { newAddress } from '../linux/address.ts';
import { changeLink, linkIndex, newLink } from '../linux/link.ts';
import { enterNamespace, namespacePath, openNamespace, writeSysctl } from '../linux/namespaces.ts';
import type { NetlinkSocket } from '../linux/netlink.ts';
import { replaceRoute } from '../linux/route.ts';
import { openRouteSocket } from '../linux/rtnetlink.ts';

export class Host {
  readonly name: string;
  /** The namespace, open. */
  readonly namespace: number;
  readonly routes: NetlinkSocket;

  /** `name`: of a namespace in /run/netns. */
  constructor(name: string) {
    this.name = name;
    this.namespace = openNamespace(namespacePath(name));
    try {
      this.routes = enterNamespace(this.namespace, openRouteSocket);
    } catch (error) {
      closeSync(this.namespace);
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.routes.close();
    closeSync(this.namespace);
  }

  index(link: string): number {
    return linkIndex(this.routes, link);
  }

  /** Runs a function with this thread inside. */
  enter<T>(work: () => T): T {
    return enterNamespace(this.namespace, work);
  }

  setUp(link: string): void {
    this.routes.request(changeLink(this.index(link), { up: true }));
  }

  address(link: string, ...addresses: readonly string[]): void {
    const index = this.index(link);
    this.routes.batch(addresses.map((address) => newAddress({ link: index, address })));
  }

  route(destination: string, gateway: string): void {
    this.routes.request(replaceRoute({ destination, gateway, family: 4 }));
  }

  /**
   * Forwards IPv4 for others, takes any way back, and sends no redirects: a router that NATs knows better than they do.
   */
  forward(): void {
    this.enter(() => {
      writeSysctl('net/ipv4/ip_forward', 1);
      for (const scope of ['all', 'default']) {
        writeSysctl(`net/ipv4/conf/${scope}/rp_filter`, 0);
        writeSysctl(`net/ipv4/conf/${scope}/send_redirects`, 0);
      }
    });
  }

  /** IPv4 only, so that no neighbour discovery chatters on the lab's links. A kernel without IPv6 has nothing to switch off. */
  silenceIpv6(): void {
    this.enter(() => {
      for (const scope of ['all', 'default']) {
        try {
          writeSysctl(`net/ipv6/conf/${scope}/disable_ipv6`, 1);
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
        }
      }
    });
  }
}

/** An Ethernet cable between two hosts, up at both ends. */
export function cable(a: Host, nameAtA: string, b: Host, nameAtB: string, mtu = 1500): void {
  a.routes.request(
    newLink({
      kind: 'veth',
      name: nameAtA,
      mtu,
      up: true,
      peer: { name: nameAtB, mtu, namespace: b.namespace },
    }),
  );
  b.setUp(nameAtB);
}
