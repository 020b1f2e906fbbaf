/**
 * Two programs taking turns at a measure. Each has a ground of its own, where its tunnel stays open while the rows that
 * want the same tunnel are measured; what has failed is started anew.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Subject } from './daemon.ts';
import { type Effort, type Measure, needsTunnel, type TunnelMeasure } from './measure.ts';
import { grounds } from './namespaces.ts';
import { number } from './report.ts';
import { openTunnel, type Tunnel } from './tunnel.ts';

/** Seconds one run may take, unless the measure says more. */
const LIMIT = 60;

type Pair<T> = [ours: T, theirs: T];

async function within<T>(seconds: number, work: Promise<T>): Promise<T> {
  const given = new AbortController();
  const late = sleep(seconds * 1000, undefined, { signal: given.signal }).then(() => {
    throw new Error(`not done after ${seconds} s`);
  });
  // Whichever loses ends unheard.
  late.catch(() => undefined);
  work.catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } finally {
    given.abort();
  }
}

export class Turns {
  readonly #subjects: Pair<Subject>;
  /** What runs in place of ours where a measure asks for noble. */
  readonly #onNoble: Subject;
  readonly #tunnels: Pair<Tunnel | undefined> = [undefined, undefined];
  #options = '';

  constructor(ours: Subject, theirs: Subject, onNoble: Subject) {
    this.#subjects = [ours, theirs];
    this.#onNoble = onNoble;
  }

  /** Up to so many rounds, as long as it is not `deadline` (performance.now) yet; NaN for a run that went wrong. */
  async measure(measure: Measure, rounds: number, effort: Effort, deadline: number): Promise<Pair<number[]>> {
    const runs: Pair<number[]> = [[], []];
    const turns = Math.min(rounds, measure.rounds ?? rounds);
    for (let round = 0; round < turns; round += 1) {
      if (round > 0 && performance.now() > deadline) break;
      if (measure.together === true) {
        await this.close();
        const values = await Promise.all([this.#run(measure, 0, effort), this.#run(measure, 1, effort)]);
        runs[0].push(values[0]);
        runs[1].push(values[1]);
      } else {
        const order: Pair<0 | 1> = round % 2 === 0 ? [0, 1] : [1, 0];
        for (const turn of order) runs[turn].push(await this.#run(measure, turn, effort));
      }
      const [ours, theirs] = runs.map((values) => number(values.at(-1) ?? Number.NaN));
      console.log(`  ${measure.id.padEnd(12)} ${ours?.padStart(8)} ${theirs?.padStart(8)}`);
    }
    return runs;
  }

  async #run(measure: Measure, turn: 0 | 1, effort: Effort): Promise<number> {
    try {
      const limit = measure.limit ?? LIMIT;
      if (needsTunnel(measure)) {
        const tunnel = await this.#tunnel(measure, turn);
        return await within(limit, measure.run(tunnel, effort));
      }
      await this.close();
      return await within(limit, measure.runAlone(this.#subjects[turn], effort, grounds[turn]));
    } catch (error) {
      const text = error instanceof Error ? error.message.split('\n')[0] : String(error);
      console.log(`  ${measure.id} failed (${this.#subjects[turn].name}): ${text}`);
      await this.#close(turn);
      return Number.NaN;
    }
  }

  async #tunnel({ tunnel: options }: TunnelMeasure, turn: 0 | 1): Promise<Tunnel> {
    const key = JSON.stringify(options);
    if (key !== this.#options) await this.close();
    this.#options = key;
    const subject = turn === 0 && options.onNoble === true ? this.#onNoble : this.#subjects[turn];
    const tunnel = this.#tunnels[turn] ?? (await openTunnel(subject, options, grounds[turn]));
    this.#tunnels[turn] = tunnel;
    return tunnel;
  }

  async #close(turn: 0 | 1): Promise<void> {
    await this.#tunnels[turn]?.close();
    this.#tunnels[turn] = undefined;
  }

  async close(): Promise<void> {
    await Promise.all([this.#close(0), this.#close(1)]);
  }
}
