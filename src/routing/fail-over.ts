/**
 * When a leader is given up, and who takes its place. There is no coordinator: leaders of other locations publish whose
 * leader does not answer or passes nothing on; a member that would take over, and finds so itself, claims the lead once at
 * least half of them say the same; everybody follows the highest claim (leader.ts). The claimant is at work before it claims.
 *
 * It stays until it fails in its turn, or until whom Kilo's rule prefers has been back for a minute. Each change of late
 * doubles that minute, and the time for which a further failure must last.
 *
 * No I/O: time comes in as milliseconds that never go back, and as Unix seconds for what is published.
 * @module
 */

import { CALM_SECONDS, InferredLeaders, nextClaim } from './inferred-leaders.ts';
import { byRank, claimsOf, type LeaderClaim, rankOf, standBysOf } from './leader.ts';
import { Liveness } from './liveness.ts';
import type { ReadyNode } from './node.ts';
import {
  type InsideWatch,
  type OutsideWatch,
  type ProbePlan,
  probedAddressOf,
  probePlan,
} from './probe-plan.ts';
import type { Topology } from './topology.ts';

/** After a change, before losses count again: tunnels are made when first used. */
const SPARE_MS = 4000;
/** For each that would rather take over: its agent may be dead although its host answers. */
const AHEAD_MS = 2000;
/** How long whom Kilo prefers has been back before it leads again. */
const RETURN_MS = 60_000;
const LONGEST_RETURN_MS = 3_600_000;
/** What a third change in a row waits for more than the second. */
const PATIENCE_MS = 10_000;
const LONGEST_PATIENCE_MS = 600_000;
/** What is published is not taken back at the first answer: it may be the only one. */
const KEPT_MS = 5000;
const LONGEST_KEPT_MS = 60_000;
/** Who took over without the API must have met somebody by then, or it was alone itself. */
const PROVISIONAL_MS = 5000;
const ALONE_MS = 30_000;
/** A handshake is dated in whole seconds, and silence is known a little late. */
const SILENT_SECONDS = 3;

interface Accusation {
  /** Unix seconds. */
  readonly since: number;
  keptMs: number;
  /** When answers came back; null while none do. */
  wellSince: number | null;
}

export interface Now {
  readonly ms: number;
  readonly unix: number;
}

/** What the own node shall publish. */
export interface Verdict {
  /** Leaders of other segments that fail, with since when. */
  readonly failing: ReadonlyMap<string, number>;
  readonly claim: LeaderClaim | null;
  /** What others could not publish, by node name. */
  readonly inferred: ReadonlyMap<string, LeaderClaim>;
}

export class FailOver {
  readonly liveness = new Liveness();
  readonly #accusations = new Map<string, Accusation>();
  /** How long the next accusation of somebody is kept at least. */
  readonly #kept = new Map<string, number>();
  #topology: Topology | null = null;
  #plan: ProbePlan = { outside: [], inside: null };
  #claim: LeaderClaim | null = null;
  #lost: { readonly leader: string; readonly since: number } | null = null;
  #waiting: { readonly claim: string; readonly since: number } | null = null;
  readonly #inferred = new InferredLeaders();
  /** The API was asked and did not answer. */
  #apiAway = false;
  /** When the lead was taken without the API, until a handshake shows that somebody is there. */
  #provisional: Now | null = null;
  #aloneUntil = 0;

  get plan(): ProbePlan {
    return this.#plan;
  }

  get verdict(): Verdict {
    const failing = new Map([...this.#accusations].map(([leader, { since }]) => [leader, since]));
    return { failing, claim: this.#claim, inferred: this.#inferred.claims };
  }

  /** What the own node had published before this program was started. */
  begin(claim: LeaderClaim | null, failing: ReadonlyMap<string, number>): void {
    this.#claim = claim;
    for (const [leader, since] of failing)
      this.#accusations.set(leader, { since, keptMs: KEPT_MS, wellSince: null });
  }

  /** The mesh as it is now, the own claim in it. */
  follow(topology: Topology, { ms }: Now): void {
    if (topology === this.#topology) return;
    const before = this.#plan;
    const plan = probePlan(topology);
    this.#topology = topology;
    this.#plan = plan;
    this.liveness.follow(addressesOf(plan));
    for (const watch of plan.outside) {
      const former = before.outside.find(({ segment }) => segment === watch.segment)?.leader;
      if (former === watch.leader) continue;
      this.#remember(topology, watch, former);
      for (const address of [watch.direct, ...watch.through]) this.liveness.spare(address, ms + SPARE_MS);
    }
    const { inside } = plan;
    if (inside !== null && inside.leader !== before.inside?.leader)
      for (const address of [inside.near, ...inside.beyond]) this.liveness.spare(address, ms + SPARE_MS);
  }

  /** One that answered as a leader is missed as a member, so a new leader has to pass something on. */
  #remember({ segments }: Topology, { segment, direct }: OutsideWatch, former: string | undefined): void {
    const members = segments.find(({ location }) => location === segment)?.members;
    const node = members?.find(({ name }) => name === former);
    const address = node === undefined ? undefined : probedAddressOf(node);
    if (address !== undefined && this.liveness.isKnown(direct)) this.liveness.assume(address);
  }

  /** Whether it matters now if the API is away. */
  doubtsApi(ms: number): boolean {
    const { inside, outside } = this.#plan;
    const addresses = [...(inside === null ? [] : [inside.near]), ...outside.map(({ direct }) => direct)];
    return addresses.some((address) => this.liveness.isSilent(address, ms));
  }

  apiAway(): void {
    this.#apiAway = true;
  }

  /** The API spoke; true when there is something new to go by. */
  apiSpoke(ms: number): boolean {
    this.#apiAway = false;
    return this.#inferred.prune(ms);
  }

  /** Whether it matters with whom there were handshakes: since when, in Unix seconds; null: no. */
  listensSince(ms: number): number | null {
    if (this.#provisional !== null) return this.#provisional.unix;
    if (!this.#apiAway) return null;
    const silent = this.#plan.outside.filter(({ direct }) => this.liveness.isSilent(direct, ms));
    const since = silent.flatMap(({ leader }) => this.#accusations.get(leader)?.since ?? []);
    return since.length === 0 ? null : Math.min(...since);
  }

  /** Handshakes by public key, in Unix seconds; true when there is something new to go by. */
  heard(handshakes: ReadonlyMap<string, number>, now: Now): boolean {
    const topology = this.#topology;
    if (topology === null || !topology.claimsCount) return false;
    const isNew = (key: string, since: number): boolean =>
      (handshakes.get(key) ?? 0) >= since - SILENT_SECONDS && (handshakes.get(key) ?? 0) > 0;
    const { unix } = this.#provisional ?? now;
    if (topology.segments.some(({ leader }) => leader !== topology.self && isNew(leader.key, unix)))
      this.#provisional = null;
    // With it, what is published counts, and nothing else.
    if (!this.#apiAway) return false;
    let changed = false;
    for (const { segment: location, leader, direct } of this.#plan.outside) {
      const since = this.#accusations.get(leader)?.since;
      const segment = topology.segments.find((each) => each.location === location);
      if (since === undefined || segment === undefined || !this.liveness.isSilent(direct, now.ms)) continue;
      const successor = standBysOf(segment).find(({ key }) => isNew(key, since));
      if (successor === undefined) continue;
      this.#inferred.infer(segment, successor, now);
      changed = true;
    }
    return changed;
  }

  /** Looks at what has come back; true when there is something new to publish. */
  judge(now: Now): boolean {
    const topology = this.#topology;
    if (topology === null) return false;
    const accused = this.#accuse(now);
    const before = this.verdict.inferred.size;
    if (this.#provisional !== null && now.ms - this.#provisional.ms > PROVISIONAL_MS) {
      this.#provisional = null;
      this.#aloneUntil = now.ms + ALONE_MS;
      this.#claim = null;
      return true;
    }
    const claim = topology.claimsCount ? this.#claimFor(topology, now) : null;
    const changed = claim !== this.#claim;
    this.#claim = claim;
    return accused || changed || this.verdict.inferred.size !== before;
  }

  #accuse({ ms, unix }: Now): boolean {
    const { outside } = this.#plan;
    let changed = false;
    for (const leader of this.#accusations.keys()) {
      if (outside.some((watch) => watch.leader === leader)) continue;
      this.#accusations.delete(leader);
      changed = true;
    }
    for (const watch of outside) {
      const accusation = this.#accusations.get(watch.leader);
      if (this.#fails(watch, ms)) {
        if (accusation !== undefined) {
          accusation.wellSince = null;
          continue;
        }
        const keptMs = this.#kept.get(watch.leader) ?? KEPT_MS;
        this.#kept.set(watch.leader, Math.min(2 * keptMs, LONGEST_KEPT_MS));
        this.#accusations.set(watch.leader, { since: unix, keptMs, wellSince: null });
        changed = true;
      } else if (accusation !== undefined && this.liveness.isKnown(watch.direct)) {
        accusation.wellSince ??= ms;
        if (ms - accusation.wellSince < accusation.keptMs) continue;
        this.#accusations.delete(watch.leader);
        changed = true;
      }
    }
    return changed;
  }

  #fails({ direct, through }: OutsideWatch, ms: number): boolean {
    if (this.liveness.isSilent(direct, ms)) return true;
    return this.#allSilent(through, ms);
  }

  /** All that ever answered, when there is one. */
  #allSilent(addresses: readonly string[], ms: number): boolean {
    const known = addresses.filter((address) => this.liveness.isKnown(address));
    return known.length > 0 && known.every((address) => this.liveness.isSilent(address, ms));
  }

  #claimFor(topology: Topology, now: Now): LeaderClaim | null {
    const { self, segment, isLeader } = topology;
    const claims = claimsOf(segment.members, segment.location);
    const own = this.#claim?.segment === segment.location ? this.#claim : null;
    if (isLeader) {
      this.#lost = null;
      this.#waiting = null;
      const isFirst = byRank(segment.members)[0] === self;
      const isOnly = claims.every(({ node }) => node === self);
      const isOld = own !== null && now.unix - own.since > CALM_SECONDS;
      return isFirst && isOnly && isOld ? null : own;
    }
    // Said, and not yet done.
    if (own !== null && own.generation !== self.leaderClaim?.generation) return own;
    const why = this.#whyTakeOver(now);
    if (why !== null) return nextClaim(segment, why, now.unix);
    if (this.#mayReturn(topology, now)) return nextClaim(segment, 'first', now.unix);
    // Outranked by another's, or moved elsewhere.
    return null;
  }

  /** As a stand-by: whether the leader has failed by what is seen here and by what others say, for long enough. */
  #whyTakeOver(now: Now): 'silent' | 'grey' | null {
    const { ms } = now;
    const { inside } = this.#plan;
    if (inside === null) {
      this.#lost = null;
      return null;
    }
    const silent = this.liveness.isSilent(inside.near, ms);
    const agreed = (silent || this.#allSilent(inside.beyond, ms)) && this.#othersSay(inside);
    // Nobody can say anything, nor claim: who is silent to its own neighbours is taken for dead.
    const apart = !agreed && silent && this.#apiAway && ms >= this.#aloneUntil;
    if (!agreed && !apart) {
      this.#lost = null;
      return null;
    }
    if (apart && this.#followAhead(inside, now)) return null;
    if (!inside.isStandBy) return null;
    if (this.#lost?.leader !== inside.leader) this.#lost = { leader: inside.leader, since: ms };
    if (ms - this.#lost.since < this.#waitFor(inside, ms)) return null;
    if (apart) this.#provisional = now;
    return silent ? 'silent' : 'grey';
  }

  /** Without the API the first that answers is the one that takes over. */
  #followAhead({ ahead }: InsideWatch, now: Now): boolean {
    const topology = this.#topology;
    const alive = ahead.find(
      ({ address }) => this.liveness.isKnown(address) && !this.liveness.isSilent(address, now.ms),
    );
    const node = topology?.segment.members.find(({ name }) => name === alive?.name);
    if (topology === null || node === undefined) return false;
    this.#inferred.infer(topology.segment, node, now);
    return true;
  }

  /** At least half of those who watch: one whose own way out is broken says the same of everybody. */
  #othersSay({ leader, observers }: InsideWatch): boolean {
    const nodes = new Map(this.#members().map((node) => [node.name, node]));
    const saying = observers.filter((name) => nodes.get(name)?.failingLeaders?.has(leader) === true);
    return saying.length > 0 && saying.length * 2 >= observers.length;
  }

  #members(): readonly ReadyNode[] {
    return this.#topology?.segments.flatMap(({ members }) => members) ?? [];
  }

  #waitFor({ ahead }: InsideWatch, ms: number): number {
    const claim = this.#topology?.segment.claim;
    // A return is on trial; changes among equals calm down.
    const changes = claim === undefined || claim.why === 'first' ? 0 : claim.times;
    const patience = changes < 2 ? 0 : Math.min(PATIENCE_MS * 2 ** (changes - 2), LONGEST_PATIENCE_MS);
    return patience + AHEAD_MS * ahead.filter(({ address }) => !this.liveness.isSilent(address, ms)).length;
  }

  #mayReturn({ self, segment }: Topology, { ms }: Now): boolean {
    const { leader, claim, members } = segment;
    if (claim === undefined || byRank(members)[0] !== self || rankOf(self) <= rankOf(leader)) {
      this.#waiting = null;
      return false;
    }
    const key = `${leader.name} ${claim.generation}`;
    if (this.#waiting?.claim !== key) this.#waiting = { claim: key, since: ms };
    const wait = Math.min(RETURN_MS * 2 ** Math.max(0, claim.times - 1), LONGEST_RETURN_MS);
    return ms - this.#waiting.since >= wait;
  }
}

const addressesOf = ({ outside, inside }: ProbePlan): ReadonlySet<string> =>
  new Set([
    ...outside.flatMap(({ direct, through }) => [direct, ...through]),
    ...(inside === null
      ? []
      : [inside.near, ...inside.beyond, ...inside.ahead.map(({ address }) => address)]),
  ]);
