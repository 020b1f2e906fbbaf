/**
 * The Kubernetes API of a simulated cluster: objects with versions, lists, patches and watches, slow and late as they please,
 * and away for whom it shall be away.
 * Source: Kubernetes API concepts ("Efficient detection of changes"); the errors are those of our own client.
 * @module
 */
import { type Change, ObjectStore, type Stored } from '../agent/api-server/object-store.ts';
import { mergePatch } from '../agent/api-server/patches.ts';
import type { WatchEvent } from '../agent/kubernetes/client.ts';
import { KubernetesError } from '../agent/kubernetes/kubernetes-error.ts';
import type { KubernetesObject, ResourceType } from '../agent/kubernetes/resources.ts';
import type { AgentClient } from '../agent/surroundings.ts';
import type { Chance } from './chance.ts';
import type { VirtualTime } from './virtual-time.ts';

export const NODE_OBJECTS = 'nodes';
export const PEER_OBJECTS = 'peers.kilo.squat.ai';

/** As the real client has it. */
const SILENCE_MS = 90_000;
const BOOKMARK_MS = 60_000;
const PATIENCE_MS = 10_000;

/** How the API is away for a client: it refuses connections and breaks streams, or it says nothing any more. */
export type Absence = 'refuses' | 'silent' | null;

interface Stream {
  readonly resource: string;
  readonly queue: Change[];
  /** An event or the stream's end has arrived. */
  wake: () => void;
  waking: boolean;
  broken: boolean;
}

export class SimulatedApi {
  readonly store = new ObjectStore();
  readonly time: VirtualTime;
  readonly #clients = new Set<SimulatedClient>();
  /** Patches and creations that were carried out. */
  writes = 0;
  /** The Events that agents wrote. */
  readonly told: KubernetesObject[] = [];

  constructor(time: VirtualTime) {
    this.time = time;
    this.store.watch((change) => {
      for (const client of this.#clients) client.tell(change);
    });
  }

  /** `delayMs`: how late its watches hear. */
  client(chance: Chance, delayMs: number): SimulatedClient {
    const client = new SimulatedClient(this, chance, delayMs, () => this.#clients.delete(client));
    this.#clients.add(client);
    return client;
  }

  /** A patch by somebody else: a user, or a node that is only played. */
  patch(resource: string, name: string, patch: unknown): Stored | undefined {
    const before = this.store.get(resource, name);
    if (before === undefined) return undefined;
    return this.store.put(resource, name, mergePatch(before, patch) as Stored);
  }
}

export class SimulatedClient implements AgentClient {
  readonly #api: SimulatedApi;
  readonly #chance: Chance;
  readonly #onClose: () => void;
  readonly #streams = new Set<Stream>();
  #absence: Absence = null;
  delayMs: number;

  constructor(api: SimulatedApi, chance: Chance, delayMs: number, onClose: () => void) {
    this.#api = api;
    this.#chance = chance;
    this.#onClose = onClose;
    this.delayMs = delayMs;
  }

  get absence(): Absence {
    return this.#absence;
  }

  /** Whether the API is there for this client. A stream that is silent hears what it missed when it speaks again. */
  set absence(absence: Absence) {
    this.#absence = absence;
    if (absence === 'refuses') for (const stream of this.#streams) stream.broken = true;
    for (const stream of this.#streams) this.#wake(stream);
  }

  /** A watch ends in the middle, as by a proxy that was restarted. */
  breakStreams(): void {
    for (const stream of this.#streams) {
      stream.broken = true;
      this.#wake(stream);
    }
  }

  close(): void {
    this.#onClose();
    this.breakStreams();
  }

  /** @internal */
  tell(change: Change): void {
    for (const stream of this.#streams) {
      if (stream.resource !== change.resource) continue;
      stream.queue.push(change);
      this.#wake(stream);
    }
  }

  #wake(stream: Stream): void {
    if (stream.waking) return;
    stream.waking = true;
    const { time } = this.#api;
    time.at(time.now + this.delayMs, () => {
      stream.waking = false;
      stream.wake();
    });
  }

  list: AgentClient['list'] = async <Item extends KubernetesObject>(type: ResourceType<Item>) => {
    await this.#reach();
    const { store } = this.#api;
    const items = store.list(resourceOf(type)).map(([, object]) => object as unknown as Item);
    return { items, resourceVersion: String(store.revision) };
  };

  patch: AgentClient['patch'] = async <Item extends KubernetesObject>(
    type: ResourceType<Item>,
    name: string,
    patch: unknown,
  ) => {
    await this.#reach();
    const after = this.#api.patch(resourceOf(type), name, patch);
    if (after === undefined)
      throw new KubernetesError('ERR_KUBERNETES_NOT_FOUND', `${type.plural} "${name}" not found`);
    this.#api.writes++;
    return after as unknown as Item;
  };

  /** Of Events what people would read, anything else as it is. */
  create: AgentClient['create'] = async (type, item) => {
    await this.#reach();
    if (type.kind === 'Event') this.#api.told.push(item);
    else this.#api.store.put(resourceOf(type), item.metadata.name, item as unknown as Stored);
    this.#api.writes++;
    return item;
  };

  watch: AgentClient['watch'] = async function* <Item extends KubernetesObject>(
    this: SimulatedClient,
    type: ResourceType<Item>,
    options: {
      readonly resourceVersion: string;
      readonly timeoutSeconds: number;
      readonly signal?: AbortSignal;
    },
  ): AsyncGenerator<WatchEvent<Item>, void, void> {
    await this.#reach();
    const { store, time } = this.#api;
    const resource = resourceOf(type);
    const missed = store.since(resource, Number(options.resourceVersion));
    if (missed === null) throw new KubernetesError('ERR_KUBERNETES_EXPIRED', 'too old resource version');
    const stream: Stream = { resource, queue: missed, wake: () => {}, waking: false, broken: false };
    this.#streams.add(stream);
    const began = time.now;
    let heard = began;
    const stop = (): void => stream.wake();
    options.signal?.addEventListener('abort', stop, { once: true });
    try {
      for (;;) {
        if (options.signal?.aborted) throw unreachable();
        if (stream.broken) throw unreachable();
        if (this.#absence === null) {
          const events = stream.queue.splice(0);
          for (const { type: kind, object, revision } of events) {
            heard = time.now;
            yield { type: kind, object: object as unknown as Item, resourceVersion: String(revision) };
          }
          if (events.length > 0) continue;
          if (time.now - began >= options.timeoutSeconds * 1000) return;
          if (time.now - heard >= BOOKMARK_MS) {
            heard = time.now;
            yield { type: 'BOOKMARK', resourceVersion: String(store.revision) };
            continue;
          }
        } else if (time.now - heard >= SILENCE_MS) {
          throw new KubernetesError('ERR_KUBERNETES_SILENT', 'nothing was said for 90 s');
        }
        const end = began + options.timeoutSeconds * 1000;
        const due = this.#absence === null ? Math.min(heard + BOOKMARK_MS, end) : heard + SILENCE_MS;
        const { promise, resolve } = Promise.withResolvers<void>();
        stream.wake = resolve;
        const cancel = time.at(due, resolve);
        await promise;
        cancel();
      }
    } finally {
      options.signal?.removeEventListener('abort', stop);
      this.#streams.delete(stream);
    }
  };

  /** The way there and back; what the API does not answer ends when the client's patience does. */
  async #reach(): Promise<void> {
    const { time } = this.#api;
    await time.sleep(this.#chance.between(2, 30));
    if (this.#absence === null) return;
    if (this.#absence === 'refuses') throw unreachable();
    const until = time.now + PATIENCE_MS;
    while (time.now < until && this.#absence !== null) await time.sleep(1000);
    if (this.#absence !== null) throw new KubernetesError('ERR_KUBERNETES_TIMEOUT', 'no answer in 10 s');
  }
}

const resourceOf = ({ group, plural }: ResourceType<KubernetesObject>): string =>
  group === '' ? plural : `${plural}.${group}`;

const unreachable = (): KubernetesError =>
  new KubernetesError('ERR_KUBERNETES_UNREACHABLE', 'The API cannot be reached.');
