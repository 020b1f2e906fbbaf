/**
 * Objects with versions: one counter for all, a history that watchers read from, and its compaction.
 * Source: etcd's revisions as the Kubernetes API shows them (resourceVersion, 410 Expired).
 * @module
 */
import type { KubernetesObject } from '../kubernetes/resources.ts';

export type Stored = KubernetesObject & Readonly<Record<string, unknown>>;

export interface Change {
  readonly revision: number;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  /** `nodes`, `peers.kilo.squat.ai` */
  readonly resource: string;
  readonly object: Stored;
  readonly previous?: Stored;
}

const HISTORY = 4096;

export class ObjectStore {
  readonly #objects = new Map<string, Map<string, Stored>>();
  readonly #watchers = new Set<(change: Change) => void>();
  #history: Change[] = [];
  #revision: number;
  /** Changes up to this one are forgotten. */
  #compacted: number;

  constructor(firstRevision = 1) {
    this.#revision = firstRevision;
    this.#compacted = firstRevision;
  }

  get revision(): number {
    return this.#revision;
  }

  get compacted(): number {
    return this.#compacted;
  }

  get(resource: string, key: string): Stored | undefined {
    return this.#objects.get(resource)?.get(key);
  }

  /** Sorted by key, as etcd does. */
  list(resource: string): readonly (readonly [key: string, object: Stored])[] {
    return [...(this.#objects.get(resource) ?? [])].toSorted(([a], [b]) => (a < b ? -1 : 1));
  }

  /** Adds or replaces; answers the object as stored, with its new version. */
  put(resource: string, key: string, object: Stored): Stored {
    const previous = this.get(resource, key);
    const stored = this.#versioned(object);
    let objects = this.#objects.get(resource);
    if (objects === undefined) {
      objects = new Map();
      this.#objects.set(resource, objects);
    }
    objects.set(key, stored);
    const type = previous === undefined ? 'ADDED' : 'MODIFIED';
    this.#tell({ revision: this.#revision, type, resource, object: stored, ...(previous && { previous }) });
    return stored;
  }

  delete(resource: string, key: string): Stored | undefined {
    const previous = this.get(resource, key);
    if (previous === undefined) return undefined;
    this.#objects.get(resource)?.delete(key);
    const object = this.#versioned(previous);
    this.#tell({ revision: this.#revision, type: 'DELETED', resource, object, previous });
    return object;
  }

  /** What happened to a resource after a revision; null when that is no longer known. */
  since(resource: string, revision: number): Change[] | null {
    if (revision < this.#compacted) return null;
    return this.#history.filter((change) => change.revision > revision && change.resource === resource);
  }

  /** Forgets what happened before now. */
  compact(): void {
    this.#compacted = this.#revision;
    this.#history = [];
  }

  /** Calls for each change until the returned function is called. */
  watch(watcher: (change: Change) => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  #versioned(object: Stored): Stored {
    this.#revision++;
    return { ...object, metadata: { ...object.metadata, resourceVersion: String(this.#revision) } };
  }

  #tell(change: Change): void {
    this.#history.push(change);
    if (this.#history.length > HISTORY) {
      const dropped = this.#history.splice(0, HISTORY / 2);
      this.#compacted = dropped.at(-1)?.revision ?? this.#compacted;
    }
    for (const watcher of [...this.#watchers]) watcher(change);
  }
}
