/**
 * Which other leaders this one does not reach, told from what its device counts: who is dialled, or sent to, for a while and
 * answers nothing is not reached, as long as its agent goes on saying that it lives. Who shakes hands again is, once that has
 * held. A tunnel that nobody uses says nothing, and is not tried for its own sake.
 *
 * No I/O: counters, heart-beats and time come in, what to publish goes out. What is published changes at most once in ten
 * seconds, and each return that did not last makes the next one wait longer.
 * Source: WireGuard paper §6.1 to §6.5: data that is sent is answered within ten seconds, by a keepalive if by nothing else; a
 * handshake is tried every five seconds; a session lives 180 s. §5.4: an initiation is 148 bytes long, a response 92, a
 * keepalive 32.
 * @module
 */
import { hasTunnel } from './claims.ts';
import { knowsRelays, RELAY_KEEPALIVE, unreachedBy } from './relays.ts';
import type { Segment, Topology } from './topology.ts';
import { tunnelledSegments } from './wireguard-config.ts';

/** For so long somebody is tried in vain. */
const VAIN_MS = 20_000;
/** Two initiations are no proof; four responses, to tries that arrive, are more. */
const LITTLE_BYTES = 2 * 148;
const KEEPALIVE_BYTES = 32;
const SESSION_SECONDS = 180;
/** Tries that ended so long ago are forgotten. */
const IDLE_MS = 60_000;
/** What is published stays at least so long after a handshake, doubled each time within the hour. */
const KEPT_MS = 5000;
const LONGEST_KEPT_MS = 600_000;
const FORGOTTEN_MS = 3_600_000;
/** Between changes of what is published. */
const PAUSE_MS = 10_000;
/** One node says that it does not reach so many others; an annotation is not a database. */
const MOST_UNREACHED = 64;

/** Between looks at the device: when something may change soon, and while somebody is not reached. */
const SOON_MS = 2000;
const BACK_MS = 10_000;

/** What a device counts of one peer. */
export interface TunnelCounters {
  readonly sentBytes: number;
  readonly receivedBytes: number;
  /** Unix seconds; 0: never. */
  readonly lastHandshake: number;
  /** Somewhere to dial is known. */
  readonly hasEndpoint: boolean;
}

export interface Look {
  /** By public key. */
  readonly tunnels: ReadonlyMap<string, TunnelCounters>;
  /** Unix seconds of nodes' last heart-beats. */
  readonly heartBeats: () => ReadonlyMap<string, number>;
  readonly ms: number;
  readonly unix: number;
}

/** Somebody who is tried, and has not answered yet. */
interface Trial {
  readonly key: string;
  handshake: number;
  received: number;
  sent: number;
  /** Since when there have been tries, the look before that, what they came to, and the heart-beat when they began. */
  since: number | null;
  after: number;
  bytes: number;
  lastAt: number;
  lookAt: number;
  heartBeat: number;
}

interface Entry {
  /** Unix seconds. */
  readonly since: number;
  /** The last handshake before it. */
  readonly before: number;
  wellSince: number | null;
}

export class Reachability {
  #topology: Topology | null = null;
  #leads = false;
  readonly #trials = new Map<string, Trial>();
  readonly #entries = new Map<string, Entry>();
  /** How long the last entry was kept, and when that was. */
  readonly #kept = new Map<string, { readonly forMs: number; readonly at: number }>();
  #changedAt = Number.NEGATIVE_INFINITY;
  #isUnsure = false;

  /** Segments that are not reached, each since when in Unix seconds. */
  get unreached(): ReadonlyMap<string, number> {
    return new Map([...this.#entries].map(([location, { since }]) => [location, since]));
  }

  /** The mesh as it is now. Who begins to lead goes on with what the one before it has found, or what itself has published. */
  follow(topology: Topology): void {
    const leads = isJudge(topology);
    if (!leads) {
      this.#trials.clear();
      this.#entries.clear();
    } else if (!this.#leads) {
      for (const [location, { since }] of unreachedBy(topology.segment))
        this.#entries.set(location, { since, before: 0, wellSince: null });
    }
    this.#leads = leads;
    this.#topology = topology;
    const there = new Set(topology.segments.map(({ location }) => location));
    for (const known of [this.#trials, this.#entries, this.#kept])
      for (const location of known.keys()) if (!there.has(location)) known.delete(location);
  }

  /** Milliseconds until the device is to be looked at; null: whenever somebody does. */
  get pauseMs(): number | null {
    if (!this.#leads) return null;
    if (this.#isUnsure) return SOON_MS;
    return this.#entries.size > 0 ? BACK_MS : null;
  }

  /** True when there is something new to publish. */
  look(look: Look): boolean {
    const topology = this.#topology;
    this.#isUnsure = false;
    if (topology === null || !this.#leads) return false;
    // Two alone have nobody to go through; what was found before goes on for when a third comes back.
    if (topology.segments.length < 3 && this.#entries.size === 0) return false;
    let heartBeats: ReadonlyMap<string, number> | undefined;
    const heartBeatOf = (node: string): number => {
      heartBeats ??= look.heartBeats();
      return heartBeats.get(node) ?? 0;
    };
    const mayChange = look.ms - this.#changedAt >= PAUSE_MS;
    let changed = false;
    for (const segment of tunnelledSegments(topology)) {
      const counters = look.tunnels.get(segment.leader.key);
      if (counters === undefined || !hasTunnel(topology, segment)) continue;
      const entry = this.#entries.get(segment.location);
      const isNew =
        entry === undefined
          ? this.#isTriedInVain(segment, counters, look, heartBeatOf) && this.#mayAdd(mayChange)
          : this.#isBack(segment.location, entry, counters, look) && mayChange;
      if (!isNew) continue;
      changed = true;
      if (entry === undefined) this.#add(segment.location, counters, look);
      else this.#entries.delete(segment.location);
    }
    if (changed) this.#changedAt = look.ms;
    return changed;
  }

  #mayAdd(mayChange: boolean): boolean {
    return mayChange && this.#entries.size < MOST_UNREACHED;
  }

  #add(location: string, { lastHandshake }: TunnelCounters, { ms, unix }: Look): void {
    const kept = this.#kept.get(location);
    const isFresh = kept !== undefined && ms - kept.at < FORGOTTEN_MS;
    const forMs = isFresh ? Math.min(2 * kept.forMs, LONGEST_KEPT_MS) : KEPT_MS;
    this.#kept.set(location, { forMs, at: ms });
    this.#entries.set(location, { since: unix, before: lastHandshake, wellSince: null });
    this.#trials.delete(location);
  }

  /** There has been a handshake since, and sessions go on. */
  #isBack(location: string, entry: Entry, { lastHandshake }: TunnelCounters, { ms, unix }: Look): boolean {
    if (lastHandshake <= entry.before || unix - lastHandshake >= SESSION_SECONDS) {
      entry.wellSince = null;
      return false;
    }
    this.#isUnsure = true;
    entry.wellSince ??= ms;
    return ms - entry.wellSince >= (this.#kept.get(location)?.forMs ?? KEPT_MS);
  }

  #isTriedInVain(
    segment: Segment,
    counters: TunnelCounters,
    { ms, unix }: Look,
    heartBeatOf: (node: string) => number,
  ): boolean {
    const { location, leader } = segment;
    const { sentBytes, receivedBytes, lastHandshake, hasEndpoint } = counters;
    const known = this.#trials.get(location);
    const trial = known?.key === leader.key ? known : this.#begin(segment, counters, ms);
    const isAlive = lastHandshake > 0 && unix - lastHandshake < SESSION_SECONDS;
    const isAnswered = lastHandshake > trial.handshake || (isAlive && receivedBytes > trial.received);
    if (isAnswered) {
      this.#begin(segment, counters, ms);
      return false;
    }
    // A peer that was made anew counts from nothing.
    const sent = sentBytes < trial.sent ? sentBytes : sentBytes - trial.sent;
    trial.sent = sentBytes;
    trial.received = receivedBytes;
    if (sent > 0 || (!hasEndpoint && !isAlive)) {
      trial.lastAt = ms;
      trial.bytes += sent;
      if (trial.since === null) {
        trial.since = ms;
        trial.after = trial.lookAt;
        trial.heartBeat = heartBeatOf(leader.name);
      }
    } else if (ms - trial.lastAt >= IDLE_MS) {
      trial.since = null;
      trial.bytes = 0;
    }
    trial.lookAt = ms;
    if (trial.since === null) return false;
    const forMs = ms - trial.since;
    const bytes = trial.bytes - this.#keepalives(ms - trial.after, isAlive);
    const isTried = !hasEndpoint || bytes > LITTLE_BYTES;
    this.#isUnsure ||= forMs < IDLE_MS && (!hasEndpoint || bytes > 0);
    // Who says nothing to anybody is not behind a NAT, it is away.
    return isTried && forMs >= VAIN_MS && heartBeatOf(leader.name) > trial.heartBeat;
  }

  /** What was sent to somebody who never answered was in vain from the beginning. */
  #begin({ location, leader }: Segment, counters: TunnelCounters, ms: number): Trial {
    const { lastHandshake: handshake, receivedBytes: received, sentBytes } = counters;
    const sent = handshake === 0 ? 0 : sentBytes;
    const trial: Trial = {
      key: leader.key,
      handshake,
      received,
      sent,
      since: null,
      after: ms,
      bytes: 0,
      lastAt: ms,
      lookAt: ms,
      heartBeat: 0,
    };
    this.#trials.set(location, trial);
    return trial;
  }

  /** Bytes that want no answer; without a session none are sent. */
  #keepalives(forMs: number, isAlive: boolean): number {
    if (!isAlive) return 0;
    const seconds = this.#topology?.self.persistentKeepalive || RELAY_KEEPALIVE;
    return KEEPALIVE_BYTES * (Math.floor(forMs / (1000 * seconds)) + 2);
  }
}

const isJudge = ({ isLeader, self }: Topology): boolean => isLeader && knowsRelays(self);
