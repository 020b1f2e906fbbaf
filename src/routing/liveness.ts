/**
 * Which addresses answer: a probe a second each, ten a second once one is missing, until enough have been lost to be sure.
 * No I/O: says what is due, is told what came back. Only who has answered before can fall silent, so a firewall that drops
 * echo requests makes an address unknown and not dead.
 * Source: RFC 792 (echo); the losses follow from the chance of that many in a row: 0.2¹⁰ at a loss of 20 % is 10⁻⁷.
 * @module
 */

/** Between probes of one that answers. */
export const REST_MS = 1000;
/** An answer that takes longer is missing for now. */
const LATE_MS = 500;
/** Between probes of one that has missed one. */
const HURRY_MS = 100;
/** After so many in a row have been lost … */
const LOST_PROBES = 10;
/** … over so long, one is silent. */
const SILENT_MS = 1400;
/** No hurry any more to find out. */
const HURRIED_PROBES = 30;
/** A timer may come a little early. */
const SLACK_MS = 10;

interface Target {
  lastSent: number;
  /** When the first probe was sent that nothing has come back after. */
  unansweredSince: number;
  unanswered: number;
  answeredBefore: boolean;
  /** Probes before this are not counted. */
  spareUntil: number;
}

export class Liveness {
  readonly #targets = new Map<string, Target>();

  get addresses(): readonly string[] {
    return [...this.#targets.keys()];
  }

  /** These, and no others; what is known of those that stay is kept. */
  follow(addresses: ReadonlySet<string>): void {
    for (const address of this.#targets.keys()) if (!addresses.has(address)) this.#targets.delete(address);
    for (const address of addresses) {
      if (this.#targets.has(address)) continue;
      const [lastSent, answeredBefore] = [Number.NEGATIVE_INFINITY, false];
      this.#targets.set(address, {
        lastSent,
        unansweredSince: 0,
        unanswered: 0,
        answeredBefore,
        spareUntil: 0,
      });
    }
  }

  /** Its way has changed: what is lost until then says nothing. */
  spare(address: string, until: number): void {
    const target = this.#targets.get(address);
    if (target === undefined) return;
    target.unanswered = 0;
    target.spareUntil = until;
  }

  /** Whom to probe now; they count as probed. */
  due(now: number): readonly string[] {
    const due: string[] = [];
    for (const [address, target] of this.#targets) {
      if (now < this.#dueAt(target, now) - SLACK_MS) continue;
      target.lastSent = now;
      if (now >= target.spareUntil) {
        if (target.unanswered === 0) target.unansweredSince = now;
        target.unanswered++;
      }
      due.push(address);
    }
    return due;
  }

  /** When to ask again what is due; null: nobody is followed. */
  next(now: number): number | null {
    let next: number | null = null;
    for (const target of this.#targets.values()) {
      const at = this.#dueAt(target, now);
      if (next === null || at < next) next = at;
    }
    return next;
  }

  answered(address: string): void {
    const target = this.#targets.get(address);
    if (target === undefined) return;
    target.unanswered = 0;
    target.answeredBefore = true;
  }

  /** It has answered at another address of its. */
  assume(address: string): void {
    const target = this.#targets.get(address);
    if (target !== undefined) target.answeredBefore = true;
  }

  isKnown(address: string): boolean {
    return this.#targets.get(address)?.answeredBefore === true;
  }

  isSilent(address: string, now: number): boolean {
    const target = this.#targets.get(address);
    return (
      target?.answeredBefore === true &&
      target.unanswered >= LOST_PROBES &&
      now - target.unansweredSince >= SILENT_MS
    );
  }

  #dueAt({ lastSent, unanswered, unansweredSince, answeredBefore }: Target, now: number): number {
    if (!answeredBefore || unanswered === 0 || unanswered >= HURRIED_PROBES) return lastSent + REST_MS;
    const late = unansweredSince + LATE_MS;
    return now < late ? late : Math.max(late, lastSent + HURRY_MS);
  }
}
