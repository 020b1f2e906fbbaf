/**
 * A feed that runs while somebody looks, and a while longer. Every node can serve the page; were every one to ask all others
 * all the time, a mesh of n nodes would answer n² questions a second for nobody.
 * @module
 */
import type { Mesh } from '../admin/mesh.ts';
import type { MeshFeed, MeshSource } from './mesh-feed.ts';
import type { MeshSnapshot } from './mesh-snapshot.ts';
import type { Route } from './routes.ts';
import { SampleRing } from './sample-ring.ts';

export interface FeedOnDemandOptions {
  readonly make: () => MeshFeed;
  /** How long it goes on when nobody looks any more, so that the last hour is there for who comes back. */
  readonly keepMs?: number;
  /** It has broken down, which it should not; whoever asks next begins it anew. */
  readonly onError: (error: unknown) => void;
}

const KEEP_MS = 10 * 60_000;
/** For a first snapshot, before it is said that there is none yet. */
const PATIENCE_MS = 5000;

interface Running {
  readonly feed: MeshFeed;
  readonly end: AbortController;
}

export class FeedOnDemand implements MeshSource {
  readonly #options: FeedOnDemandOptions;
  readonly #noSamples = new SampleRing();
  #running: Running | null = null;
  #lookers = 0;
  #rest: NodeJS.Timeout | undefined;

  constructor(options: FeedOnDemandOptions) {
    this.#options = options;
  }

  get current(): MeshSnapshot | null {
    return this.#running?.feed.current ?? null;
  }

  get mesh(): Mesh | null {
    return this.#running?.feed.mesh ?? null;
  }

  get ring(): SampleRing {
    return this.#running?.feed.ring ?? this.#noSamples;
  }

  get isRunning(): boolean {
    return this.#running !== null;
  }

  subscribe(listener: (snapshot: MeshSnapshot) => void): () => void {
    const leave = this.#start().subscribe(listener);
    this.#lookers++;
    return () => {
      leave();
      this.#lookers--;
      this.#restLater();
    };
  }

  /** Somebody asks: resolves when there is something to tell, or when nothing came for a while. */
  async awake(): Promise<void> {
    this.#start();
    if (this.current === null)
      await new Promise<void>((resolve) => {
        const done = (): void => {
          clearTimeout(timer);
          leave();
          resolve();
        };
        const timer = setTimeout(done, PATIENCE_MS);
        const leave = this.subscribe(done);
      });
    this.#restLater();
  }

  close(): void {
    clearTimeout(this.#rest);
    this.#running?.end.abort();
    this.#running = null;
  }

  #start(): MeshFeed {
    if (this.#running === null) {
      const feed = this.#options.make();
      const end = new AbortController();
      this.#running = { feed, end };
      feed.run(end.signal).catch((error: unknown) => {
        if (this.#running?.feed === feed) this.close();
        this.#options.onError(error);
      });
    }
    return this.#running.feed;
  }

  #restLater(): void {
    clearTimeout(this.#rest);
    this.#rest = setTimeout(() => {
      if (this.#lookers === 0) this.close();
    }, this.#options.keepMs ?? KEEP_MS);
    this.#rest.unref();
  }
}

/** Routes that ask the feed. */
export const waking = (feed: FeedOnDemand, routes: readonly Route[]): readonly Route[] =>
  routes.map((route) => ({
    ...route,
    answer: async (asked) => {
      await feed.awake();
      await route.answer(asked);
    },
  }));
