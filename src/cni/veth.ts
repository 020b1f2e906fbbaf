/**
 * The pair of interfaces that joins a container to its bridge. Made by one message, the container's end born in
 * its namespace under its final name: there is nothing to move or rename, and nothing in between to be killed in.
 * @module
 */
import { IFA_F_NODAD, newAddress } from '../linux/address.ts';
import { EEXIST, ENODEV, EPERM } from '../linux/errno.ts';
import { changeBridgePort, changeLink, deleteLink, getLink, type Link, newLink } from '../linux/link.ts';
import { enterNamespace, writeSysctl } from '../linux/namespaces.ts';
import { isNetlinkError, type NetlinkSocket } from '../linux/netlink.ts';
import { newRoute } from '../linux/route.ts';
import { openRouteSocket } from '../linux/rtnetlink.ts';
import { CniError } from './cni-error.ts';
import { waitForAddresses, watchAddresses } from './duplicate-address.ts';
import { bounds, formatAddress, parsePrefix } from './ipam/ip-address.ts';
import type { Netns } from './netns.ts';
import type { Route } from './result.ts';
import { type Tuning, tuningRequests, writeSysctls } from './tuning.ts';

export interface VethPlan {
  readonly hostName: string;
  readonly hostMac: string;
  readonly name: string;
  readonly mac: string;
  /** 0: the kernel's default. */
  readonly mtu: number;
  readonly hairpin: boolean;
  readonly isolated: boolean;
}

export interface PodPlan {
  readonly name: string;
  /** "10.42.0.5/24" */
  readonly addresses: readonly string[];
  readonly routes: readonly Route[];
  readonly tuning: Tuning | undefined;
  /** Wait until nobody else turns out to have its IPv6 addresses. */
  readonly detectsDuplicates: boolean;
  readonly leavesDown: boolean;
}

const loopback = 1;

export function createVeth(socket: NetlinkSocket, bridge: Link, netns: Netns, plan: VethPlan): void {
  const mtu = plan.mtu === 0 ? undefined : plan.mtu;
  const request = newLink({
    kind: 'veth',
    name: plan.hostName,
    mac: plan.hostMac,
    mtu,
    master: bridge.index,
    up: true,
    peer: { name: plan.name, mac: plan.mac, mtu, namespace: netns.fd },
  });
  const port = {
    ...(plan.hairpin ? { hairpin: 1 } : {}),
    ...(plan.isolated ? { isolated: 1 } : {}),
  };
  const isOrdinary = Object.keys(port).length === 0;
  const [made, changed] = socket.tryBatch([
    request,
    ...(isOrdinary ? [] : [changeBridgePort(plan.hostName, port)]),
  ]);
  if (made !== undefined && isNetlinkError(made, EEXIST))
    throw new CniError(
      'ERR_CNI_ATTACHED',
      `container veth name ("${plan.name}") peer provided ("${plan.hostName}") already exists`,
      { cause: made },
    );
  if (made !== undefined) throw made;
  if (changed !== undefined) throw changed;
}

/** Addresses, links up, routes. Answers the container's end as the kernel has it. */
export function configurePod(netns: Netns, plan: PodPlan): Link {
  const { name } = plan;
  const v6 = plan.addresses.some((address) => address.includes(':'));
  const waits = v6 && plan.detectsDuplicates;
  const { socket, link, watch } = enterNamespace(netns.fd, () => {
    const inside = openRouteSocket();
    const found = getLink(inside, name);
    // Announced when the link comes up, so that neighbours forget the address's last holder.
    writeSysctl(`net/ipv4/conf/${name}/arp_notify`, '1');
    if (v6) {
      writeSysctl('net/ipv6/conf/lo/disable_ipv6', '0');
      writeSysctl(`net/ipv6/conf/${name}/disable_ipv6`, '0');
      writeSysctl(`net/ipv6/conf/${name}/keep_addr_on_down`, '1');
      writeSysctl(`net/ipv6/conf/${name}/ndisc_notify`, '1');
    }
    if (waits) {
      writeSysctl(`net/ipv6/conf/${name}/accept_dad`, '1');
      writeSysctl(`net/ipv6/conf/${name}/enhanced_dad`, '1');
    }
    return { socket: inside, link: found, watch: waits ? watchAddresses() : undefined };
  });
  try {
    if (link === undefined) throw new CniError('ERR_CNI_KERNEL', `"${name}" is not in ${netns.path}`);
    if (plan.leavesDown) return link;
    const flags = waits ? 0 : IFA_F_NODAD;
    const routes = plan.routes.map((route) => podRoute(route, link.index));
    socket.batch([
      changeLink(loopback, { up: true }),
      ...plan.addresses.map((address) =>
        newAddress({ link: link.index, address, ...familyDefaults(address, flags) }),
      ),
      changeLink(link.index, { up: true }),
      ...(plan.tuning === undefined ? [] : tuningRequests(plan.tuning, link.index)),
      ...(waits ? [] : routes),
    ]);
    if (watch !== undefined) {
      waitForAddresses(watch, socket, link.index);
      socket.batch(routes);
    }
    if (plan.tuning !== undefined) writeSysctls(netns, plan.tuning);
    return link;
  } catch (error) {
    throw routeTaken(error, name) ?? error;
  } finally {
    watch?.close();
    socket.close();
  }
}

/** Mostly the default route, of a container's second interface. */
function routeTaken(error: unknown, name: string): CniError | undefined {
  if (!isNetlinkError(error, EEXIST) || error.request !== 'RTM_NEWROUTE') return undefined;
  return new CniError('ERR_CNI_KERNEL', `failed to add ${error.subject} by "${name}": file exists`, {
    cause: error,
    details:
      'the container has this route by another interface: leave out isDefaultGateway and the route on one of the two networks, or give one route another "priority"',
  });
}

function podRoute(route: Route, link: number) {
  const prefix = parsePrefix(route.dst);
  return newRoute({
    destination: prefix?.length === 0 ? 'default' : route.dst,
    family: prefix?.family,
    link,
    gateway: route.gw,
    metric: route.priority,
    table: route.table,
    scope: route.scope,
    mtu: route.mtu,
    advmss: route.advmss,
  });
}

function familyDefaults(address: string, flags: number): { flags?: number; broadcast?: string } {
  const prefix = parsePrefix(address);
  if (prefix === undefined || prefix.family === 6) return { flags };
  return { broadcast: formatAddress({ family: 4, value: bounds(prefix).last }) };
}

/** Deleting the host's end takes the container's with it. Gone already is what was wanted. */
export function deleteVeth(socket: NetlinkSocket, hostName: string): boolean {
  try {
    socket.request(deleteLink(hostName));
    return true;
  } catch (error) {
    if (isNetlinkError(error, ENODEV)) return false;
    // The kernel asks who we are before it looks for the name.
    if (isNetlinkError(error, EPERM) && getLink(socket, hostName) === undefined) return false;
    throw error;
  }
}
