/**
 * A netlink socket: synchronous requests with acknowledgement, dumps, batches in one write, and multicast groups.
 * Sources: include/uapi/linux/netlink.h, Documentation/userspace-api/netlink/intro.rst. The kernel answers a request inside
 * the write, so the descriptor is never waited on: an answer that is not there was lost, which is an error, not a hang.
 * @module
 */
import { closeSync, readSync, sys, writeSync } from '#sys';
import { EAGAIN, ENOBUFS } from './errno.ts';
import { NetlinkError, type Request } from './netlink-error.ts';
import {
  entriesOf,
  errnoOf,
  extackOf,
  LITTLE_ENDIAN,
  type Message,
  MessageWriter,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
  NLMSG_ERROR,
  NLMSG_NOOP,
  NLMSG_OVERRUN,
  readMessages,
  takeOffSequence,
} from './netlink-message.ts';
import { AF_NETLINK, POLLIN, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_RAW, SOL_SOCKET } from './sys.ts';

export { isNetlinkError, NetlinkError, type Request } from './netlink-error.ts';

export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;
export const NETLINK_GENERIC = 16;

const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;

/** The kernel never builds a larger answer for one read (netlink_dump caps its buffer at 32 KiB). */
const DATAGRAM = 65_536;
/** Acknowledgements of one write must fit the default receive buffer (212992, about 800 each with overhead). */
const BATCH_MESSAGES = 128;
const BATCH_BYTES = 32_768;
const DUMP_ATTEMPTS = 10;
/** One write must fit the send buffer, 212992 unless raised. */
const SEND_BUFFER = 200_000;

/** struct sockaddr_nl with port 0: the kernel chooses one. */
const socketAddress = (): Uint8Array => {
  const address = new Uint8Array(12);
  new DataView(address.buffer).setUint16(0, AF_NETLINK, LITTLE_ENDIAN);
  return address;
};

/** struct pollfd */
const pollfdOf = (fd: number): Uint8Array => {
  const pollfd = new Uint8Array(8);
  const view = new DataView(pollfd.buffer);
  view.setInt32(0, fd, LITTLE_ENDIAN);
  view.setInt16(4, POLLIN, LITTLE_ENDIAN);
  return pollfd;
};

const buffer = new Uint8Array(DATAGRAM);

export interface NetlinkOptions {
  readonly protocol: number;
  /** Multicast groups to join (RTNLGRP_LINK …). */
  readonly groups?: readonly number[];
}

export class NetlinkSocket {
  readonly fd: number;
  #sequence = 0;
  #closed = false;
  #pollfd: Uint8Array | undefined;

  private constructor(fd: number) {
    this.fd = fd;
  }

  /** The socket belongs for good to the network namespace the calling thread is in now. */
  static open(options: NetlinkOptions): NetlinkSocket {
    const fd = sys.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, options.protocol);
    try {
      sys.setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, 1);
      sys.setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, 1);
      sys.setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
      if (options.groups) {
        // A burst of events must not be lost while this process is busy.
        sys.setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20);
        // A socket that only listens never gets a port by sending, and the kernel passes over those without one.
        sys.bind(fd, socketAddress());
        for (const group of options.groups) sys.setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group);
      }
      return new NetlinkSocket(fd);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Another process sends it, which outlives this one and is waited for by nobody: for what takes the kernel long. Only
   * exit may follow, see `Sys.writeInBackground`. False where that cannot be done: send it yourself then.
   */
  requestInBackground(request: Request): boolean {
    const writer = new MessageWriter(256);
    writer.message(request.type, request.flags | NLM_F_REQUEST, ++this.#sequence, request.body);
    return sys.writeInBackground(this.fd, writer.bytes);
  }

  /** Sends one request and waits for its acknowledgement. */
  request(request: Request): void {
    this.batch([request]);
  }

  /**
   * Sends requests in as few writes as fit. The kernel carries out each on its own, in order, also after one that failed;
   * the first failure is thrown when all have been answered.
   */
  batch(requests: readonly Request[]): void {
    const failed = this.tryBatch(requests).find((error) => error !== undefined);
    if (failed) throw failed;
  }

  /** As batch, but answers each request's own error, or undefined where it succeeded. */
  tryBatch(requests: readonly Request[]): (NetlinkError | undefined)[] {
    const results: (NetlinkError | undefined)[] = [];
    for (let at = 0; at < requests.length; ) {
      const writer = new MessageWriter();
      const first = this.#sequence + 1;
      const sent: Request[] = [];
      while (at < requests.length && sent.length < BATCH_MESSAGES && writer.length < BATCH_BYTES) {
        const request = requests[at++];
        if (request === undefined) break;
        writer.message(
          request.type,
          request.flags | NLM_F_REQUEST | NLM_F_ACK,
          ++this.#sequence,
          request.body,
        );
        sent.push(request);
      }
      const one = sent[0];
      if (one === undefined) break;
      this.#write(one, writer);
      results.push(...this.#acknowledgements(sent, first));
    }
    return results;
  }

  #acknowledgements(sent: readonly Request[], first: number): (NetlinkError | undefined)[] {
    const results = new Array<NetlinkError | undefined>(sent.length);
    let missing = sent.length;
    while (missing > 0) {
      const waiting = sent[sent.length - missing] ?? { name: 'netlink', subject: 'an answer' };
      for (const message of this.#read(waiting)) {
        const at = message.sequence - first;
        const request = sent[at];
        if (message.type !== NLMSG_ERROR || request === undefined) continue;
        missing--;
        const errno = errnoOf(message);
        if (errno !== 0) results[at] = new NetlinkError(request, errno, extackOf(message));
      }
    }
    return results;
  }

  /**
   * All or nothing, in one write (nfnetlink): `begin` and `end` frame the requests. The kernel names every request it
   * refuses; the first of them is thrown, and nothing of the rest is done.
   */
  transaction(begin: Request, requests: readonly Request[], end: Request): void {
    const last = requests.at(-1);
    if (last === undefined) return;
    const writer = new MessageWriter(4096);
    const first = this.#sequence + 1;
    const sent = [begin, ...requests, end];
    for (const request of sent) {
      // One acknowledgement stands for all: those refused are answered anyway.
      const flags = NLM_F_REQUEST | (request === last ? NLM_F_ACK : 0);
      writer.message(request.type, request.flags | flags, ++this.#sequence, request.body);
    }
    if (writer.length > SEND_BUFFER) {
      sys.setsockopt(this.fd, SOL_SOCKET, SO_SNDBUFFORCE, writer.length);
      sys.setsockopt(this.fd, SOL_SOCKET, SO_RCVBUFFORCE, writer.length);
    }
    this.#write(last, writer);
    const { messages } = this.drain();
    let done = false;
    for (const message of messages) {
      const request = sent[message.sequence - first];
      if (message.type !== NLMSG_ERROR || request === undefined) continue;
      const errno = errnoOf(message);
      if (errno !== 0) throw new NetlinkError(request, errno, extackOf(message));
      done = true;
    }
    if (!done) throw new NetlinkError(last, EAGAIN, 'nothing: no answer came');
  }

  /** A request answered by one message (RTM_GETLINK of one link). */
  get(request: Request): Message {
    const sequence = this.#send(request, NLM_F_REQUEST);
    for (;;) {
      for (const message of this.#read(request)) {
        if (message.sequence !== sequence || message.type === NLMSG_NOOP) continue;
        if (message.type !== NLMSG_ERROR) return message;
        throw new NetlinkError(request, errnoOf(message), extackOf(message));
      }
    }
  }

  /** All entries of a table. Starts again when the table changed while it was read (NLM_F_DUMP_INTR). */
  dump(request: Request): Message[] {
    return entriesOf(this.dumpBytes(request));
  }

  /** As `dump`, as it came, for `entriesOf`: the same bytes for as long as the table is the same. */
  dumpBytes(request: Request): Uint8Array[] {
    for (let attempt = 1; ; attempt++) {
      const datagrams: Uint8Array[] = [];
      const whole = this.#dumpOnce(request, datagrams);
      // After many attempts under constant change the last answer is as good as any.
      if (whole || attempt === DUMP_ATTEMPTS) return datagrams;
    }
  }

  #dumpOnce(request: Request, datagrams: Uint8Array[]): boolean {
    const sequence = this.#send(request, NLM_F_REQUEST | NLM_F_DUMP);
    let whole = true;
    for (;;) {
      const datagram = this.#receive(request);
      const { flags, isCut, end } = takeOffSequence(datagram, sequence);
      if (isCut) throw new NetlinkError(request, ENOBUFS, 'the answer is cut short');
      if ((flags & NLM_F_DUMP_INTR) !== 0) whole = false;
      datagrams.push(datagram);
      if (end === undefined) continue;
      const errno = errnoOf(end);
      if (errno !== 0) throw new NetlinkError(request, errno, extackOf(end));
      return whole;
    }
  }

  /** Whether something has arrived, or was lost: an empty `drain` costs more than this question. */
  get isReadable(): boolean {
    this.#pollfd ??= pollfdOf(this.fd);
    return sys.poll(this.#pollfd, 0) > 0;
  }

  /**
   * The multicast messages that have arrived, without waiting; call it when the descriptor is readable. `lost` says that
   * the kernel had to drop some, so that the caller reads its tables afresh.
   */
  drain(): { readonly messages: readonly Message[]; readonly lost: boolean } {
    const messages: Message[] = [];
    let lost = false;
    for (;;) {
      try {
        const length = readSync(this.fd, buffer);
        messages.push(...readMessages(buffer.slice(0, length)));
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code;
        if (code === 'ENOBUFS') lost = true;
        else if (code === 'EAGAIN') return { messages, lost };
        else throw error;
      }
    }
  }

  #send(request: Request, flags: number): number {
    const writer = new MessageWriter(256);
    writer.message(request.type, request.flags | flags, ++this.#sequence, request.body);
    this.#write(request, writer);
    return this.#sequence;
  }

  #write(request: Request, writer: MessageWriter): void {
    try {
      writeSync(this.fd, writer.bytes);
    } catch (cause) {
      throw this.#failure(request, cause);
    }
  }

  #read(request: Pick<Request, 'name' | 'subject'>): Message[] {
    const messages = readMessages(this.#receive(request));
    if (messages.length === 0 || messages.some((message) => message.type === NLMSG_OVERRUN)) {
      throw new NetlinkError(request, ENOBUFS, 'the answer is cut short');
    }
    return messages;
  }

  #receive(request: Pick<Request, 'name' | 'subject'>): Uint8Array {
    try {
      return buffer.slice(0, readSync(this.fd, buffer));
    } catch (cause) {
      throw this.#failure(request, cause);
    }
  }

  #failure(request: Pick<Request, 'name' | 'subject'>, cause: unknown): NetlinkError {
    const errno = -((cause as NodeJS.ErrnoException).errno ?? 0);
    return new NetlinkError(request, errno, errno === EAGAIN ? 'nothing: no answer came' : undefined, cause);
  }
}
