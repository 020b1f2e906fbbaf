/**
 * Tells what is wrong where people look for it: as Events in the cluster. Of what concerns everybody only one agent speaks.
 * Source: Kubernetes Event (core/v1): name unique per occurrence, `reason` in CamelCase, kept for an hour.
 * @module
 */

import type { Fault } from './faults.ts';
import type { KubernetesClient } from './kubernetes/client.ts';
import { isKubernetesError } from './kubernetes/kubernetes-error.ts';
import { apiVersionOf, EVENTS, type EventResource, PEERS } from './kubernetes/resources.ts';

/** Events of objects without a namespace live here. */
const NAMESPACE = 'default';
/** What stays wrong is told again when the API has forgotten it (--event-ttl). */
const QUIET_MS = 60 * 60_000;
/** What one pass may say; the next goes on. */
const MOST_AT_ONCE = 10;
/** Members come and go, and names take a moment to resolve: no news. */
const NO_NEWS = ['node-not-ready', 'pass'];

export interface FaultEventsOptions {
  readonly client: Pick<KubernetesClient, 'create'>;
  readonly hostname: string;
  /** Milliseconds. */
  readonly now?: () => number;
  readonly onError: (error: unknown) => void;
}

export class FaultEvents {
  readonly #options: FaultEventsOptions;
  readonly #told = new Map<string, number>();
  #forbidden = false;

  constructor(options: FaultEventsOptions) {
    this.#options = options;
  }

  /** All that is wrong at this moment. `speaks`: this agent is the one that speaks for all. */
  async tell(faults: readonly Fault[], speaks: boolean): Promise<void> {
    const { hostname, client, now = Date.now, onError } = this.#options;
    if (this.#forbidden) return;
    const time = now();
    for (const [key, at] of this.#told) if (time - at > QUIET_MS) this.#told.delete(key);
    const news = faults.filter(({ code, subject }) => {
      const own = subject.name === hostname && subject.kind !== 'peer';
      return !NO_NEWS.includes(code) && (own || speaks);
    });
    const untold = news.filter((fault) => !this.#told.has(keyOf(fault))).slice(0, MOST_AT_ONCE);
    for (const fault of untold) this.#told.set(keyOf(fault), time);
    for (const [at, fault] of untold.entries()) {
      try {
        await client.create(EVENTS, eventOf(fault, hostname, time, at), NAMESPACE);
      } catch (error) {
        for (const left of untold.slice(at)) this.#told.delete(keyOf(left));
        // Kilo's own rights do not include it: then the log and the metric have to do.
        this.#forbidden = isKubernetesError(error, 'ERR_KUBERNETES_FORBIDDEN');
        onError(error);
        return;
      }
    }
  }
}

/** Numbers in a sentence change while it stays the same. */
const keyOf = ({ code, subject, message }: Fault): string =>
  `${code} ${subject.kind} ${subject.name} ${message.replace(/\d+/g, '')}`;

const eventOf = (
  { code, subject, message }: Fault,
  hostname: string,
  time: number,
  number: number,
): EventResource => {
  const at = new Date(time).toISOString().replace(/\.\d+Z$/, 'Z');
  const involvedObject =
    subject.kind === 'peer'
      ? { apiVersion: apiVersionOf(PEERS), kind: PEERS.kind, name: subject.name }
      : // kubectl finds a Node's events by its name as uid.
        { apiVersion: 'v1', kind: 'Node', name: nodeOf(subject, hostname), uid: nodeOf(subject, hostname) };
  return {
    metadata: {
      name: `${subject.name.slice(0, 200)}.${time.toString(16)}${number}.${code}`,
      namespace: NAMESPACE,
    },
    involvedObject,
    reason: code.replace(/(?:^|-)([a-z])/g, (_all, letter: string) => letter.toUpperCase()),
    message: message.slice(0, 1024),
    type: 'Warning',
    count: 1,
    firstTimestamp: at,
    lastTimestamp: at,
    source: { component: 'kilowire', host: hostname },
  };
};

const nodeOf = (subject: Fault['subject'], hostname: string): string =>
  subject.kind === 'node' ? subject.name : hostname;
