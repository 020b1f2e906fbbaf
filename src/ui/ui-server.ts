/**
 * Serves the page and its interface over HTTP: /ui/ and /api/v1.0/, which the page finds as /ui/api/v1.0/ too.
 * @module
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { AdminError } from '../admin/admin-error.ts';
import { isKubernetesError } from '../agent/kubernetes/kubernetes-error.ts';
import { RoutingError } from '../routing/routing-error.ts';
import { AccessGuard, type GuardOptions } from './access-guard.ts';
import type { PageFile } from './page-file.ts';
import { findRoute, type Route, send, sendJson } from './routes.ts';
import { UiError } from './ui-error.ts';

export interface UiServerOptions {
  readonly page: PageFile;
  readonly guard: GuardOptions;
  /** Below /api/v1.0. */
  readonly routes: readonly Route[];
}

const API = '/api/v1.0';
/** RFC 9110 names; none lets another page, frame or cache have what is ours. */
const HEADERS = {
  'cache-control': 'no-store',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

export class UiServer {
  readonly #server: Server;
  readonly #options: UiServerOptions;
  readonly #guard: AccessGuard;

  constructor(options: UiServerOptions) {
    this.#options = options;
    this.#guard = new AccessGuard(options.guard);
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  /** @throws UiError when it cannot. */
  async listen(port: number, host?: string): Promise<AddressInfo> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (cause) =>
        reject(
          new UiError(
            'ERR_UI_LISTEN',
            `Cannot listen on ${host ?? ''}:${port}: ${cause.message}. Serve the page at another address.`,
            { cause },
          ),
        ),
      );
      this.#server.listen(port, host, resolve);
    });
    return this.#server.address() as AddressInfo;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    try {
      const { pathname, searchParams: query } = new URL(request.url ?? '/', 'http://page');
      const method = request.method ?? 'GET';
      const path = pathname.replace(/^\/ui(?=\/)/, '');
      if (path.startsWith(`${API}/`)) {
        const found = findRoute(this.#options.routes, method, path.slice(API.length));
        this.#guard.check(request.headers, {
          changes: method !== 'GET',
          isSecret: found.route.isSecret ?? false,
        });
        await found.route.answer({ request, response, path: found.path, query });
      } else if (pathname === '/ui/') {
        this.#sendPage(response);
      } else if (pathname === '/' || pathname === '/ui') {
        response.writeHead(302, { location: '/ui/' }).end();
      } else {
        throw new UiError('ERR_UI_UNKNOWN', 'The page is at /ui/.');
      }
    } catch (error) {
      refuse(response, error);
    }
  }

  /** Nothing in it is secret or of this cluster: who has no token sees an empty page that says so. */
  #sendPage(response: ServerResponse): void {
    const { html, policy } = this.#options.page;
    response.setHeader('content-security-policy', policy);
    send(response, 'text/html; charset=utf-8', html);
  }
}

const refuse = (response: ServerResponse, error: unknown): void => {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'ERR_UI';
  sendJson(response, { error: { code, message } }, statusOf(error));
};

/** What the API refused is refused with its own status. */
const statusOf = (error: unknown): number => {
  if (error instanceof UiError) return error.status;
  if (error instanceof AdminError) return error.code === 'ERR_ADMIN_UNKNOWN' ? 404 : 409;
  if (error instanceof RoutingError) return 409;
  if (isKubernetesError(error)) return error.status !== undefined && error.status >= 400 ? error.status : 502;
  return 500;
};
