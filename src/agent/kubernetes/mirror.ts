/**
 * A copy of all objects of one kind, kept up to date for as long as the program runs: list, watch, resume, and list again
 * when the API has forgotten where we were. It never gives up and never empties itself: while the API is away it holds
 * what was last known.
 * Source: Kubernetes API concepts, "Efficient detection of changes"; reference behaviour of client-go's reflector.
 * @module
 */
import { setTimeout as delay } from 'node:timers/promises';
import { BackOff } from './back-off.ts';
import type { KubernetesClient, Selection } from './client.ts';
import { isKubernetesError } from './kubernetes-error.ts';
import type { KubernetesObject, ResourceType } from './resources.ts';

export interface MirrorOptions<Item extends KubernetesObject, Kept> {
  readonly client: Pick<KubernetesClient, 'list' | 'watch'>;
  readonly type: ResourceType<Item>;
  readonly selection?: Selection;
  /**
   * What of an object is kept: everything else is forgotten, so that large clusters fit in little memory. `before`: what is
   * kept of it so far.
   */
  readonly keep: (item: Item, before: Kept | undefined) => Kept;
  /** Objects came, changed or went; names of those, or null after a whole listing. */
  readonly onChange: (names: ReadonlySet<string> | null) => void;
  /** The API spoke: proof that the copy is of this moment. */
  readonly onContact?: () => void;
  readonly onError?: (error: unknown) => void;
  readonly random?: () => number;
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Unix or monotonic milliseconds. */
  readonly now?: () => number;
}

const WATCH_SECONDS = 300;
/** A watch that ended sooner did not really work: the next one waits. */
const SHORT_WATCH_MS = 1000;

export class Mirror<Item extends KubernetesObject, Kept> {
  readonly #options: MirrorOptions<Item, Kept>;
  readonly #items = new Map<string, Kept>();
  readonly #backOff: BackOff;
  #version: string | undefined;
  #synced = false;

  constructor(options: MirrorOptions<Item, Kept>) {
    this.#options = options;
    this.#backOff = new BackOff(options.random === undefined ? {} : { random: options.random });
  }

  /** By name. */
  get items(): ReadonlyMap<string, Kept> {
    return this.#items;
  }

  /** Whether it has been listed at least once. */
  get synced(): boolean {
    return this.#synced;
  }

  /** Runs until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    const { sleep = rest, now = Date.now, onError } = this.#options;
    while (!signal.aborted) {
      let pause = 0;
      const began = now();
      try {
        if (this.#version === undefined) await this.#list(signal);
        await this.#watch(signal);
        // The end of a stream is no fault, unless streams do nothing but end.
        if (now() - began < SHORT_WATCH_MS) pause = this.#backOff.next();
      } catch (error) {
        if (signal.aborted) return;
        if (isKubernetesError(error, 'ERR_KUBERNETES_NOT_FOUND')) this.#forget();
        if (mustListAgain(error)) this.#version = undefined;
        const expired = isKubernetesError(error, 'ERR_KUBERNETES_EXPIRED');
        if (!expired) onError?.(error);
        pause = this.#backOff.next(isKubernetesError(error) ? (error.retryAfterMs ?? 0) : 0);
      }
      if (pause > 0) await sleep(pause, signal);
    }
  }

  /** There is no such kind in this cluster, so there are none of it. */
  #forget(): void {
    const changed = this.#items.size > 0 || !this.#synced;
    this.#items.clear();
    this.#synced = true;
    if (changed) this.#options.onChange(null);
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { client, type, selection, keep, onChange } = this.#options;
    const { items, resourceVersion } = await client.list(type, selection, signal);
    const before = new Map(this.#items);
    this.#items.clear();
    for (const item of items) {
      const { name } = item.metadata;
      this.#items.set(name, keep(item, before.get(name)));
    }
    this.#version = resourceVersion;
    this.#synced = true;
    this.#contact();
    onChange(null);
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { client, type, selection, random = Math.random } = this.#options;
    // Not all agents at the same second.
    const timeoutSeconds = Math.round(WATCH_SECONDS * (0.9 + 0.2 * random()));
    const options = { ...selection, resourceVersion: this.#version ?? '', timeoutSeconds, signal };
    for await (const event of client.watch(type, options)) {
      this.#version = event.resourceVersion;
      this.#contact();
      if (event.type === 'BOOKMARK') continue;
      const { name } = event.object.metadata;
      if (event.type === 'DELETED') this.#items.delete(name);
      else this.#items.set(name, this.#options.keep(event.object, this.#items.get(name)));
      this.#options.onChange(new Set([name]));
    }
  }

  #contact(): void {
    this.#backOff.reset();
    this.#options.onContact?.();
  }
}

const rest = async (ms: number, signal: AbortSignal): Promise<void> => {
  try {
    await delay(ms, undefined, { signal, ref: false });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
};

/**
 * Expired: the API has forgotten our version. Silent: it may never have heard of it, as after a restored backup. Not found:
 * the kind is gone, and with it the version. Anything else may be resumed.
 */
const mustListAgain = (error: unknown): boolean =>
  isKubernetesError(
    error,
    'ERR_KUBERNETES_EXPIRED',
    'ERR_KUBERNETES_SILENT',
    'ERR_KUBERNETES_NOT_FOUND',
    'ERR_KUBERNETES_PROTOCOL',
    'ERR_KUBERNETES_REFUSED',
  );
