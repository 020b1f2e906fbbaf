/**
 * A Kubernetes API server in this process, for a mesh on one machine: Nodes, Peers, Events, Leases and CRDs, with the
 * versions, watches and refusals of the real one. Nothing is on disk.
 * Source: Kubernetes API concepts; measured behaviour of a kube-apiserver 1.35.
 * @module
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { CustomResourceDefinition } from '../kubernetes/resources.ts';
import { Collection } from './collection.ts';
import { discover } from './discovery.ts';
import { BUILT_IN, CRD_RESOURCE, type Kind, kindsOf, resourceName } from './kinds.ts';
import { ObjectStore, type Stored } from './object-store.ts';
import { type Connect, proxyRequestOf, serveProxy } from './proxy-subresource.ts';
import { filterOf } from './selectors.ts';
import { ApiStatus, badRequest, unsupportedMediaType } from './status.ts';
import { serveWatch } from './watch-response.ts';

export interface ApiServerOptions {
  /** The only token let in; without one everybody is. */
  readonly token?: string;
  /** PEM. With it the server speaks TLS and nothing else. */
  readonly tls?: { readonly key: string; readonly certificate: string };
  readonly bookmarkMs?: number;
  /** How long a kind that a CRD brings answers 429 at first. */
  readonly settleMs?: number;
  readonly firstRevision?: number;
  /** To Nodes and Pods that are asked through us; default: as this process reaches them. */
  readonly connect?: Connect;
  readonly now?: () => Date;
}

const JSON_MEDIA = 'application/json';
const LARGEST_BODY = 3 << 20;
const KEEP_ALIVE_MS = 60_000;

interface Served {
  readonly kind: Kind;
  readonly collection: Collection;
  readonly readyAt: number;
}

interface Target {
  readonly served: Served;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
}

export class ApiServer {
  readonly store: ObjectStore;
  readonly #options: ApiServerOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #watches = new Map<() => void, string>();
  readonly #kinds = new Map<string, Served>();
  #silent = false;

  constructor(options: ApiServerOptions = {}) {
    this.#options = options;
    this.store = new ObjectStore(options.firstRevision);
    for (const kind of BUILT_IN) this.#serve(kind, 0);
    const answer = (request: IncomingMessage, response: ServerResponse): void =>
      void this.#answer(request, response);
    const { tls } = options;
    this.#server =
      tls === undefined
        ? createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, answer)
        : createTlsServer({ key: tls.key, cert: tls.certificate, keepAliveTimeout: KEEP_ALIVE_MS }, answer);
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  /** Answers the address to reach it at. Port 0: any that is free. */
  async listen(port = 0, host = '127.0.0.1'): Promise<URL> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, resolve);
    });
    const { port: bound } = this.#server.address() as AddressInfo;
    const scheme = this.#options.tls === undefined ? 'http' : 'https';
    return new URL(`${scheme}://${host.includes(':') ? `[${host}]` : host}:${bound}`);
  }

  /** Serves on a socket that is bound already, in another network namespace perhaps. */
  async listenOn(fd: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ fd }, resolve);
    });
  }

  /** As a POST of somebody in this very process. */
  create(path: string, object: unknown): Stored {
    const target = this.#targetOf(path);
    if (target === null) throw new ApiStatus(404, 'NotFound', `nothing is served at ${path}`);
    const { kind, collection } = target.served;
    return this.#afterChange(kind, collection.create(target.namespace, object));
  }

  /** Ends as if killed: every stream breaks off. What was stored is still there for the next `listen`. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** From now on it says nothing more on open streams and answers nobody, as one that was told to end. */
  fallSilent(silent = true): void {
    this.#silent = silent;
  }

  #serve(kind: Kind, settleMs: number): void {
    const collection = new Collection(this.store, kind, this.#options.now ?? (() => new Date()));
    const readyAt = performance.now() + settleMs;
    this.#kinds.set(`${kind.group}/${kind.version}/${kind.plural}`, { kind, collection, readyAt });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.#silent) return;
    try {
      const url = new URL(request.url ?? '/', 'http://api');
      const answer = await this.#route(request, response, url);
      if (answer !== undefined) sendJson(response, answer.status, answer.body);
    } catch (error) {
      const status =
        error instanceof ApiStatus
          ? error
          : new ApiStatus(500, 'InternalError', error instanceof Error ? error.message : String(error));
      const { retryAfterSeconds } = status.options;
      if (retryAfterSeconds !== undefined) response.setHeader('retry-after', String(retryAfterSeconds));
      sendJson(response, status.code, status.body);
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse, url: URL) {
    const { token } = this.#options;
    if (token !== undefined && request.headers.authorization !== `Bearer ${token}`)
      throw new ApiStatus(401, 'Unauthorized', 'Unauthorized');
    if (/^\/(?:readyz|livez|healthz)$/.test(url.pathname)) return sendText(response, 200, 'ok');
    const found = discover(
      url.pathname,
      [...this.#kinds.values()].map(({ kind }) => kind),
    );
    if (found !== undefined) return { status: 200, body: found };
    const behind = proxyRequestOf(url);
    if (behind !== null)
      return await serveProxy(this.store, behind, request, response, this.#options.connect);
    const target = this.#targetOf(url.pathname);
    // Where no kind is known the real one answers in plain words, not with a Status.
    if (target === null) return sendText(response, 404, '404 page not found\n');
    if (performance.now() < target.served.readyAt)
      throw new ApiStatus(429, 'TooManyRequests', 'storage is (re)initializing', { retryAfterSeconds: 1 });
    return await this.#perform(request, response, url, target);
  }

  async #perform(request: IncomingMessage, response: ServerResponse, url: URL, target: Target) {
    const { served, namespace, name } = target;
    const { collection, kind } = served;
    const method = request.method ?? 'GET';
    if (name === undefined) {
      if (method === 'POST') {
        const created = collection.create(namespace, await objectIn(request));
        return { status: 201, body: this.#afterChange(kind, created) };
      }
      if (method !== 'GET') throw notAllowed();
      const scope = filterOf(url.searchParams);
      if (!isTrue(url.searchParams.get('watch')))
        return { status: 200, body: collection.list(namespace, url.searchParams, scope) };
      const inside = (object: Stored): boolean =>
        (namespace === undefined || object.metadata.namespace === namespace) && scope(object);
      const end = serveWatch(response, this.store, kind, url.searchParams, inside, {
        bookmarkMs: this.#options.bookmarkMs ?? 60_000,
        isSilent: () => this.#silent,
      });
      this.#watches.set(end, resourceName(kind));
      response.on('close', () => this.#watches.delete(end));
      return undefined;
    }
    switch (method) {
      case 'GET':
        return { status: 200, body: collection.get(name, namespace) };
      case 'PUT':
        return {
          status: 200,
          body: this.#afterChange(kind, collection.replace(name, namespace, await objectIn(request))),
        };
      case 'PATCH': {
        const type = request.headers['content-type'] ?? '';
        const body = collection.patch(name, namespace, type, await bodyOf(request));
        return { status: 200, body: this.#afterChange(kind, body) };
      }
      case 'DELETE': {
        const deleted = collection.delete(name, namespace);
        if (resourceName(kind) === CRD_RESOURCE) this.#withdraw(deleted);
        return { status: 200, body: deletion(kind, deleted) };
      }
      default:
        throw notAllowed();
    }
  }

  /** A CRD brings its kinds, and says so in its status. */
  #afterChange(kind: Kind, object: Stored): Stored {
    if (resourceName(kind) !== CRD_RESOURCE) return object;
    const definition = object as unknown as CustomResourceDefinition;
    for (const each of kindsOf(definition)) {
      const known = this.#kinds.has(`${each.group}/${each.version}/${each.plural}`);
      this.#serve(each, known ? 0 : (this.#options.settleMs ?? 0));
    }
    if (definition.status?.conditions?.some(({ type }) => type === 'Established')) return object;
    const conditions = ['NamesAccepted', 'Established'].map((type) => ({ type, status: 'True' }));
    const status = { ...definition.status, conditions };
    return this.store.put(CRD_RESOURCE, object.metadata.name, { ...object, status });
  }

  #withdraw(definition: Stored): void {
    for (const kind of kindsOf(definition as unknown as CustomResourceDefinition)) {
      const resource = resourceName(kind);
      for (const [key] of this.store.list(resource)) this.store.delete(resource, key);
      for (const [end, watched] of this.#watches) if (watched === resource) end();
      this.#kinds.delete(`${kind.group}/${kind.version}/${kind.plural}`);
    }
  }

  /** `/api/v1/namespaces/NS/events/NAME`, `/apis/GROUP/VERSION/PLURAL/NAME[/status]` */
  #targetOf(path: string): Target | null {
    const match =
      /^\/(?:api|apis\/([^/]+))\/([^/]+)(?:\/namespaces\/([^/]+)(?=\/[^/]))?\/([^/]+)(?:\/([^/]+))?(?:\/status)?$/.exec(
        path,
      );
    if (match === null) return null;
    const [group = '', version = '', namespace, plural = '', name] = match
      .slice(1)
      .map((part) => (part === undefined ? undefined : decodeURIComponent(part)));
    const served = this.#kinds.get(`${group}/${version}/${plural}`);
    if (served === undefined) return null;
    if (!served.kind.namespaced && namespace !== undefined) return null;
    return { served, namespace, name };
  }
}

const isTrue = (value: string | null): boolean => value === 'true' || value === '1';

const notAllowed = (): ApiStatus =>
  new ApiStatus(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource');

const deletion = (kind: Kind, { metadata }: Stored) => ({
  kind: 'Status',
  apiVersion: 'v1',
  metadata: {},
  status: 'Success',
  details: { name: metadata.name, kind: kind.plural, uid: metadata.uid },
});

const sendJson = (response: ServerResponse, status: number, body: unknown): void => {
  if (response.headersSent) {
    response.end();
    return;
  }
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(body)}\n`);
};

const sendText = (response: ServerResponse, status: number, text: string): undefined => {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' });
  response.end(text);
  return undefined;
};

/** Of what Kubernetes' own clients send, this server reads JSON only; they send it when they are told to, or hear 415. */
const objectIn = async (request: IncomingMessage): Promise<unknown> => {
  const media = (request.headers['content-type'] ?? JSON_MEDIA).split(';')[0]?.trim() ?? '';
  if (media !== JSON_MEDIA) throw unsupportedMediaType(media, [JSON_MEDIA]);
  return await bodyOf(request);
};

const bodyOf = async (request: IncomingMessage): Promise<unknown> => {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    length += piece.length;
    if (length > LARGEST_BODY)
      throw new ApiStatus(413, 'RequestEntityTooLarge', `Request entity too large: limit is ${LARGEST_BODY}`);
    pieces.push(piece);
  }
  try {
    return JSON.parse(Buffer.concat(pieces).toString('utf8'));
  } catch {
    throw badRequest('the body of the request is not JSON');
  }
};
