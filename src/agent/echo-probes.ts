/**
 * Echo requests to many addresses from one raw socket, which is read when somebody looks: an answer needs no wake-up of its own.
 * The kernel of whoever is probed answers, whatever runs there.
 * Source: RFC 792; raw(7).
 * @module
 */
import { closeSync } from 'node:fs';
import { sys } from '#sys';
import { createEchoRequest, readEchoReply } from '../linux/icmp.ts';
import { openPingSocket } from '../linux/ping-socket.ts';
import { AF_INET, MSG_DONTWAIT, WOULD_BLOCK } from '../linux/sys.ts';

export interface Probes {
  readonly send: (address: string) => void;
  /** Who has answered since the last time. */
  readonly answers: () => ReadonlySet<string>;
  readonly close: () => void;
}

const PAYLOAD = 8;
const LONGEST_ANSWER = 512;

/** struct sockaddr_in of a dotted address. */
const socketAddress = (address: string): Uint8Array => {
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setUint16(0, AF_INET, true);
  bytes.set(address.split('.').map(Number), 4);
  return bytes;
};

/**
 * @param id Tells our answers from those to other programs.
 * @throws SystemError without CAP_NET_RAW.
 */
export const echoProbes = (id: number): Probes => {
  const fd = openPingSocket();
  const buffer = new Uint8Array(LONGEST_ANSWER);
  let sequence = 0;
  return {
    send: (address) => {
      sequence = (sequence + 1) & 0xffff;
      try {
        sys.sendto(fd, createEchoRequest({ id, sequence }, PAYLOAD), MSG_DONTWAIT, socketAddress(address));
      } catch {
        // No route, or nobody at the next hop: it is lost like any other.
      }
    },
    answers: () => {
      const from = new Set<string>();
      for (;;) {
        let length: number;
        try {
          length = sys.recvfrom(fd, buffer, MSG_DONTWAIT, null);
        } catch {
          continue; // an error that a probe brought back; reading it clears it
        }
        if (length === WOULD_BLOCK) return from;
        const reply = readEchoReply(buffer.subarray(0, length));
        if (reply?.id === id) from.add(reply.from);
      }
    },
    close: () => closeSync(fd),
  };
};
