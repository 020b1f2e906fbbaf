/**
 * The verbs of the Kubernetes API a mesh agent needs: paged list, watch, get, create, merge patch, replace, delete.
 * Source: Kubernetes API concepts ("Retrieving large results sets in chunks", "Efficient detection of changes",
 * "Patches"). A merge patch is used throughout: server-side apply on a missing Node would create one.
 * @module
 */
import type { ClusterAccess } from './cluster-access.ts';
import { JsonLines } from './json-lines.ts';
import { KubernetesError, refusal } from './kubernetes-error.ts';
import {
  apiVersionOf,
  type KubernetesObject,
  type NodeResource,
  type PodResource,
  pathOf,
  type ResourceType,
} from './resources.ts';
import { Transport, unreachable } from './transport.ts';

export interface Listing<Item> {
  readonly items: Item[];
  readonly resourceVersion: string;
}

/** A program that listens on a port of a Pod or a Node. */
export interface ProxyTarget {
  readonly type: ResourceType<PodResource> | ResourceType<NodeResource>;
  readonly name: string;
  readonly namespace?: string;
  readonly port: number;
}

export interface Selection {
  readonly namespace?: string;
  /** `metadata.name=n1` */
  readonly fieldSelector?: string;
  readonly labelSelector?: string;
}

export interface WatchOptions extends Selection {
  readonly resourceVersion: string;
  readonly timeoutSeconds: number;
  /** No event and no bookmark for so long: the stream is given up. */
  readonly silenceMs?: number;
  readonly signal?: AbortSignal;
}

export type WatchEvent<Item> =
  | {
      readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
      readonly object: Item;
      readonly resourceVersion: string;
    }
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string };

const PAGE_SIZE = 100;
const PATIENCE_MS = 10_000;
const LIST_PATIENCE_MS = 30_000;
/** The API sends a bookmark about once a minute; one that was stopped keeps its streams open and says nothing. */
const LONGEST_SILENCE_MS = 90_000;

export interface ClientOptions {
  readonly userAgent?: string;
  readonly timeoutMs?: number;
}

export class KubernetesClient {
  readonly #transport: Transport;
  readonly #patience: number;
  readonly origin: string;

  constructor(access: ClusterAccess, options: ClientOptions = {}) {
    this.#transport = new Transport(access, options.userAgent ?? 'kilowire');
    this.#patience = options.timeoutMs ?? PATIENCE_MS;
    this.origin = access.server.origin;
  }

  close(): void {
    this.#transport.close();
  }

  /** Unix seconds by the API's own clock, as of its last answer. */
  get serverTime(): number | undefined {
    return this.#transport.serverTime;
  }

  /** All of a kind, page by page, so that no answer is large. A listing that expires on the way is begun anew. */
  async list<Item extends KubernetesObject>(
    type: ResourceType<Item>,
    selection: Selection = {},
    signal?: AbortSignal,
  ): Promise<Listing<Item>> {
    try {
      return await this.#pages(type, selection, PAGE_SIZE, signal);
    } catch (error) {
      if (!(error instanceof KubernetesError) || error.code !== 'ERR_KUBERNETES_EXPIRED') throw error;
      return await this.#pages(type, selection, 0, signal);
    }
  }

  async #pages<Item extends KubernetesObject>(
    type: ResourceType<Item>,
    selection: Selection,
    limit: number,
    signal: AbortSignal | undefined,
  ): Promise<Listing<Item>> {
    const items: Item[] = [];
    let next = '';
    for (;;) {
      const query = {
        ...selectors(selection),
        ...(limit > 0 ? { limit: String(limit) } : {}),
        continue: next,
      };
      const path = withQuery(pathOf(type, undefined, selection.namespace), query);
      const page = listOf<Item>(await this.#json('GET', path, { timeoutMs: LIST_PATIENCE_MS, signal }), path);
      for (const item of page.items) items.push(item);
      next = page.continue;
      if (next === '') return { items, resourceVersion: page.resourceVersion };
    }
  }

  async get<Item extends KubernetesObject>(
    type: ResourceType<Item>,
    name: string,
    namespace?: string,
    signal?: AbortSignal,
  ): Promise<Item> {
    return (await this.#json('GET', pathOf(type, name, namespace), { signal })) as Item;
  }

  async create<Item extends KubernetesObject>(
    type: ResourceType<Item>,
    item: Item,
    namespace?: string,
    signal?: AbortSignal,
  ): Promise<Item> {
    const body = { apiVersion: apiVersionOf(type), kind: type.kind, ...item };
    return (await this.#json('POST', pathOf(type, undefined, namespace), { body, signal })) as Item;
  }

  /** RFC 7386: null takes a field away. */
  async patch<Item extends KubernetesObject>(
    type: ResourceType<Item>,
    name: string,
    patch: unknown,
    namespace?: string,
    signal?: AbortSignal,
  ): Promise<Item> {
    const options = { body: patch, contentType: 'application/merge-patch+json', signal };
    return (await this.#json('PATCH', pathOf(type, name, namespace), options)) as Item;
  }

  async replace<Item extends KubernetesObject>(
    type: ResourceType<Item>,
    item: Item,
    namespace?: string,
    signal?: AbortSignal,
  ): Promise<Item> {
    const body = { apiVersion: apiVersionOf(type), kind: type.kind, ...item };
    const path = pathOf(type, item.metadata.name, namespace);
    return (await this.#json('PUT', path, { body, signal })) as Item;
  }

  async delete<Item extends KubernetesObject>(
    type: ResourceType<Item>,
    name: string,
    namespace?: string,
    signal?: AbortSignal,
  ): Promise<void> {
    await this.#json('DELETE', pathOf(type, name, namespace), { signal });
  }

  /**
   * What a program behind the API answers in JSON at a path of its own: the API server asks it for us.
   * Source: Kubernetes API, proxy of Pod and Node (`/api/v1/nodes/NAME:PORT/proxy/PATH`).
   */
  async behind(
    { type, name, namespace, port }: ProxyTarget,
    path: string,
    limits: { readonly timeoutMs: number; readonly mostBytes: number },
  ): Promise<unknown> {
    const where = `${pathOf(type, undefined, namespace)}/${encodeURIComponent(name)}:${port}`;
    return await this.#json('GET', `${where}/proxy${path}`, limits);
  }

  /**
   * One watch: what changed since a version, until the API ends the stream (a clean end), or it breaks, falls silent or
   * the version is too old (an error).
   */
  async *watch<Item extends KubernetesObject>(
    type: ResourceType<Item>,
    options: WatchOptions,
  ): AsyncGenerator<WatchEvent<Item>, void, void> {
    const path = withQuery(pathOf(type, undefined, options.namespace), {
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: options.resourceVersion,
      timeoutSeconds: String(options.timeoutSeconds),
      ...selectors(options),
    });
    const silence = new Silence(options.silenceMs ?? LONGEST_SILENCE_MS, options.signal);
    try {
      const request = { method: 'GET', path, timeoutMs: this.#patience, signal: silence.signal } as const;
      const response = await this.#transport.open(request);
      const lines = new JsonLines();
      silence.heard();
      for await (const chunk of response as AsyncIterable<Buffer>) {
        silence.heard();
        for (const line of lines.push(chunk)) yield eventOf<Item>(line, path);
      }
      lines.end();
    } catch (cause) {
      if (cause instanceof KubernetesError) throw cause;
      const reason: unknown = silence.signal.aborted ? silence.signal.reason : undefined;
      if (reason instanceof Error) throw reason;
      throw unreachable(this.origin, cause instanceof Error ? cause : new Error(String(cause)));
    } finally {
      silence.end();
    }
  }

  #json(
    method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    path: string,
    options: {
      readonly body?: unknown;
      readonly contentType?: string;
      readonly timeoutMs?: number;
      readonly mostBytes?: number;
      readonly signal?: AbortSignal | undefined;
    },
  ): Promise<unknown> {
    return this.#transport.json({ method, path, timeoutMs: this.#patience, ...options });
  }
}

/** Ends a stream that says nothing; the caller's signal ends it too. */
class Silence {
  readonly #controller = new AbortController();
  readonly #limit: number;
  readonly #forward: () => void;
  readonly #outer: AbortSignal | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(limit: number, outer: AbortSignal | undefined) {
    this.#limit = limit;
    this.#outer = outer;
    this.#forward = () => this.#controller.abort(outer?.reason);
    if (outer?.aborted === true) this.#forward();
    outer?.addEventListener('abort', this.#forward, { once: true });
    this.heard();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  heard(): void {
    if (this.#timer !== undefined) {
      this.#timer.refresh();
      return;
    }
    this.#timer = setTimeout(() => {
      const message = `The API has said nothing on a watch for ${this.#limit / 1000} s; it is asked anew.`;
      this.#controller.abort(new KubernetesError('ERR_KUBERNETES_SILENT', message));
    }, this.#limit);
    this.#timer.unref();
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#outer?.removeEventListener('abort', this.#forward);
    // Whoever stops reading in the middle leaves no stream behind.
    this.#controller.abort(new Error('the watch is over'));
  }
}

const selectors = ({ fieldSelector = '', labelSelector = '' }: Selection): Record<string, string> => ({
  fieldSelector,
  labelSelector,
});

const withQuery = (path: string, query: Readonly<Record<string, string>>): string => {
  const parameters = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== ''));
  return parameters.size === 0 ? path : `${path}?${parameters.toString()}`;
};

const listOf = <Item>(document: unknown, path: string) => {
  const { items, metadata } = (document ?? {}) as {
    items?: Item[] | null;
    metadata?: { resourceVersion?: string; continue?: string };
  };
  const resourceVersion = metadata?.resourceVersion;
  if (resourceVersion === undefined || !(items === null || Array.isArray(items)))
    throw unexpected(path, 'it is not a list');
  return { items: items ?? [], resourceVersion, continue: metadata?.continue ?? '' };
};

const eventOf = <Item extends KubernetesObject>(line: unknown, path: string): WatchEvent<Item> => {
  const { type, object } = (line ?? {}) as { type?: string; object?: Item };
  // A version that is too old is told inside a stream that began with 200.
  if (type === 'ERROR') {
    const { code } = (object ?? {}) as { code?: unknown };
    throw refusal(
      typeof code === 'number' ? code : 500,
      `the watch of ${path.split('?')[0]}`,
      object,
      undefined,
    );
  }
  const resourceVersion = object?.metadata?.resourceVersion;
  if (object === undefined || resourceVersion === undefined) throw unexpected(path, 'an event has no object');
  if (type === 'BOOKMARK') return { type, resourceVersion };
  if (type !== 'ADDED' && type !== 'MODIFIED' && type !== 'DELETED')
    throw unexpected(path, `"${String(type)}" is no kind of event`);
  return { type, object, resourceVersion };
};

const unexpected = (path: string, what: string): KubernetesError =>
  new KubernetesError(
    'ERR_KUBERNETES_PROTOCOL',
    `The API's answer for ${path.split('?')[0]} cannot be read: ${what}.`,
  );
