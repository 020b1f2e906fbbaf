/**
 * A WireGuard device by its control socket: reads what it has, changes what differs.
 * Source: wireguard.com/xplatform; any userspace implementation answers to it.
 * @module
 */
import { connect } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import type {
  DeviceChange,
  DeviceConfig,
  DeviceStatus,
  PeerChange,
  PeerStatus,
} from '../../noise/device-config.ts';
import { formatSet, joinChunks, parseSetReply } from '../../noise/uapi-text.ts';
import { diffDevices } from '../../routing/diff.ts';
import { keyText } from '../../routing/key-text.ts';
import { AgentError } from '../agent-error.ts';
import { boringtunKey, inOurTime, madeAnew, withOwnKey } from './boringtun.ts';
import { KnownStatus } from './known-status.ts';

const ANSWER_TIMEOUT_MS = 3000;
const LONGEST_ANSWER = 64 << 20;
const REPLY_END = /(?:^|\n)errno=-?\d+\n\n$/;
/** More than the line of the errno and its end. */
const REPLY_END_ROOM = 32;

export class DeviceControl {
  readonly path: string;
  /** Until it was asked in vain. */
  #tellsMore = true;
  /** The public key of a device that is boringtun. */
  #boringtunKey: string | undefined;
  readonly #known = new KnownStatus();
  readonly #observed = new KnownStatus();
  /** What was found as it was wanted. */
  #right: { readonly have: DeviceStatus; readonly want: DeviceConfig } | null = null;

  constructor(path: string) {
    this.path = path;
  }

  async read(): Promise<DeviceStatus> {
    const answer = await this.#converse(Buffer.from('get=1\n\n'));
    this.#boringtunKey = boringtunKey(answer);
    const status = this.#known.read(answer);
    return this.#boringtunKey === undefined ? status : inOurTime(status, Date.now());
  }

  /** Without secrets, and with round trips and path MTUs where the device is ours; another one hangs up on that question. */
  async observe(): Promise<DeviceStatus> {
    if (this.#tellsMore) {
      try {
        return this.#observed.read(await this.#converse(Buffer.from('kilowire_get=1\n\n')));
      } catch {
        // It is another one, or not there: the plain question tells which.
      }
    }
    const { privateKey: _, ...status } = await this.read();
    this.#tellsMore = false;
    return status;
  }

  async change(change: DeviceChange): Promise<void> {
    const request = joinChunks(formatSet(change));
    let errno: number;
    try {
      errno = parseSetReply((await this.#converse(request)).toString('latin1'));
    } finally {
      request.fill(0); // it may hold the private key
    }
    if (errno !== 0)
      throw new AgentError(
        'ERR_AGENT_DEVICE',
        `The device at ${this.path} refused its configuration (errno ${errno}).`,
      );
  }

  /**
   * Makes it shake hands with all peers it can dial: a keepalive that is switched on is sent at once. Peers hold sessions
   * with the device that was here before and would send into the void for 15 s (WireGuard paper §6.2, §6.4).
   */
  async greet(config: DeviceConfig): Promise<void> {
    const quiet = config.peers.filter((peer) => peer.endpoint !== undefined && !peer.persistentKeepalive);
    for (const persistentKeepalive of [1, 0]) {
      const peers = quiet.map(({ publicKey }) => ({ publicKey, updateOnly: true, persistentKeepalive }));
      if (peers.length > 0) await this.change({ peers });
    }
  }

  /** Makes it so; answers how many peers were touched, and whether anything was. */
  async configure(
    have: DeviceStatus,
    want: DeviceConfig,
  ): Promise<{ readonly changed: boolean; readonly peers: number }> {
    const right = this.#right;
    this.#right = null;
    if (right?.want === want && isSameDevice(right.have, have)) {
      this.#right = { have, want };
      return { changed: false, peers: 0 };
    }
    const change = diffDevices(this.#boringtunKey ? withOwnKey(have, want, this.#boringtunKey) : have, want);
    if (change === null) {
      this.#right = { have, want };
      return { changed: false, peers: 0 };
    }
    if (this.#boringtunKey !== undefined) {
      await this.change({ ...change, peers: change.peers.flatMap((peer) => madeAnew(peer, want)) });
      return { changed: true, peers: change.peers.length };
    }
    // Somebody may have been heard since: what is known of those to be dialled anew must be fresh.
    const fresh = change.peers.some(movesOnly) ? await this.read() : have;
    await this.change({ ...change, peers: change.peers.flatMap((peer) => dialledAnew(peer, fresh, want)) });
    return { changed: true, peers: change.peers.length };
  }

  #converse(request: Uint8Array): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.path);
      const pieces: Buffer[] = [];
      let length = 0;
      const fail = (why: string, cause?: unknown): void => {
        const message = `The WireGuard device at ${this.path} does not answer: ${why}.`;
        reject(new AgentError('ERR_AGENT_DEVICE', message, cause === undefined ? undefined : { cause }));
      };
      socket.setTimeout(ANSWER_TIMEOUT_MS, () => {
        fail(`nothing came for ${ANSWER_TIMEOUT_MS} ms`);
        socket.destroy();
      });
      socket.on('error', (cause) => fail(cause.message, cause));
      socket.on('data', (piece) => {
        pieces.push(piece);
        length += piece.length;
        if (length > LONGEST_ANSWER) socket.destroy(new Error('its answer has no end'));
        if (piece.at(-1) !== 0x0a) return;
        const tail = piece.length < REPLY_END_ROOM ? Buffer.concat(pieces.slice(-2)) : piece;
        if (!REPLY_END.test(tail.toString('latin1', Math.max(0, tail.length - REPLY_END_ROOM)))) return;
        const answer = Buffer.concat(pieces);
        for (const each of pieces) each.fill(0); // the answer to a get holds the private key
        socket.destroy();
        resolve(answer);
      });
      socket.on('close', () => fail('it closed the connection'));
      socket.write(request);
    });
  }
}

/** Whether two readings differ in nothing but what peers did, peer by peer. */
const isSameDevice = (a: DeviceStatus, b: DeviceStatus): boolean =>
  a === b ||
  (a.peers.length === b.peers.length &&
    isDeepStrictEqual({ ...a, peers: null }, { ...b, peers: null }) &&
    a.peers.every((peer, at) => {
      const other = b.peers[at];
      return other !== undefined && (peer === other || isSamePeer(peer, other));
    }));

const isSamePeer = (a: PeerStatus, b: PeerStatus): boolean =>
  isDeepStrictEqual({ ...a, ...AT_REST }, { ...b, ...AT_REST });

/** What a peer does by itself. */
const AT_REST = { lastHandshake: null, txBytes: 0, rxBytes: 0, roundTrip: 0, pathMtu: 0 };

const movesOnly = ({ updateOnly, endpoint }: PeerChange): boolean =>
  updateOnly === true && endpoint !== undefined;

/**
 * A peer that never answered where it was, and is elsewhere now, is made anew: a device dials a new peer at once, an old one at
 * its next retry, five seconds later (WireGuard paper §6.1). One that has said anything keeps what it has begun.
 */
export const dialledAnew = (
  change: PeerChange,
  have: DeviceStatus,
  want: DeviceConfig,
): readonly PeerChange[] => {
  if (!movesOnly(change)) return [change];
  const key = keyText(change.publicKey);
  const there = have.peers.find(({ publicKey }) => keyText(publicKey) === key);
  const wanted = want.peers.find(({ publicKey }) => keyText(publicKey) === key);
  const silent = there !== undefined && there.rxBytes === 0 && there.lastHandshake.seconds === 0;
  // Without a keepalive it is not dialled before there is something to send.
  const dialled = wanted !== undefined && (wanted.persistentKeepalive ?? 0) > 0;
  return silent && dialled ? [{ publicKey: change.publicKey, remove: true }, wanted] : [change];
};
