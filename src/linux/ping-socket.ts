/**
 * A socket for echo requests that hears echo replies only: ping without the ping group.
 * Sources: raw(7); include/uapi/linux/icmp.h (ICMP_FILTER).
 * @module
 */
import { closeSync } from 'node:fs';
import { sys } from '#sys';
import { AF_INET, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_RAW } from './sys.ts';

const IPPROTO_ICMP = 1;
const SOL_RAW = 255;
/** A set bit keeps that type away. */
const ICMP_FILTER = 1;
const ICMP_ECHOREPLY = 0;

/** In the network namespace of the calling thread. @throws SystemError without CAP_NET_RAW. */
export const openPingSocket = (): number => {
  const fd = sys.socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMP);
  try {
    sys.setsockopt(fd, SOL_RAW, ICMP_FILTER, ~(1 << ICMP_ECHOREPLY));
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
};
