/**
 * An API server's Nodes and those of a mesh file together, for the time in which a mesh of plain machines becomes a cluster:
 * nodes join the API one by one, and until then each stays in the mesh by what the file says.
 * @module
 */
import type { Listing, Selection, WatchEvent, WatchOptions } from '../kubernetes/client.ts';
import {
  type KubernetesObject,
  NODES,
  type NodeResource,
  type ResourceType,
} from '../kubernetes/resources.ts';
import type { AgentClient } from '../surroundings.ts';
import { overlaid } from './file-nodes.ts';

export class OverlayClient implements AgentClient {
  readonly #client: AgentClient;
  readonly #file: ReadonlyMap<string, NodeResource>;

  constructor(client: AgentClient, file: readonly NodeResource[]) {
    this.#client = client;
    this.#file = new Map(file.map((node) => [node.metadata.name, node]));
  }

  async list<Item extends KubernetesObject>(
    type: ResourceType<Item>,
    selection?: Selection,
    signal?: AbortSignal,
  ): Promise<Listing<Item>> {
    const { items, resourceVersion } = await this.#client.list(type, selection, signal);
    if (type.plural !== NODES.plural) return { items, resourceVersion };
    const there = new Set(items.map(({ metadata }) => metadata.name));
    const missing = [...this.#file.values()].filter(({ metadata }) => !there.has(metadata.name));
    return {
      items: [...items.map((item) => this.#seen(item)), ...(missing as unknown as Item[])],
      resourceVersion,
    };
  }

  async *watch<Item extends KubernetesObject>(
    type: ResourceType<Item>,
    options: WatchOptions,
  ): AsyncGenerator<WatchEvent<Item>, void, void> {
    for await (const event of this.#client.watch(type, options)) {
      if (type.plural !== NODES.plural || event.type === 'BOOKMARK') yield event;
      else {
        const { name } = event.object.metadata;
        const fromFile = this.#file.get(name) as unknown as Item | undefined;
        // One that left the API and stands in the file is where it was before it came.
        if (event.type === 'DELETED' && fromFile !== undefined)
          yield { ...event, type: 'MODIFIED', object: fromFile };
        else yield { ...event, object: this.#seen(event.object) };
      }
    }
  }

  async patch<Item extends KubernetesObject>(
    type: ResourceType<Item>,
    name: string,
    patch: unknown,
    namespace?: string,
    signal?: AbortSignal,
  ): Promise<Item> {
    const item = await this.#client.patch(type, name, patch, namespace, signal);
    return type.plural === NODES.plural ? this.#seen(item) : item;
  }

  async create<Item extends KubernetesObject>(
    type: ResourceType<Item>,
    item: Item,
    namespace?: string,
    signal?: AbortSignal,
  ): Promise<Item> {
    return await this.#client.create(type, item, namespace, signal);
  }

  close(): void {
    this.#client.close();
  }

  #seen<Item extends KubernetesObject>(item: Item): Item {
    return overlaid(item as unknown as NodeResource, this.#file.get(item.metadata.name)) as unknown as Item;
  }
}
