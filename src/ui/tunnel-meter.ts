/**
 * Rates and losses from counters that members tell now and then. What one has sent and the other has not received over half
 * a minute to a minute was lost; both count whole messages, as WireGuard does.
 * @module
 */
import type { Tunnel } from '../admin/tunnels.ts';
import { tunnelId } from './mesh-snapshot.ts';

export interface TunnelReading extends Tunnel {
  /** Bytes per second since the reading before. */
  readonly sentRate: number;
  readonly receivedRate: number;
  /** Share of what was sent; null where the other end does not tell, or too little was sent. */
  readonly loss: number | null;
}

interface Count {
  readonly at: number;
  readonly sent: number;
  readonly received: number;
}

interface Memory {
  readonly last: Count;
  /** Two marks in the past; the older is what losses are counted from. */
  readonly older: Count;
  readonly newer: Count;
}

const WINDOW_MS = 30_000;
/** Less cannot be told from what was on its way. */
const LEAST_BYTES = 20_000;
/** The ends are not asked at the very same moment. */
const ERROR = 0.01;

/** Three digits: a rate that is nearly the same is the same. */
export const rounded = (value: number): number => Number(value.toPrecision(3));

/** A counter that went back began anew. */
const grown = (now: number, before: number): number => (now >= before ? now - before : now);

export class TunnelMeter {
  #memory = new Map<string, Memory>();

  /** `at` in milliseconds, when the counters were asked for. */
  read(tunnels: readonly Tunnel[], at: number): TunnelReading[] {
    const memory = new Map<string, Memory>();
    for (const tunnel of tunnels) {
      const id = tunnelId(tunnel.from, tunnel.to);
      memory.set(id, remember(this.#memory.get(id), tunnel, at));
    }
    const before = this.#memory;
    this.#memory = memory;
    return tunnels.map((tunnel) => {
      const last = before.get(tunnelId(tunnel.from, tunnel.to))?.last;
      const seconds = last === undefined ? 0 : (at - last.at) / 1000;
      const rate = (now: number, then: number): number =>
        seconds > 0 ? rounded(grown(now, then) / seconds) : 0;
      return {
        ...tunnel,
        sentRate: rate(tunnel.sentBytes, last?.sent ?? 0),
        receivedRate: rate(tunnel.receivedBytes, last?.received ?? 0),
        loss: this.#loss(tunnel),
      };
    });
  }

  #loss({ from, to }: Tunnel): number | null {
    const here = this.#memory.get(tunnelId(from, to));
    const there = this.#memory.get(tunnelId(to, from));
    if (here === undefined || there === undefined) return null;
    const sent = here.last.sent - here.older.sent;
    const received = there.last.received - there.older.received;
    // Counted from different moments, or one of them began anew.
    if (here.older.at !== there.older.at || received < 0 || sent < LEAST_BYTES) return null;
    const share = 1 - received / sent;
    return share < ERROR ? 0 : rounded(share);
  }
}

const remember = (known: Memory | undefined, tunnel: Tunnel, at: number): Memory => {
  const last = { at, sent: tunnel.sentBytes, received: tunnel.receivedBytes };
  if (known === undefined || last.sent < known.last.sent || last.received < known.last.received)
    return { last, older: last, newer: last };
  return at - known.newer.at < WINDOW_MS ? { ...known, last } : { last, older: known.newer, newer: last };
};
