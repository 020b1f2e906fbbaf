/**
 * The WireGuard link and the tunnel inside a location, as links: MTU, address, up or down.
 * Source: Kilo's care of its interface: exactly one address on a leader, down on everyone else; tunl0 with the private
 * link's MTU less 20.
 * @module
 */
import { deleteAddress, listAddresses, newAddress, SCOPE_GLOBAL } from '../../linux/address.ts';
import { EEXIST } from '../../linux/errno.ts';
import { changeLink, deleteLink, getLink, newLink } from '../../linux/link.ts';
import { isNetlinkError, type NetlinkSocket, type Request } from '../../linux/netlink.ts';
import { type Cidr, formatCidr } from '../../noise/ip.ts';

const IPIP_OVERHEAD = 20;

/** The address, and nothing else of global scope; null: none. Answers whether anything had to be done. */
export const keepLink = (
  socket: NetlinkSocket,
  name: string,
  want: { readonly address: Cidr | null; readonly mtu: number; readonly up: boolean },
): boolean => {
  const link = getLink(socket, name);
  if (link === undefined) return false;
  const wanted = want.address === null ? null : formatCidr(want.address);
  const have = listAddresses(socket, { link: link.index }).filter(({ scope }) => scope === SCOPE_GLOBAL);
  const requests: Request[] = [];
  if (link.mtu !== want.mtu) requests.push(changeLink(link.index, { mtu: want.mtu }));
  // The old one first: the kernel takes away with a primary address all that came after it in its subnet.
  for (const { address } of have)
    if (address !== wanted) requests.push(deleteAddress({ link: link.index, address }));
  if (wanted !== null && !have.some(({ address }) => address === wanted))
    requests.push(newAddress({ link: link.index, address: wanted }));
  if (link.up !== want.up) requests.push(changeLink(link.index, { up: want.up }));
  socket.batch(requests);
  return requests.length > 0;
};

/** The IPIP link, made when it is missing. */
export const keepTunnel = (
  socket: NetlinkSocket,
  name: string,
  want: { readonly address: Cidr | null; readonly outerMtu: number },
): boolean => {
  const made = getLink(socket, name) === undefined;
  if (made) {
    try {
      socket.request(newLink({ kind: 'ipip', name, mtu: want.outerMtu - IPIP_OVERHEAD, up: true }));
    } catch (error) {
      // The module makes a link of this name by itself when it is loaded.
      if (!isNetlinkError(error, EEXIST)) throw error;
    }
  }
  const changed = keepLink(socket, name, {
    address: want.address,
    mtu: want.outerMtu - IPIP_OVERHEAD,
    up: true,
  });
  return made || changed;
};

export const removeLink = (socket: NetlinkSocket, name: string): void => {
  if (getLink(socket, name) !== undefined) socket.request(deleteLink(name));
};
