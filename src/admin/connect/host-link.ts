/**
 * A connection's link and routes on this host: put there, read back, taken away.
 * @module
 */
import { keepLink, removeLink } from '../../agent/host/wireguard-link.ts';
import { listAddresses } from '../../linux/address.ts';
import { getLink, type Link } from '../../linux/link.ts';
import type { NetlinkSocket, Request } from '../../linux/netlink.ts';
import {
  deleteRoute,
  listRoutes,
  type NewRoute,
  newRoute,
  PROTOCOL_STATIC,
  replaceRoute,
} from '../../linux/route.ts';
import {
  type Address,
  type Cidr,
  formatAddress,
  formatCidr,
  parseAddress,
  parseCidr,
} from '../../noise/ip.ts';
import { diffPlans } from '../../routing/diff.ts';
import { MAIN_TABLE, type Route } from '../../routing/routes.ts';

export class HostLink {
  readonly name: string;
  readonly #socket: NetlinkSocket;

  constructor(socket: NetlinkSocket, name: string) {
    this.#socket = socket;
    this.name = name;
  }

  get link(): Link | undefined {
    return getLink(this.#socket, this.name);
  }

  bringUp(address: Cidr, mtu: number): void {
    keepLink(this.#socket, this.name, { address, mtu, up: true });
  }

  /** Addresses and gateways of this host that are not the link's. */
  ownAddresses(): Address[] {
    const own = this.link?.index;
    const addresses = listAddresses(this.#socket).flatMap(({ link, address }) =>
      link === own ? [] : (parseCidr(address)?.address ?? []),
    );
    const gateways = listRoutes(this.#socket, { table: MAIN_TABLE })
      .filter(({ destination }) => /\/0$/.test(destination))
      .flatMap(({ gateway }) => (gateway === undefined ? [] : (parseAddress(gateway) ?? [])));
    return [...addresses, ...gateways];
  }

  /** Makes the link carry exactly these; answers how many changed, and what the kernel refused. */
  keepRoutes(want: readonly Route[]): { readonly changed: number; readonly faults: readonly string[] } {
    const link = this.link;
    if (link === undefined) return { changed: 0, faults: [`The link ${this.name} is gone.`] };
    const { routes } = diffPlans({ routes: this.#routesOn(link), rules: [] }, { routes: want, rules: [] });
    const requests: Request[] = [
      ...routes.add.map((route) => newRoute(kernelRoute(route, link.index))),
      ...routes.replace.map((pair) => replaceRoute(kernelRoute(pair.want, link.index))),
      ...routes.remove.map((route) => deleteRoute(kernelRoute(route, link.index))),
    ];
    const faults = this.#socket.tryBatch(requests).flatMap((error) => error?.message ?? []);
    return { changed: requests.length - faults.length, faults };
  }

  #routesOn(link: Link): Route[] {
    return listRoutes(this.#socket).flatMap((route): Route[] => {
      if (route.link !== link.index || route.table !== MAIN_TABLE || route.protocol !== PROTOCOL_STATIC)
        return [];
      const destination = parseCidr(route.destination);
      if (destination === null) return [];
      const via = route.gateway === undefined ? null : parseAddress(route.gateway);
      const base = { destination, device: link.name, onlink: route.onlink, table: route.table };
      return [via === null ? base : { ...base, via }];
    });
  }

  /** One that was there before stays, bare. */
  remove(madeByUs: boolean): void {
    const link = this.link;
    if (link === undefined) return;
    if (madeByUs) {
      removeLink(this.#socket, this.name);
      return;
    }
    this.keepRoutes([]);
    keepLink(this.#socket, this.name, { address: null, mtu: link.mtu, up: false });
  }
}

const kernelRoute = ({ destination, via, onlink, table }: Route, link: number): NewRoute => ({
  destination: formatCidr(destination),
  link,
  onlink: onlink && via !== undefined,
  table,
  protocol: PROTOCOL_STATIC,
  ...(via === undefined ? {} : { gateway: formatAddress(via) }),
});
