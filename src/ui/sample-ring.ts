/**
 * The last hour as compressed snapshots within a budget of bytes: a mesh so large that they do not fit is kept in coarser
 * steps, never for a shorter time.
 * @module
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { type MeshSnapshot, type SampleSummary, summaryOf } from './mesh-snapshot.ts';

export interface RingOptions {
  readonly spanMs?: number;
  /** Least time between samples. */
  readonly stepMs?: number;
  readonly budget?: number;
}

interface Sample {
  readonly summary: SampleSummary;
  readonly bytes: Buffer;
}

const HOUR = 3_600_000;

export class SampleRing {
  readonly #span: number;
  readonly #budget: number;
  #step: number;
  #samples: Sample[] = [];
  #size = 0;

  constructor({ spanMs = HOUR, stepMs = 10_000, budget = 64 << 20 }: RingOptions = {}) {
    this.#span = spanMs;
    this.#step = stepMs;
    this.#budget = budget;
  }

  /** Oldest first. */
  get summaries(): readonly SampleSummary[] {
    return this.#samples.map(({ summary }) => summary);
  }

  /** Bytes held. */
  get size(): number {
    return this.#size;
  }

  /** Takes it unless the last one is too fresh, or it is no newer: a clock that was set back. */
  offer(snapshot: MeshSnapshot): void {
    const last = this.#samples.at(-1);
    if (last !== undefined && snapshot.at - last.summary.at < this.#step) {
      if (snapshot.at >= last.summary.at) return;
      this.#keep(({ summary }) => summary.at < snapshot.at);
    }
    const bytes = deflateRawSync(JSON.stringify(snapshot), { level: 1 });
    this.#samples.push({ summary: summaryOf(snapshot), bytes });
    this.#size += bytes.length;
    this.#keep(({ summary }) => snapshot.at - summary.at <= this.#span);
    while (this.#size > this.#budget && this.#samples.length > 2) {
      this.#step *= 2;
      const newest = this.#samples.length - 1;
      this.#keep((_sample, index) => (newest - index) % 2 === 0);
    }
  }

  /** The last one that is not later; null before the first. */
  at(time: number): MeshSnapshot | null {
    const sample = this.#samples.findLast(({ summary }) => summary.at <= time);
    return sample === undefined
      ? null
      : (JSON.parse(inflateRawSync(sample.bytes).toString('utf8')) as MeshSnapshot);
  }

  #keep(wanted: (sample: Sample, index: number) => boolean): void {
    this.#samples = this.#samples.filter(wanted);
    this.#size = this.#samples.reduce((sum, { bytes }) => sum + bytes.length, 0);
  }
}
