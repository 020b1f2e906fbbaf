/**
 * Which time a node's heart-beat is held against. A heart-beat can only be missed by someone who would have heard it:
 * while the API is away everybody's looks old, and an agent that acted on that would take down a mesh that works.
 *
 * The view is as old as the last thing heard from the API. After a gap the nodes come back one by one; until they had time
 * for a heart-beat, they are judged as of the moment before the gap.
 * Source: Kilo's heart-beat (every 30 s, gone after 60 s) and what an API outage did to it.
 * @module
 */
import { NODE_LIFETIME_SECONDS } from '../routing/node.ts';

/** Own heart-beats come back through the watch every 30 s; half again is a gap. */
const GAP_SECONDS = 45;

export class ViewClock {
  #lastContact: number | undefined;
  #frozen: { readonly at: number; readonly until: number } | undefined;

  /** The API has said something. Unix seconds. */
  contact(now: number): void {
    const before = this.#lastContact;
    if (before !== undefined && now - before > GAP_SECONDS) {
      // Outages that follow each other count from the first: nobody had time in between.
      const at = this.#frozen !== undefined && before < this.#frozen.until ? this.#frozen.at : before;
      this.#frozen = { at, until: now + NODE_LIFETIME_SECONDS };
    }
    this.#lastContact = now;
  }

  /**
   * An agent that starts finds what others last said. When most of those that lived at its own last heart-beat are silent now,
   * the API was away for them too: they get the time that a gap gives.
   */
  begin(own: number, others: readonly number[], now: number): void {
    const isFresh = (at: number) => (lastSeen: number) => at - lastSeen < NODE_LIFETIME_SECONDS;
    const then = others.filter(isFresh(own)).length;
    if (own === 0 || now - own <= GAP_SECONDS || others.filter(isFresh(now)).length * 2 >= then) return;
    this.#frozen = { at: own, until: now + NODE_LIFETIME_SECONDS };
  }

  /** Unix seconds to judge heart-beats by. */
  get time(): number {
    const last = this.#lastContact ?? 0;
    return this.#frozen !== undefined && last < this.#frozen.until ? this.#frozen.at : last;
  }

  /** Seconds since the API said something. */
  silence(now: number): number {
    return this.#lastContact === undefined ? Number.POSITIVE_INFINITY : now - this.#lastContact;
  }
}
