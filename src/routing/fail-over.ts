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

import { byRank, claimsOf, type LeaderClaim, rankOf } from './leader.ts';
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
/** After so long a change is no more "of late". */
export const CALM_SECONDS = 3600;

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

  get plan(): ProbePlan {
    return this.#plan;
  }

  get verdict(): Verdict {
    const failing = new Map([...this.#accusations].map(([leader, { since }]) => [leader, since]));
    return { failing, claim: this.#claim };
  }

  /** What the own node had published before this program was started. */
  begin(claim: LeaderClaim | null, failing: ReadonlyMap<string, number>): void {
    this.#claim = claim;
    for (const [leader, since] of failing)
      this.#accusations.set(leader, { since, keptMs: KEPT_MS, wellSince: null });
  }

  /** The mesh as it is now, the own claim in it. */
  follow(topology: Topology, { ms }: Now): void {
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

  /** Looks at what has come back; true when there is something new to publish. */
  judge(now: Now): boolean {
    const topology = this.#topology;
    if (topology === null) return false;
    const accused = this.#accuse(now);
    const claim = topology.claimsCount ? this.#claimFor(topology, now) : null;
    const changed = claim !== this.#claim;
    this.#claim = claim;
    return accused || changed;
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
    if (why !== null) return this.#newClaim(topology, why, now);
    if (this.#mayReturn(topology, now)) return this.#newClaim(topology, 'first', now);
    // Outranked by another's, or moved elsewhere.
    return null;
  }

  /** As a stand-by: whether the leader has failed by what is seen here and by what others say, for long enough. */
  #whyTakeOver({ ms }: Now): 'silent' | 'grey' | null {
    const { inside } = this.#plan;
    if (inside === null) {
      this.#lost = null;
      return null;
    }
    const silent = this.liveness.isSilent(inside.near, ms);
    if (!(silent || this.#allSilent(inside.beyond, ms)) || !this.#othersSay(inside)) {
      this.#lost = null;
      return null;
    }
    if (this.#lost?.leader !== inside.leader) this.#lost = { leader: inside.leader, since: ms };
    if (ms - this.#lost.since < this.#waitFor(inside, ms)) return null;
    return silent ? 'silent' : 'grey';
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
    return patience + AHEAD_MS * ahead.filter((address) => !this.liveness.isSilent(address, ms)).length;
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

  #newClaim({ segment }: Topology, why: LeaderClaim['why'], { unix }: Now): LeaderClaim {
    const { leader, location, members, claim } = segment;
    const generations = claimsOf(members, location).map((each) => each.claim.generation);
    const recent = claim === undefined || unix - claim.since > CALM_SECONDS ? 0 : claim.times;
    return {
      segment: location,
      generation: Math.max(0, ...generations) + 1,
      times: why === 'first' ? recent : recent + 1,
      since: unix,
      instead: leader.name,
      why,
    };
  }
}

const addressesOf = ({ outside, inside }: ProbePlan): ReadonlySet<string> =>
  new Set([
    ...outside.flatMap(({ direct, through }) => [direct, ...through]),
    ...(inside === null ? [] : [inside.near, ...inside.beyond, ...inside.ahead]),
  ]);
