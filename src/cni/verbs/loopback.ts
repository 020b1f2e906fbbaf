/**
 * The network of one's own: type `loopback`, which containerd asks for with every pod. Brings `lo` up, and down.
 * Behaviour and texts: containernetworking/plugins loopback.
 * @module
 */
import { type LinkAddress, listAddresses } from '../../linux/address.ts';
import { changeLink, getLink, type Link } from '../../linux/link.ts';
import { openRouteSocketIn } from '../../linux/namespaces.ts';
import type { NetlinkSocket } from '../../linux/netlink.ts';
import { CniError } from '../cni-error.ts';
import { findNetns, type Netns, openNetns } from '../netns.ts';
import type { Request } from '../request.ts';
import { resultDocument } from '../result.ts';

const loopback = 1;

export function runLoopback(request: Request): string {
  switch (request.verb) {
    case 'ADD':
      return within(openNetns(request.netns), (socket, netns) => add(request, socket, netns));
    case 'CHECK':
      return within(openNetns(request.netns), (socket) => {
        if (!lo(socket).up) throw new CniError('ERR_CNI_CHECK', 'loopback interface is down');
        return '';
      });
    case 'DEL': {
      const netns = request.netns === '' ? undefined : findNetns(request.netns);
      if (netns === undefined) return '';
      return within(netns, (socket) => {
        socket.request(changeLink(loopback, { up: false }));
        return '';
      });
    }
    default:
      // It keeps nothing that could be spent or left.
      return '';
  }
}

function add(request: Request, socket: NetlinkSocket, netns: Netns): string {
  socket.request(changeLink(loopback, { up: true }));
  const addresses = listAddresses(socket, { link: loopback });
  const stranger = addresses.find((address) => !isOwn(address));
  if (stranger !== undefined)
    throw new CniError(
      'ERR_CNI_NETNS',
      `loopback interface found with non-loopback address "${stranger.address}"`,
    );
  const result = {
    interfaces: [{ name: 'lo', mac: '00:00:00:00:00:00', mtu: lo(socket).mtu, sandbox: netns.path }],
    ips: addresses.map(({ address }) => ({ address, interface: 0 })),
    routes: [],
    dns: {},
  };
  return JSON.stringify(resultDocument(result, request.cniVersion));
}

const isOwn = ({ address }: LinkAddress): boolean => address.startsWith('127.') || address === '::1/128';

function lo(socket: NetlinkSocket): Link {
  const link = getLink(socket, loopback);
  if (link === undefined) throw new CniError('ERR_CNI_NETNS', 'there is no loopback interface');
  return link;
}

function within(netns: Netns, use: (socket: NetlinkSocket, netns: Netns) => string): string {
  try {
    const socket = openRouteSocketIn(netns.fd);
    try {
      return use(socket, netns);
    } finally {
      socket.close();
    }
  } finally {
    netns.close();
  }
}
