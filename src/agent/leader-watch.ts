/**
 * Watches leaders by probes, and says when this node has something new to publish of them.
 * What is decided stands in routing/fail-over.ts; here are time and packets.
 * @module
 */
import type { DeviceStatus } from '../noise/device-config.ts';
import { FailOver, type Now, type Verdict } from '../routing/fail-over.ts';
import { keyText } from '../routing/key-text.ts';
import type { LeaderClaim } from '../routing/leader.ts';
import type { Topology } from '../routing/topology.ts';
import { sentenceOf } from './agent-error.ts';
import { type Cancel, type Clock, unixSeconds } from './clock.ts';
import type { Probes } from './echo-probes.ts';
import type { KubernetesClient } from './kubernetes/client.ts';
import { KubernetesError } from './kubernetes/kubernetes-error.ts';
import { NODES } from './kubernetes/resources.ts';
import type { Log } from './log.ts';
import type { AgentMetrics } from './metrics.ts';

export interface LeaderWatchOptions {
  readonly probes: Probes;
  readonly clock: Clock;
  readonly log: Pick<Log, 'warn'>;
  readonly metrics: Pick<AgentMetrics, 'probes' | 'failingLeaders' | 'takeovers'>;
  readonly onVerdict: () => void;
  /** Whether the API answers, decided within a second or so. */
  readonly asksApi: () => Promise<boolean>;
  /** Unix seconds of the last handshake with each public key. */
  readonly handshakes: () => Promise<ReadonlyMap<string, number>>;
}

/** Between questions to the API, and to the device, while the answer matters. */
const ASK_MS = 1000;
const LISTEN_MS = 400;
/** What has been silent for this long is listened for more rarely. */
const LONG_SILENT_SECONDS = 30;
const LISTEN_RARELY_MS = 5000;

export const NO_VERDICT: Verdict = { failing: new Map(), claim: null, inferred: new Map() };

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
  #askedAt = Number.NEGATIVE_INFINITY;
  #listenedAt = Number.NEGATIVE_INFINITY;

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

  /** The API spoke. */
  apiSpoke(): void {
    if (this.#failOver.apiSpoke(this.#now().ms)) this.#options.onVerdict();
  }

  end(): void {
    this.#ended = true;
    this.#cancel?.();
    this.#options.probes.close();
  }

  #now(): Now {
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
    this.#ask(now.ms);
    this.#listen(now);
  }

  /** Whether the API is away, when a leader is silent. */
  #ask(ms: number): void {
    if (!this.#failOver.doubtsApi(ms) || ms - this.#askedAt < ASK_MS) return;
    this.#askedAt = ms;
    void this.#options.asksApi().then((answers) => {
      if (answers) this.apiSpoke();
      else this.#failOver.apiAway();
      this.#look();
    });
  }

  /** Whether somebody has called who would take over, or whether anybody is there to be led to. */
  #listen({ ms, unix }: Now): void {
    const since = this.#failOver.listensSince(ms);
    if (since === null) return;
    if (ms - this.#listenedAt < (unix - since > LONG_SILENT_SECONDS ? LISTEN_RARELY_MS : LISTEN_MS)) return;
    this.#listenedAt = ms;
    this.#options.handshakes().then(
      (handshakes) => {
        if (!this.#ended && this.#failOver.heard(handshakes, this.#now())) this.#options.onVerdict();
      },
      () => {}, // a device that does not answer is the next pass's matter
    );
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

/** Says nothing new, and so changes nothing; a refusal is an answer too. */
export const asksApi = (client: Pick<KubernetesClient, 'patch'>, hostname: string): Promise<boolean> =>
  client.patch(NODES, hostname, { metadata: {} }, undefined, AbortSignal.timeout(ASK_MS)).then(
    () => true,
    (error) => error instanceof KubernetesError && error.status !== undefined,
  );

export const handshakesOf = ({ peers }: DeviceStatus): ReadonlyMap<string, number> =>
  new Map(peers.map(({ publicKey, lastHandshake }) => [keyText(publicKey), lastHandshake.seconds]));
