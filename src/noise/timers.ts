/**
 * The five timers of every peer, and what moves them.
 * Source: WireGuard paper §6; kernel timers.c (names and rules); wireguard-go device/timers.go for the jitter.
 *
 *     retransmit      armed by every initiation sent            deleted when the handshake is complete
 *     keepalive       armed by data received                    deleted by anything authenticated that is sent
 *     newHandshake    armed by data sent                        deleted by anything authenticated that is received
 *     zeroKeys        armed by a session, and by giving up      only ever armed anew
 *     persistent      armed by anything authenticated, sent or received, while the interval is not 0
 *
 * Time comes in as monotonic milliseconds, chance as a function of [0, 1). `expire` names what is due and the caller
 * does it: the rules about counting, re-arming and giving up are in here, those about packets are not.
 * @module
 */
import {
  KEEPALIVE_TIMEOUT,
  MAX_TIMER_HANDSHAKES,
  NEW_HANDSHAKE_AFTER,
  REKEY_TIMEOUT,
  REKEY_TIMEOUT_JITTER,
  ZERO_KEYS_AFTER,
} from './constants.ts';
import { Deadlines } from './deadlines.ts';
import { growInt32, grownCapacity } from './growable.ts';

const TIMERS_PER_PEER = 5;
const RETRANSMIT = 0;
const SEND_KEEPALIVE = 1;
const NEW_HANDSHAKE = 2;
const ZERO_KEYS = 3;
const PERSISTENT = 4;

/** What `expire` found; `peer` says whose. */
export const NOTHING_DUE = 0;
/** No answer to an initiation: send the next one. */
export const RETRY_DUE = 1;
/** No answer to any of them: drop what is staged and wait for new traffic. */
export const GAVE_UP = 2;
/** Data was received and nothing sent since: say that we are there. Also the persistent keepalive. */
export const KEEPALIVE_DUE = 3;
/** Data was sent and nothing came back: the session may be dead, start a handshake. */
export const HANDSHAKE_DUE = 4;
/** The keys have not been renewed for too long: wipe them. */
export const ZERO_KEYS_DUE = 5;

export type TimerEvent = 0 | 1 | 2 | 3 | 4 | 5;

/* State words of a peer. */
const STATE_WORDS = 4;
const ATTEMPTS = 0;
const NEED_ANOTHER_KEEPALIVE = 1;
const SENT_LAST_MINUTE = 2;
const KEEPALIVE_INTERVAL = 3;

/** What `save` gives: when each timer is due, then the state words. */
export const TIMER_NUMBERS: number = TIMERS_PER_PEER + STATE_WORDS;

export class Timers {
  /** Whose event `expire` returned. */
  peer = -1;
  readonly #deadlines = new Deadlines();
  readonly #random: () => number;
  #state = new Int32Array(0);

  constructor(random: () => number) {
    this.#random = random;
  }

  ensurePeers(count: number): void {
    if (STATE_WORDS * count <= this.#state.length) return;
    const capacity = grownCapacity(this.#state.length / STATE_WORDS, count);
    this.#state = growInt32(this.#state, STATE_WORDS * capacity, 0);
    this.#deadlines.ensure(TIMERS_PER_PEER * capacity);
  }

  /** When `expire` next has something to say, Infinity when never. */
  nextDeadline(): number {
    return this.#deadlines.next();
  }

  /** Persistent keepalive in seconds, 0: off. */
  keepaliveInterval(peer: number): number {
    return this.#state[STATE_WORDS * peer + KEEPALIVE_INTERVAL] as number;
  }

  setKeepaliveInterval(peer: number, seconds: number): void {
    this.#state[STATE_WORDS * peer + KEEPALIVE_INTERVAL] = seconds;
    if (seconds === 0) this.#deadlines.disarm(TIMERS_PER_PEER * peer + PERSISTENT);
  }

  /** Initiations sent again in this series. */
  attempts(peer: number): number {
    return this.#state[STATE_WORDS * peer + ATTEMPTS] as number;
  }

  /** Somebody wants a handshake now: the count starts over, even if the initiation itself is held back. */
  restartAttempts(peer: number): void {
    this.#state[STATE_WORDS * peer + ATTEMPTS] = 0;
  }

  /** Peer removed or device down: nothing is due any more. The keepalive interval is configuration and stays. */
  stop(peer: number): void {
    for (let i = 0; i < TIMERS_PER_PEER; i += 1) this.#deadlines.disarm(TIMERS_PER_PEER * peer + i);
    const at = STATE_WORDS * peer;
    this.#state[at + ATTEMPTS] = 0;
    this.#state[at + NEED_ANOTHER_KEEPALIVE] = 0;
    this.#state[at + SENT_LAST_MINUTE] = 0;
  }

  /** Before any authenticated packet is sent and after any is received. */
  anyTraversal(peer: number, now: number): void {
    const interval = this.#state[STATE_WORDS * peer + KEEPALIVE_INTERVAL] as number;
    if (interval > 0) this.#deadlines.arm(TIMERS_PER_PEER * peer + PERSISTENT, now + interval * 1000);
  }

  /** Any authenticated packet is sent: data, keepalive or handshake. */
  anySent(peer: number): void {
    this.#deadlines.disarm(TIMERS_PER_PEER * peer + SEND_KEEPALIVE);
  }

  /** Any authenticated packet was received. */
  anyReceived(peer: number): void {
    this.#deadlines.disarm(TIMERS_PER_PEER * peer + NEW_HANDSHAKE);
  }

  /** A packet that is not a keepalive was sent. */
  dataSent(peer: number, now: number): void {
    const timer = TIMERS_PER_PEER * peer + NEW_HANDSHAKE;
    if (!this.#deadlines.isArmed(timer))
      this.#deadlines.arm(timer, now + NEW_HANDSHAKE_AFTER + this.#jitter());
  }

  /** A packet that is not a keepalive was received. A keepalive must not come here: two idle peers would never end. */
  dataReceived(peer: number, now: number): void {
    const timer = TIMERS_PER_PEER * peer + SEND_KEEPALIVE;
    if (this.#deadlines.isArmed(timer)) this.#state[STATE_WORDS * peer + NEED_ANOTHER_KEEPALIVE] = 1;
    else this.#deadlines.arm(timer, now + KEEPALIVE_TIMEOUT);
  }

  /** An initiation was sent, or the attempt to send it failed. */
  initiationSent(peer: number, now: number): void {
    this.#deadlines.arm(TIMERS_PER_PEER * peer + RETRANSMIT, now + REKEY_TIMEOUT + this.#jitter());
  }

  /** Both sides derived keys from a handshake, which is not yet confirmed for the responder. */
  sessionDerived(peer: number, now: number): void {
    this.#deadlines.arm(TIMERS_PER_PEER * peer + ZERO_KEYS, now + ZERO_KEYS_AFTER);
  }

  /** An initiation is out, and will be sent again. */
  isHandshaking(peer: number): boolean {
    return this.#deadlines.isArmed(TIMERS_PER_PEER * peer + RETRANSMIT);
  }

  /** The initiator got the response, or the responder the first packet under the new key. */
  handshakeComplete(peer: number): void {
    this.#deadlines.disarm(TIMERS_PER_PEER * peer + RETRANSMIT);
    this.#state[STATE_WORDS * peer + ATTEMPTS] = 0;
    this.#state[STATE_WORDS * peer + SENT_LAST_MINUTE] = 0;
  }

  /** True the first time it is called after a handshake: the one early rekey that receiving may cause. */
  claimLastMinute(peer: number): boolean {
    const at = STATE_WORDS * peer + SENT_LAST_MINUTE;
    if (this.#state[at] !== 0) return false;
    this.#state[at] = 1;
    return true;
  }

  /** Takes one thing that is due by now, with its consequences for the timers; call until it returns NOTHING_DUE. */
  expire(now: number): TimerEvent {
    const timer = this.#deadlines.take(now);
    if (timer < 0) return NOTHING_DUE;
    const peer = Math.floor(timer / TIMERS_PER_PEER);
    this.peer = peer;
    switch (timer - TIMERS_PER_PEER * peer) {
      case RETRANSMIT:
        return this.#retransmitExpired(peer, now);
      case SEND_KEEPALIVE:
        return this.#keepaliveExpired(peer, now);
      case NEW_HANDSHAKE:
        return HANDSHAKE_DUE;
      case ZERO_KEYS:
        return ZERO_KEYS_DUE;
      default:
        return KEEPALIVE_DUE;
    }
  }

  #retransmitExpired(peer: number, now: number): TimerEvent {
    const at = STATE_WORDS * peer + ATTEMPTS;
    const attempts = this.#state[at] as number;
    if (attempts <= MAX_TIMER_HANDSHAKES) {
      this.#state[at] = attempts + 1;
      return RETRY_DUE;
    }
    this.#deadlines.disarm(TIMERS_PER_PEER * peer + SEND_KEEPALIVE);
    // timers.c: an unfinished handshake holds secrets too; wipe them if no session's timer will.
    const zeroKeys = TIMERS_PER_PEER * peer + ZERO_KEYS;
    if (!this.#deadlines.isArmed(zeroKeys)) this.#deadlines.arm(zeroKeys, now + ZERO_KEYS_AFTER);
    return GAVE_UP;
  }

  /**
   * If more data came while the timer ran, it is armed again before the keepalive is sent, as in timers.c. Sending the
   * keepalive deletes it: one keepalive answers a burst. It stays armed when the keepalive could not be sent.
   */
  #keepaliveExpired(peer: number, now: number): TimerEvent {
    const at = STATE_WORDS * peer + NEED_ANOTHER_KEEPALIVE;
    if (this.#state[at] !== 0) {
      this.#state[at] = 0;
      this.#deadlines.arm(TIMERS_PER_PEER * peer + SEND_KEEPALIVE, now + KEEPALIVE_TIMEOUT);
    }
    return KEEPALIVE_DUE;
  }

  /** All that is known of the peer's timers, as TIMER_NUMBERS numbers. */
  save(peer: number): number[] {
    const due = Array.from({ length: TIMERS_PER_PEER }, (_, i) =>
      this.#deadlines.due(TIMERS_PER_PEER * peer + i),
    );
    return [...due, ...this.#state.subarray(STATE_WORDS * peer, STATE_WORDS * (peer + 1))];
  }

  /** The opposite of `save`, for a peer whose timers stand still. */
  restore(peer: number, numbers: readonly number[]): void {
    for (let i = 0; i < TIMERS_PER_PEER; i += 1) {
      const due = numbers[i] as number;
      if (due !== Number.POSITIVE_INFINITY) this.#deadlines.arm(TIMERS_PER_PEER * peer + i, due);
    }
    this.#state.set(numbers.slice(TIMERS_PER_PEER, TIMER_NUMBERS), STATE_WORDS * peer);
  }

  #jitter(): number {
    return this.#random() * REKEY_TIMEOUT_JITTER;
  }
}
