/**
 * Watches the wan while the checks run: counts the WireGuard datagrams that pass between the clouds, and catches everything
 * that is not one.
 * Source: packet(7) (PACKET_STATISTICS counts what the filter took, read or not), linux/filter.h (SO_ATTACH_FILTER).
 * @module
 */
import { closeSync } from 'node:fs';
import { sys } from '#sys';
import { addressOf, getsockopt } from '../../linux/libc.ts';
import { enterNamespace, namespacePath } from '../../linux/namespaces.ts';
import {
  AF_PACKET,
  MSG_DONTWAIT,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOL_SOCKET,
  WOULD_BLOCK,
} from '../../linux/sys.ts';
import { describePacket, SNAP_LENGTH, wanFilter } from '../wan-filter.ts';

const ETH_P_ALL = 0x0003;
const SO_RCVBUF = 8;
const SO_ATTACH_FILTER = 26;
const SOL_PACKET = 263;
const PACKET_STATISTICS = 6;
/** Enough to name the culprits; the count comes from the kernel. */
const KEPT = 3;

export interface Captured {
  /** WireGuard packets; the datagrams of one batch travel as one. */
  readonly wireguard: number;
  readonly plaintext: number;
  /** The first few of the plaintext ones, in words. */
  readonly examples: readonly string[];
}

const openTap = (netns: string, take: 'wireguard' | 'other'): number => {
  // Protocol 0: nothing is taken before the filter stands.
  const fd = enterNamespace(namespacePath(netns), () =>
    sys.socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
  );
  try {
    const filter = wanFilter(take);
    // struct sock_fprog { u16 length; struct sock_filter *filter; }
    const program = new DataView(new ArrayBuffer(16));
    program.setUint16(0, filter.length / 8, true);
    program.setBigUint64(8, BigInt(addressOf(filter)), true);
    sys.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, new Uint8Array(program.buffer));
    if (take === 'wireguard') sys.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, 0); // only counted, never read
    // struct sockaddr_ll with interface 0: all of the namespace's.
    const address = new DataView(new ArrayBuffer(20));
    address.setUint16(0, AF_PACKET, true);
    address.setUint16(2, ETH_P_ALL);
    sys.bind(fd, new Uint8Array(address.buffer));
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
};

/** What the filter took since the last call: struct tpacket_stats { u32 packets, drops }. */
const countTaken = (fd: number): number => {
  const statistics = new DataView(new ArrayBuffer(8));
  const length = new Uint8Array(new Int32Array([8]).buffer);
  getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, new Uint8Array(statistics.buffer), length);
  return statistics.getUint32(0, true);
};

export class WanCapture {
  readonly #wireguard: number;
  readonly #other: number;
  #closed = false;

  constructor(netns: string) {
    this.#wireguard = openTap(netns, 'wireguard');
    try {
      this.#other = openTap(netns, 'other');
    } catch (error) {
      closeSync(this.#wireguard);
      throw error;
    }
  }

  /** Ends the capture and tells what passed. */
  finish(): Captured {
    const examples: string[] = [];
    const packet = new Uint8Array(SNAP_LENGTH);
    for (;;) {
      const length = sys.recvfrom(this.#other, packet, MSG_DONTWAIT, null);
      if (length === WOULD_BLOCK || examples.length === KEPT) break;
      examples.push(describePacket(packet.subarray(0, length)));
    }
    const captured = {
      wireguard: countTaken(this.#wireguard),
      plaintext: countTaken(this.#other),
      examples,
    };
    this.close();
    return captured;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.#wireguard);
    closeSync(this.#other);
  }
}
