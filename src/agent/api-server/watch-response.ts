/**
 * One watch: events as they happen, bookmarks in between, and its end.
 * Source: Kubernetes API concepts, "Efficient detection of changes", "Watch bookmarks", "Streaming lists"; what a
 * kube-apiserver 1.35 does with versions too old, too new and missing.
 * @module
 */
import type { ServerResponse } from 'node:http';
import { type Kind, resourceName } from './kinds.ts';
import type { Change, ObjectStore } from './object-store.ts';
import type { Filter } from './selectors.ts';
import { ApiStatus, expired } from './status.ts';

export interface WatchSettings {
  readonly bookmarkMs: number;
  /** While true, nothing is sent, as by a server that was stopped. */
  readonly isSilent: () => boolean;
}

const DEFAULT_TIMEOUT_SECONDS = 1800;
/** Bookmarks come this long before the end too; a shorter watch ends without. */
const LAST_BOOKMARK_MS = 2000;
const INITIAL_EVENTS_END = { 'k8s.io/initial-events-end': 'true' };

/** Writes the stream; answers a function that ends it cleanly. */
export const serveWatch = (
  response: ServerResponse,
  store: ObjectStore,
  kind: Kind,
  query: URLSearchParams,
  filter: Filter,
  settings: WatchSettings,
): (() => void) => {
  const resource = resourceName(kind);
  const since = versionOf(query.get('resourceVersion') ?? '');
  const initial = initialEvents(query);
  const bookmarks = query.get('allowWatchBookmarks') === 'true' || query.get('allowWatchBookmarks') === '1';
  const apiVersion = kind.group === '' ? kind.version : `${kind.group}/${kind.version}`;
  response.writeHead(200, { 'content-type': 'application/json' });
  response.flushHeaders();

  const send = (type: string, object: unknown): void => {
    if (!settings.isSilent()) response.write(`${JSON.stringify({ type, object })}\n`);
  };
  const bookmark = (annotations: Readonly<Record<string, string>> = {}): void => {
    if (ended) return;
    const metadata = { resourceVersion: String(store.revision), creationTimestamp: null, annotations };
    const empty = kind.plural === 'nodes' ? { spec: {}, status: {} } : {};
    send('BOOKMARK', { kind: kind.kind, apiVersion, metadata, ...empty });
  };
  const pass = (change: Change): void => {
    if (change.resource !== resource || change.revision <= since) return;
    // An object that comes into or falls out of the selection is added or deleted for this watcher.
    const now = change.type !== 'DELETED' && filter(change.object);
    const before = change.previous !== undefined && filter(change.previous);
    if (now) send(before ? 'MODIFIED' : 'ADDED', change.object);
    else if (before) send('DELETED', change.object);
  };

  let ended = false;
  const timers: NodeJS.Timeout[] = [];
  let stop = (): void => {};
  const end = (): void => {
    if (ended) return;
    ended = true;
    stop();
    for (const timer of timers) clearTimeout(timer);
    if (!settings.isSilent()) response.end();
  };
  response.on('close', () => {
    ended = true;
    stop();
    for (const timer of timers) clearTimeout(timer);
  });

  if (initial || since === 0) {
    for (const [, object] of store.list(resource)) if (filter(object)) send('ADDED', object);
    if (initial) bookmark(INITIAL_EVENTS_END);
  } else {
    const missed = store.since(resource, since);
    if (missed === null) {
      send('ERROR', expired(since).body);
      end();
      return end;
    }
    for (const change of missed) pass(change);
  }
  stop = store.watch(pass);
  const seconds = Number(query.get('timeoutSeconds') ?? '') || DEFAULT_TIMEOUT_SECONDS;
  timers.push(setTimeout(end, seconds * 1000));
  // A version from the future is waited for in silence, bookmarks and all.
  if (bookmarks && since <= store.revision) {
    timers.push(setInterval(bookmark, settings.bookmarkMs));
    if (seconds * 1000 > LAST_BOOKMARK_MS)
      timers.push(setTimeout(bookmark, seconds * 1000 - LAST_BOOKMARK_MS));
  }
  for (const timer of timers) timer.unref();
  return end;
};

const initialEvents = (query: URLSearchParams): boolean => {
  if (query.get('sendInitialEvents') !== 'true') return false;
  if (query.get('resourceVersionMatch') === 'NotOlderThan') return true;
  throw new ApiStatus(
    422,
    'Invalid',
    'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires resourceVersionMatch to be NotOlderThan',
  );
};

/** 0 stands for "none given" and for "any". */
export const versionOf = (text: string): number => {
  if (text === '') return 0;
  if (!/^\d{1,15}$/.test(text))
    throw new ApiStatus(
      500,
      'InternalError',
      `Invalid value: "${text}": strconv.ParseUint: parsing "${text}": invalid syntax`,
    );
  return Number(text);
};
