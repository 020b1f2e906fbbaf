/**
 * A request as the page's server sees it, and the table that leads it to who answers.
 * @module
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { UiError } from './ui-error.ts';

export interface RouteRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** What the pattern's names stand for. */
  readonly path: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
}

export interface Route {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** `/mesh/nodes/:name` */
  readonly pattern: string;
  /** Needs the token even where all may look. */
  readonly isSecret?: boolean;
  readonly answer: (request: RouteRequest) => void | Promise<void>;
}

export interface FoundRoute {
  readonly route: Route;
  readonly path: Readonly<Record<string, string>>;
}

/** @throws UiError when there is none. */
export const findRoute = (routes: readonly Route[], method: string, pathname: string): FoundRoute => {
  for (const route of routes) {
    if (route.method !== method) continue;
    const path = match(route.pattern, pathname);
    if (path !== null) return { route, path };
  }
  throw new UiError('ERR_UI_UNKNOWN', `There is no ${method} ${pathname} here.`);
};

const match = (pattern: string, pathname: string): Record<string, string> | null => {
  const wanted = pattern.split('/');
  const given = pathname.split('/');
  if (wanted.length !== given.length) return null;
  const path: Record<string, string> = {};
  for (const [index, word] of wanted.entries()) {
    const text = given[index] ?? '';
    if (word.startsWith(':')) path[word.slice(1)] = decoded(text);
    else if (word !== text) return null;
  }
  return path;
};

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new UiError('ERR_UI_REQUEST', 'The address is not encoded as it should be.', { cause });
  }
};

export const sendJson = (response: ServerResponse, value: unknown, status = 200): void =>
  send(response, 'application/json', `${JSON.stringify(value)}\n`, status);

export const send = (
  response: ServerResponse,
  type: string,
  body: string | Uint8Array,
  status = 200,
): void => {
  response.writeHead(status, { 'content-type': type });
  response.end(body);
};
