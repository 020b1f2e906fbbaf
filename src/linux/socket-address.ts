/**
 * Socket addresses and times as the kernel keeps them in messages.
 * Source: include/uapi/linux/in.h (struct sockaddr_in), in6.h (sockaddr_in6), time_types.h (__kernel_timespec).
 * @module
 */
import { LITTLE_ENDIAN, type MessageWriter, viewOf } from './netlink-message.ts';
import { AF_INET, AF_INET6 } from './sys.ts';

export interface KernelEndpoint {
  readonly address: Uint8Array;
  readonly port: number;
  /** Index of the link of a link-local address; 0 without one. */
  readonly scope: number;
}

export interface KernelTime {
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** struct __kernel_timespec. */
export const readTime = (data: Uint8Array | undefined): KernelTime => {
  if (data === undefined || data.length < 16) return { seconds: 0, nanoseconds: 0 };
  const view = viewOf(data);
  return {
    seconds: Number(view.getBigInt64(0, LITTLE_ENDIAN)),
    nanoseconds: Number(view.getBigInt64(8, LITTLE_ENDIAN)),
  };
};

/** struct sockaddr_in, sockaddr_in6. */
export const readSocketAddress = (data: Uint8Array): KernelEndpoint | undefined => {
  const view = viewOf(data);
  const family = data.length < 2 ? 0 : view.getUint16(0, LITTLE_ENDIAN);
  if (family === AF_INET && data.length >= 8)
    return { address: data.slice(4, 8), port: view.getUint16(2), scope: 0 };
  if (family !== AF_INET6 || data.length < 28) return undefined;
  return {
    address: data.slice(8, 24),
    port: view.getUint16(2),
    scope: view.getUint32(24, LITTLE_ENDIAN),
  };
};

export const writeSocketAddress = (w: MessageWriter, { address, port, scope }: KernelEndpoint): void => {
  const isIpv4 = address.length === 4;
  w.u16(isIpv4 ? AF_INET : AF_INET6);
  w.be16(port);
  if (!isIpv4) w.u32(0);
  w.raw(address);
  if (isIpv4) w.raw(new Uint8Array(8));
  else w.u32(scope);
};
