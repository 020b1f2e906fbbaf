/**
 * Watches leaders by probes, and says when this node has something new to publish of them.
 * What is decided stands in routing/fail-over.ts; here are time and packets.
 * @module
 */
import { FailOver, type Verdict } from '../routing/fail-over.ts';
import type { LeaderClaim } from '../routing/leader.ts';
import type { Topology } from '../routing/topology.ts';
import { sentenceOf } from './agent-error.ts';
import { type Cancel, type Clock, unixSeconds } from './clock.ts';
import type { Probes } from './echo-probes.ts';
import type { Log } from './log.ts';
import type { AgentMetrics } from './metrics.ts';

export interface LeaderWatchOptions {
  readonly probes: Probes;
  readonly clock: Clock;
  readonly log: Pick<Log, 'warn'>;
  readonly metrics: Pick<AgentMetrics, 'probes' | 'failingLeaders' | 'takeovers'>;
  readonly onVerdict: () => void;
}

export const NO_VERDICT: Verdict = { failing: new Map(), claim: null };

/** Null where it may not send probes; then no other agent acts on its own findings either. */
export const watchLeaders = ({
  probes,
  ...options
}: Omit<LeaderWatchOptions, 'probes'> & {
  readonly probes: (() => Probes) | undefined;
}): LeaderWatch | null => {
  if (probes === undefined) return null;
  try {
    return new LeaderWatch({ ...options, probes: probes() });
  } catch (error) {
    options.log.warn(`leaders cannot be watched, so none is replaced: ${sentenceOf(error)}`);
    return null;
  }
};

export class LeaderWatch {
  readonly #options: LeaderWatchOptions;
  readonly #failOver = new FailOver();
  #cancel: Cancel | undefined;
  #ended = false;

  constructor(options: LeaderWatchOptions) {
    this.#options = options;
  }

  get verdict(): Verdict {
    return this.#failOver.verdict;
  }

  /** What this node had published before. */
  begin(claim: LeaderClaim | undefined, failing: ReadonlyMap<string, number> | undefined): void {
    this.#failOver.begin(claim ?? null, failing ?? new Map());
  }

  /** The mesh is now so. */
  follow(topology: Topology): void {
    this.#failOver.follow(topology, this.#now());
    this.#look();
  }

  end(): void {
    this.#ended = true;
    this.#cancel?.();
    this.#options.probes.close();
  }

  #now() {
    const { clock } = this.#options;
    return { ms: clock.monotonic(), unix: unixSeconds(clock) };
  }

  #look(): void {
    if (this.#ended) return;
    const { probes, clock, metrics } = this.#options;
    const { liveness } = this.#failOver;
    this.#cancel?.();
    const answers = probes.answers();
    for (const address of answers) liveness.answered(address);
    const now = this.#now();
    const { claim: before } = this.verdict;
    const isNew = this.#failOver.judge(now);
    const due = liveness.due(now.ms);
    for (const address of due) probes.send(address);
    if (due.length > 0) metrics.probes({ outcome: 'sent' }, due.length);
    if (answers.size > 0) metrics.probes({ outcome: 'answered' }, answers.size);
    const next = liveness.next(now.ms);
    if (next !== null) this.#cancel = clock.after(Math.max(1, next - now.ms), () => this.#look());
    if (isNew) this.#tell(before);
  }

  #tell(before: LeaderClaim | null): void {
    const { log, metrics, onVerdict } = this.#options;
    const { claim, failing } = this.verdict;
    metrics.failingLeaders(failing.size);
    if (claim !== null && claim !== before) {
      const { why, instead, segment, times } = claim;
      metrics.takeovers({ why });
      log.warn('taking the lead', { segment, instead, why, times: String(times) });
    }
    onVerdict();
  }
}
