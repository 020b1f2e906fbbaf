/**
 * Duplicate address detection (RFC 4862 §5.4), waited for: `enabledad`. The kernel tells when an address is ours.
 * @module
 */

import { listAddresses } from '../linux/address.ts';
import type { NetlinkSocket } from '../linux/netlink.ts';
import { RTNLGRP_IPV6_IFADDR, subscribeToRoutes } from '../linux/rtnetlink.ts';
import { CniError } from './cni-error.ts';
import { waitForEvent } from './port-state.ts';

const IFA_F_DADFAILED = 0x08;
const IFA_F_TENTATIVE = 0x40;
const deadlineMs = 5000;

/** In the namespace the thread is in; before the addresses are added, so that nothing is missed. */
export const watchAddresses = (): NetlinkSocket => subscribeToRoutes([RTNLGRP_IPV6_IFADDR]);

export function waitForAddresses(watch: NetlinkSocket, socket: NetlinkSocket, link: number): void {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const addresses = listAddresses(socket, { link, family: 6 });
    const failed = addresses.find(({ flags }) => (flags & IFA_F_DADFAILED) !== 0);
    if (failed !== undefined)
      throw new CniError('ERR_CNI_ADDRESS', `somebody else on the link has ${failed.address} already`);
    const waiting = addresses.find(({ flags }) => (flags & IFA_F_TENTATIVE) !== 0);
    if (waiting === undefined) return;
    const left = deadline - performance.now();
    if (left <= 0)
      throw new CniError('ERR_CNI_TRY_AGAIN', `${waiting.address} is still tentative after 5 s; try again`);
    waitForEvent(watch, left);
  }
}
