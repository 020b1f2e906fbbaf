/**
 * A port of a bridge passes nothing until the kernel has noticed, by itself and later, that both ends of the veth are
 * up. ADD answers only then: the container's first packet would be lost, and the second is sent after a second.
 * @module
 */

import { sys } from '#sys';
import { getLink, type Link } from '../linux/link.ts';
import type { NetlinkSocket } from '../linux/netlink.ts';
import { LITTLE_ENDIAN } from '../linux/netlink-message.ts';
import { RTNLGRP_LINK, subscribeToRoutes } from '../linux/rtnetlink.ts';
import { POLLIN } from '../linux/sys.ts';
import { CniError } from './cni-error.ts';
import { patience } from './patience.ts';

const deadlineMs = (): number => patience(5000, 100);

export function waitForPort(socket: NetlinkSocket, name: string): void {
  // Mostly it is up by now, and nothing has to be waited for.
  if (read(socket, name).operState === 'up') return;
  const deadline = performance.now() + deadlineMs();
  const watch = subscribeToRoutes([RTNLGRP_LINK]);
  try {
    for (;;) {
      const { operState } = read(socket, name);
      if (operState === 'up') return;
      const left = deadline - performance.now();
      if (left <= 0) throw new CniError('ERR_CNI_TRY_AGAIN', `bridge port in error state: ${operState}`);
      waitForEvent(watch, left);
    }
  } finally {
    watch.close();
  }
}

/** Returns when the kernel has told something, or after the time. */
export function waitForEvent(watch: NetlinkSocket, milliseconds: number): void {
  const ready = new DataView(new ArrayBuffer(8));
  ready.setInt32(0, watch.fd, LITTLE_ENDIAN);
  ready.setInt16(4, POLLIN, LITTLE_ENDIAN);
  sys.poll(new Uint8Array(ready.buffer), Math.ceil(milliseconds));
  watch.drain();
}

function read(socket: NetlinkSocket, name: string): Link {
  const link = getLink(socket, name);
  if (link === undefined)
    throw new CniError('ERR_CNI_TRY_AGAIN', `"${name}" was deleted while it was set up`);
  return link;
}
