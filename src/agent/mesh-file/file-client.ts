/**
 * A mesh file in the place of an API server: an agent lists and watches its nodes, and what it says of its own stays here.
 * When the file changes, whoever watches hears it.
 * @module
 */
import type { Listing, Selection, WatchEvent, WatchOptions } from '../kubernetes/client.ts';
import { KubernetesError } from '../kubernetes/kubernetes-error.ts';
import {
  type KubernetesObject,
  NODES,
  type NodeResource,
  type ResourceType,
} from '../kubernetes/resources.ts';
import type { AgentClient } from '../surroundings.ts';

/** Whoever watches must hear something now and then. */
const BOOKMARK_MS = 10_000;

export class FileClient implements AgentClient {
  #nodes: ReadonlyMap<string, NodeResource>;
  /** What the agent said of its own node. */
  readonly #said = new Map<string, Record<string, string>>();
  readonly #watchers = new Set<(event: WatchEvent<NodeResource>) => void>();
  #version = 1;

  constructor(nodes: readonly NodeResource[]) {
    this.#nodes = byName(nodes);
  }

  /** The file has changed. */
  update(nodes: readonly NodeResource[]): void {
    const before = this.#nodes;
    this.#nodes = byName(nodes);
    for (const [name, node] of before)
      if (!this.#nodes.has(name)) this.#tell({ type: 'DELETED', object: node });
    for (const name of this.#nodes.keys()) this.#tell({ type: 'MODIFIED', object: this.#node(name) });
  }

  async list<Item extends KubernetesObject>(
    type: ResourceType<Item>,
    _selection?: Selection,
  ): Promise<Listing<Item>> {
    const items = type.plural === NODES.plural ? [...this.#nodes.keys()].map((name) => this.#node(name)) : [];
    return { items: items as unknown as Item[], resourceVersion: String(this.#version) };
  }

  async *watch<Item extends KubernetesObject>(
    type: ResourceType<Item>,
    { signal }: WatchOptions,
  ): AsyncGenerator<WatchEvent<Item>, void, void> {
    const events: WatchEvent<NodeResource>[] = [];
    let wake = Promise.withResolvers<void>();
    const hear = (event: WatchEvent<NodeResource>): void => {
      events.push(event);
      wake.resolve();
    };
    const bookmark = (): void => hear({ type: 'BOOKMARK', resourceVersion: String(this.#version) });
    const timer = setInterval(bookmark, BOOKMARK_MS);
    const stop = (): void => wake.resolve();
    signal?.addEventListener('abort', stop, { once: true });
    if (type.plural === NODES.plural) this.#watchers.add(hear);
    try {
      while (signal?.aborted !== true) {
        const event = events.shift();
        if (event !== undefined) yield event as unknown as WatchEvent<Item>;
        else {
          await wake.promise;
          wake = Promise.withResolvers();
        }
      }
    } finally {
      clearInterval(timer);
      this.#watchers.delete(hear);
      signal?.removeEventListener('abort', stop);
    }
  }

  async patch<Item extends KubernetesObject>(
    _type: ResourceType<Item>,
    name: string,
    patch: unknown,
  ): Promise<Item> {
    if (!this.#nodes.has(name))
      throw new KubernetesError('ERR_KUBERNETES_NOT_FOUND', `The mesh file has no node "${name}".`, {
        status: 404,
      });
    const { annotations = {} } = (patch as { readonly metadata?: { annotations?: object } }).metadata ?? {};
    const said = { ...this.#said.get(name) };
    for (const [key, value] of Object.entries(annotations)) {
      if (value === null) delete said[key];
      else said[key] = String(value);
    }
    this.#said.set(name, said);
    const object = this.#node(name);
    this.#tell({ type: 'MODIFIED', object });
    return object as unknown as Item;
  }

  /** Events: there is nobody to read them; the log says the same. */
  async create<Item extends KubernetesObject>(_type: ResourceType<Item>, item: Item): Promise<Item> {
    return item;
  }

  close(): void {
    this.#watchers.clear();
  }

  #node(name: string): NodeResource {
    const node = this.#nodes.get(name) ?? { metadata: { name } };
    const annotations = { ...node.metadata.annotations, ...this.#said.get(name) };
    return {
      ...node,
      metadata: { ...node.metadata, resourceVersion: String(this.#version), annotations },
    };
  }

  #tell(event: { readonly type: 'MODIFIED' | 'DELETED'; readonly object: NodeResource }): void {
    this.#version++;
    for (const watcher of this.#watchers) watcher({ ...event, resourceVersion: String(this.#version) });
  }
}

const byName = (nodes: readonly NodeResource[]): ReadonlyMap<string, NodeResource> =>
  new Map(nodes.map((node) => [node.metadata.name, node]));
