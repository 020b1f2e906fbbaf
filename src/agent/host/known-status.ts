/**
 * A device's answers to `get`, one after the other: what is said of a peer in the same bytes as the last time is not read again,
 * and an answer that is the same all over is the very same value. Of a thousand peers few have said anything in half a minute.
 * Source: wireguard.com/xplatform (a peer's lines begin with its public_key).
 * @module
 */
import type { DeviceStatus, PeerStatus } from '../../noise/device-config.ts';
import { parseGet } from '../../noise/uapi-text.ts';

const PEER = Buffer.from('\npublic_key=');
const END = Buffer.from('\nerrno=');

interface Known {
  /** With secrets in it. */
  readonly answer: Buffer;
  /** Where each peer's lines begin, and where the last one's end. */
  readonly bounds: readonly number[];
  readonly status: DeviceStatus;
}

export class KnownStatus {
  #known: Known | null = null;

  /** Keeps the answer, and wipes the one before it. @throws UapiReplyError */
  read(answer: Buffer): DeviceStatus {
    const before = this.#known;
    if (before?.answer.equals(answer) === true) {
      answer.fill(0);
      return before.status;
    }
    const bounds = boundsOf(answer);
    const status = (before && readAgainst(before, answer, bounds)) ?? parseGet(answer.toString('latin1'));
    this.#known = { answer, bounds, status };
    before?.answer.fill(0);
    return status;
  }
}

const boundsOf = (answer: Buffer): number[] => {
  const bounds: number[] = [];
  for (let at = answer.indexOf(PEER); at >= 0; at = answer.indexOf(PEER, at + PEER.length)) bounds.push(at);
  const end = answer.lastIndexOf(END);
  bounds.push(end < 0 ? answer.length : end);
  return bounds;
};

/** Null where peers came or went, or nothing is as it was. */
const readAgainst = (before: Known, answer: Buffer, bounds: readonly number[]): DeviceStatus | null => {
  if (bounds.length !== before.bounds.length) return null;
  const changed: number[] = [];
  // What stands before the peers and after them is always read.
  const pieces = [answer.toString('latin1', 0, bounds[0])];
  for (let at = 0; at + 1 < bounds.length; at++) {
    const [from = 0, to = 0] = [bounds[at], bounds[at + 1]];
    const [since = 0, until = 0] = [before.bounds[at], before.bounds[at + 1]];
    if (before.answer.compare(answer, from, to, since, until) === 0) continue;
    changed.push(at);
    pieces.push(answer.toString('latin1', from, to));
  }
  pieces.push(answer.toString('latin1', bounds.at(-1)));
  const { peers: fresh, ...device } = parseGet(pieces.join(''));
  const peers: PeerStatus[] = [...before.status.peers];
  if (fresh.length !== changed.length || peers.length !== bounds.length - 1) return null;
  for (const [at, index] of changed.entries()) peers[index] = fresh[at] as PeerStatus;
  return { ...device, peers };
};
