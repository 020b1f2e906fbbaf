/**
 * The verbs on objects of one kind: list, get, create, replace, patch, delete.
 * Source: Kubernetes API concepts and conventions; the answers of a kube-apiserver 1.35.
 * @module
 */
import { randomUUID } from 'node:crypto';
import { type Kind, resourceName } from './kinds.ts';
import type { ObjectStore, Stored } from './object-store.ts';
import { jsonPatch, mergePatch } from './patches.ts';
import { schemaFaults } from './schema.ts';
import type { Filter } from './selectors.ts';
import {
  ApiStatus,
  badRequest,
  conflict,
  expired,
  invalid,
  notFound,
  unsupportedMediaType,
} from './status.ts';
import { versionOf } from './watch-response.ts';

const MERGE_PATCH = 'application/merge-patch+json';
const STRATEGIC_PATCH = 'application/strategic-merge-patch+json';
const JSON_PATCH = 'application/json-patch+json';
/** Listings that are still being read page by page. */
const OPEN_LISTINGS = 64;

interface Page {
  readonly revision: number;
  readonly objects: readonly (readonly [key: string, object: Stored])[];
}

export class Collection {
  readonly #store: ObjectStore;
  readonly #kind: Kind;
  readonly #resource: string;
  readonly #now: () => Date;
  readonly #pages = new Map<number, Page>();

  constructor(store: ObjectStore, kind: Kind, now: () => Date) {
    this.#store = store;
    this.#kind = kind;
    this.#resource = resourceName(kind);
    this.#now = now;
  }

  #key(name: string, namespace: string | undefined): string {
    return namespace === undefined ? name : `${namespace}/${name}`;
  }

  list(namespace: string | undefined, query: URLSearchParams, filter: Filter): unknown {
    const version = query.get('resourceVersion') ?? '';
    if (versionOf(version) > this.#store.revision) {
      const causes = [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }];
      throw new ApiStatus(
        504,
        'Timeout',
        `Too large resource version: ${version}, current: ${this.#store.revision}`,
        {
          details: { causes },
          retryAfterSeconds: 1,
        },
      );
    }
    const { page, after } = this.#page(query.get('continue') ?? '');
    const inside = page.objects.filter(
      ([key, object]) =>
        (after === '' || key > after) &&
        (namespace === undefined || object.metadata.namespace === namespace) &&
        filter(object),
    );
    const limit = version === '0' ? 0 : Number(query.get('limit') ?? '') || 0;
    const items = limit > 0 ? inside.slice(0, limit) : inside;
    const left = inside.length - items.length;
    const last = items.at(-1);
    if (left > 0) this.#remember(page);
    const more =
      left > 0 && last !== undefined
        ? { continue: token(page.revision, last[0]), remainingItemCount: left }
        : {};
    const { group, version: apiVersion, kind } = this.#kind;
    return {
      kind: `${kind}List`,
      apiVersion: group === '' ? apiVersion : `${group}/${apiVersion}`,
      metadata: { resourceVersion: String(page.revision), ...more },
      items: items.map(([, object]) => object),
    };
  }

  #page(text: string): { readonly page: Page; readonly after: string } {
    if (text === '') return { page: this.#current(), after: '' };
    const { revision, after } = tokenOf(text);
    // -1: the rest of an expired listing, as things are now.
    if (revision === -1) return { page: this.#current(), after };
    const page = this.#pages.get(revision);
    if (page === undefined || revision < this.#store.compacted)
      throw expired(revision, { continue: token(-1, after) });
    return { page, after };
  }

  #current(): Page {
    return { revision: this.#store.revision, objects: this.#store.list(this.#resource) };
  }

  #remember(page: Page): void {
    this.#pages.set(page.revision, page);
    const [oldest] = this.#pages.keys();
    if (this.#pages.size > OPEN_LISTINGS && oldest !== undefined) this.#pages.delete(oldest);
  }

  get(name: string, namespace: string | undefined): Stored {
    const object = this.#store.get(this.#resource, this.#key(name, namespace));
    if (object === undefined) throw notFound(this.#resource, name);
    return object;
  }

  create(namespace: string | undefined, body: unknown): Stored {
    const given = objectOf(body);
    const { generateName, ...rest } = given.metadata as Stored['metadata'] & { generateName?: string };
    const name =
      rest.name ?? (generateName === undefined ? '' : `${generateName}${randomUUID().slice(0, 5)}`);
    if (name === '')
      throw invalid(this.#resource, '', 'metadata.name: Required value: name or generateName is required');
    const key = this.#key(name, namespace);
    if (this.#store.get(this.#resource, key) !== undefined)
      throw new ApiStatus(409, 'AlreadyExists', `${this.#resource} "${name}" already exists`, {
        details: { name, kind: this.#resource },
      });
    const metadata = {
      ...rest,
      name,
      ...(namespace === undefined ? {} : { namespace }),
      uid: randomUUID(),
      creationTimestamp: this.#now()
        .toISOString()
        .replace(/\.\d+Z$/, 'Z'),
      ...(this.#kind.custom === undefined ? {} : { generation: 1 }),
    };
    return this.#put(key, { ...given, metadata });
  }

  replace(name: string, namespace: string | undefined, body: unknown): Stored {
    const before = this.get(name, namespace);
    const given = objectOf(body);
    return this.#change(before, given, namespace);
  }

  patch(name: string, namespace: string | undefined, type: string, patch: unknown): Stored {
    const before = this.get(name, namespace);
    const accepted = [JSON_PATCH, MERGE_PATCH, ...(this.#kind.custom === undefined ? [STRATEGIC_PATCH] : [])];
    const media = type.split(';')[0]?.trim() ?? '';
    if (!accepted.includes(media)) throw unsupportedMediaType(media, accepted);
    // For maps, all these kinds' patches deal with, a strategic merge is a merge.
    const after = media === JSON_PATCH ? jsonPatch(before, patch) : mergePatch(before, patch);
    return this.#change(before, objectOf(after), namespace);
  }

  /** Keeps what a client may not change; the same content keeps its version. */
  #change(before: Stored, given: Stored, namespace: string | undefined): Stored {
    const { name, uid, creationTimestamp, resourceVersion, generation } = before.metadata;
    const wanted = given.metadata.resourceVersion;
    if (wanted !== undefined && wanted !== resourceVersion) throw conflict(this.#resource, name);
    if (given.metadata.name !== name)
      throw badRequest('the name of the object does not match the name on the URL');
    const metadata = {
      ...given.metadata,
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(uid === undefined ? {} : { uid }),
      ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
      ...(generation === undefined ? {} : { generation }),
    };
    const after = { ...given, kind: before.kind, apiVersion: before.apiVersion, metadata } as Stored;
    if (sameContent(before, after)) return before;
    const changedSpec = !sameContent(before.spec, after.spec);
    return this.#put(
      this.#key(name, namespace),
      generation === undefined || !changedSpec
        ? after
        : { ...after, metadata: { ...metadata, generation: generation + 1 } },
    );
  }

  delete(name: string, namespace: string | undefined): Stored {
    const deleted = this.#store.delete(this.#resource, this.#key(name, namespace));
    if (deleted === undefined) throw notFound(this.#resource, name);
    return deleted;
  }

  #put(key: string, object: Stored): Stored {
    const { custom, kind, group, version } = this.#kind;
    if (custom !== undefined) {
      const faults = schemaFaults(custom.schema, object);
      if (faults.length > 0) throw invalid(`${kind}.${group}`, object.metadata.name, faults.join(', '));
    }
    const apiVersion = group === '' ? version : `${group}/${version}`;
    return this.#store.put(this.#resource, key, { ...object, kind, apiVersion });
  }
}

const objectOf = (body: unknown): Stored => {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw badRequest('the body is not an object');
  const { metadata } = body as { metadata?: unknown };
  if (metadata !== undefined && (typeof metadata !== 'object' || metadata === null))
    throw badRequest('metadata is not an object');
  return { ...(body as Stored), metadata: (metadata ?? {}) as Stored['metadata'] };
};

/** Equal whatever the order of names. */
const sameContent = (a: unknown, b: unknown): boolean => canonical(a) === canonical(b);

const canonical = (value: unknown): string | undefined =>
  JSON.stringify(value, (_name, each: unknown) =>
    typeof each === 'object' && each !== null && !Array.isArray(each)
      ? Object.fromEntries(Object.entries(each).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : each,
  );

const token = (revision: number, after: string): string =>
  Buffer.from(JSON.stringify({ revision, after })).toString('base64url');

const tokenOf = (text: string): { readonly revision: number; readonly after: string } => {
  try {
    const { revision, after } = JSON.parse(Buffer.from(text, 'base64url').toString('utf8')) as {
      revision: number;
      after: string;
    };
    if (Number.isInteger(revision) && typeof after === 'string') return { revision, after };
  } catch {
    // told below
  }
  throw badRequest('continue key is not valid');
};
