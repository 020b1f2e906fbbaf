/**
 * What the log says of the API: once that it is gone, once a minute that it still is, once that it is back. Agents try again every
 * few seconds, on several ways at a time; the log shall be read by people.
 * @module
 */
import { sentenceOf } from './agent-error.ts';
import { isKubernetesError } from './kubernetes/kubernetes-error.ts';
import type { Log } from './log.ts';

const REMIND_MS = 60_000;
const COMPONENT = { component: 'k8s backend' };

export class ApiLog {
  readonly #log: Pick<Log, 'info' | 'warn'>;
  /** Milliseconds that never go back. */
  readonly #now: () => number;
  /** Since when it is away, and when that was last said. */
  #away: { readonly since: number; said: number } | null = null;
  /** What it refused, by what was tried → when that was last said. */
  readonly #refused = new Map<string, number>();

  constructor(log: Pick<Log, 'info' | 'warn'>, now: () => number) {
    this.#log = log;
    this.#now = now;
  }

  failed(event: string, error: unknown): void {
    const now = this.#now();
    if (!isAway(error)) {
      // It is there, and says no: that is another matter for each thing that is tried.
      const what = `${event} ${isKubernetesError(error) ? error.code : ''}`;
      const said = this.#refused.get(what);
      if (said !== undefined && now - said < REMIND_MS) return;
      this.#refused.set(what, now);
      this.#log.warn(sentenceOf(error), COMPONENT);
    } else if (this.#away === null) {
      this.#away = { since: now, said: now };
      this.#log.warn(`${sentenceOf(error)} The mesh stays as it is until the API is back.`, COMPONENT);
    } else if (now - this.#away.said >= REMIND_MS) {
      this.#away.said = now;
      const how = inWords(now - this.#away.since);
      this.#log.warn(`The API has been away for ${how}: ${sentenceOf(error)}`, COMPONENT);
    }
  }

  /** It spoke. */
  contact(): void {
    if (this.#away === null) return;
    this.#log.info(`The API is back after ${inWords(this.#now() - this.#away.since)}.`, COMPONENT);
    this.#away = null;
  }

  /** This worked: the next refusal of it is news. */
  worked(event: string): void {
    for (const what of this.#refused.keys()) if (what.startsWith(`${event} `)) this.#refused.delete(what);
    this.contact();
  }
}

const isAway = (error: unknown): boolean =>
  isKubernetesError(
    error,
    'ERR_KUBERNETES_UNREACHABLE',
    'ERR_KUBERNETES_TIMEOUT',
    'ERR_KUBERNETES_SILENT',
    'ERR_KUBERNETES_BUSY',
  ) ||
  (isKubernetesError(error) && (error.status ?? 0) >= 500);

const inWords = (ms: number): string => {
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  return seconds % 60 === 0 ? `${minutes} min` : `${minutes} min ${seconds % 60} s`;
};
