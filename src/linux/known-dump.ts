/**
 * A table of the kernel that is asked for again and again: as long as the answer is the same, byte for byte, so is what was
 * made of it, the very same value, and whoever builds upon it can see at a glance that there is nothing to do.
 * Source: Documentation/userspace-api/netlink/intro.rst ("Dumps").
 * @module
 */
import { ENOENT } from './errno.ts';
import { isNetlinkError, type NetlinkSocket, type Request } from './netlink.ts';
import { entriesOf, type Message } from './netlink-message.ts';

export class KnownDump<Result> {
  readonly #request: Request;
  readonly #read: (messages: readonly Message[]) => Result;
  #known: { readonly datagrams: readonly Uint8Array[]; readonly result: Result } | null = null;

  constructor(request: Request, read: (messages: readonly Message[]) => Result) {
    this.#request = request;
    this.#read = read;
  }

  /** What the kernel holds now. A table that does not exist is empty. */
  read(socket: NetlinkSocket): Result {
    const datagrams = this.#dump(socket);
    if (this.#known === null || !sameBytes(this.#known.datagrams, datagrams))
      this.#known = { datagrams, result: this.#read(entriesOf(datagrams)) };
    return this.#known.result;
  }

  #dump(socket: NetlinkSocket): Uint8Array[] {
    try {
      return socket.dumpBytes(this.#request);
    } catch (error) {
      if (isNetlinkError(error, ENOENT)) return [];
      throw error;
    }
  }
}

const sameBytes = (a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean =>
  a.length === b.length && a.every((datagram, at) => Buffer.compare(datagram, b[at] ?? datagram) === 0);
