/**
 * Sockets opened inside a network namespace and used from outside: a socket belongs for good to the namespace it was made
 * in, so the calling thread only has to be there for the moment of making it.
 * Sources: ip(7), raw(7), packet(7), socket(7).
 * @module
 */

import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { closeSync } from 'node:fs';
import { type Server, Socket } from 'node:net';
import { sys } from '#sys';
import { enterNamespace, namespacePath } from '../linux/namespaces.ts';
import { openPingSocket as openHere } from '../linux/ping-socket.ts';
import { AF_INET, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_STREAM, SOL_SOCKET } from '../linux/sys.ts';

const SO_REUSEADDR = 2;

/** struct sockaddr_in, linux/in.h. */
export function socketAddress(ip: string, port: number): Uint8Array {
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setUint16(0, AF_INET, true);
  new DataView(bytes.buffer).setUint16(2, port);
  bytes.set(ip.split('.').map(Number), 4);
  return bytes;
}

const guarded = (fd: number, prepare: (fd: number) => void): number => {
  try {
    prepare(fd);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
};

const openSocket = (netns: string, type: number): number =>
  enterNamespace(namespacePath(netns), () => sys.socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));

/** A bound TCP socket for `server.listen({ fd })`. */
export function bindStream(netns: string, ip: string, port: number): number {
  return guarded(openSocket(netns, SOCK_STREAM), (fd) => {
    sys.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    sys.bind(fd, socketAddress(ip, port));
  });
}

/** A raw ICMP socket that hears echo replies only. */
export const openPingSocket = (netns: string): number =>
  enterNamespace(namespacePath(netns), () => openHere());

/** A UDP socket of Node's, bound inside. */
export function openDatagramSocket(netns: string, ip: string, port: number): Promise<DatagramSocket> {
  const fd = guarded(openSocket(netns, SOCK_DGRAM), (fd) => {
    sys.bind(fd, socketAddress(ip, port));
  });
  const socket = createSocket('udp4');
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind({ fd }, () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}

/** A TCP connection of Node's, made inside; the descriptor given to it is connected by Node itself. */
export function connectStream(netns: string, ip: string, port: number): Socket {
  const socket = new Socket({
    fd: openSocket(netns, SOCK_STREAM),
    manualStart: true,
  } as ConstructorParameters<typeof Socket>[0]);
  return socket.connect({ host: ip, port });
}

/**
 * The descriptor behind a connected stream. It is not part of Node's documented API, but there is no other way to the socket
 * options and calls Node has no name for.
 */
export function descriptorOf(socket: Socket): number {
  const fd: unknown = (socket as unknown as { _handle?: { fd?: unknown } | null })._handle?.fd;
  return typeof fd === 'number' ? fd : -1;
}

export const listenOn = (server: Server, fd: number): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ fd }, resolve);
  });
