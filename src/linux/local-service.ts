/**
 * What a process needs that stays behind and serves others of its machine over a socket of whole messages.
 * Sources: unix(7) SOCK_SEQPACKET and SO_PEERCRED, setsid(2), ppoll(2).
 * @module
 */

export interface Peer {
  readonly pid: number;
  readonly uid: number;
}

export interface LocalService {
  /** A socket that is bound to the path, which nothing may be at, and listens. Answers its descriptor. */
  listen(path: string, backlog: number): number;
  /** The next connection, or -1 when there is none. */
  accept(listener: number): number;
  peerOf(connection: number): Peer;
  /** Length of the next message, 0 at the end, -1 when there is none yet. */
  receive(connection: number, into: Uint8Array): number;
  /** False when the other side has gone, or does not read. */
  send(connection: number, message: Uint8Array): boolean;
  /** Those of the descriptors that have something to read, or have ended; none after the time. */
  waitForAny(descriptors: readonly number[], milliseconds: number): readonly number[];
  readlink(path: string): string;
  /** A session of its own, in the root directory, with nothing at descriptors 0 to 2, whoever started it. */
  detach(): void;
  /** No signal any more when the parent ends. */
  outliveParent(): void;
}
