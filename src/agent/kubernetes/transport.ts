/**
 * HTTP to one API server: one keep-alive agent, credentials on each request, and errors that say what to do.
 * Source: node:http, node:https; Kubernetes API concepts for what a refusal looks like.
 * @module
 */
import { type IncomingMessage, Agent as PlainAgent, request as plainRequest } from 'node:http';
import { Agent as SecureAgent, request as secureRequest } from 'node:https';
import type { ClusterAccess, Credentials } from './cluster-access.ts';
import { KubernetesError, refusal } from './kubernetes-error.ts';

export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With its query. */
  readonly path: string;
  readonly body?: unknown;
  readonly contentType?: string;
  /** Until the answer begins, and, for a whole answer, until it ends. */
  readonly timeoutMs: number;
  /** A longer answer is not read to its end; default: any. */
  readonly mostBytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

const IDLE_SOCKET_MS = 90_000;
/** An error's text need not be read further than this. */
const LONGEST_REFUSAL = 1 << 20;

export class Transport {
  readonly #access: ClusterAccess;
  readonly #agent: PlainAgent | SecureAgent;
  readonly #userAgent: string;
  #serverTime: number | undefined;

  constructor(access: ClusterAccess, userAgent: string) {
    this.#access = access;
    this.#userAgent = userAgent;
    const options = { keepAlive: true, keepAliveMsecs: 15_000, timeout: IDLE_SOCKET_MS };
    this.#agent = access.server.protocol === 'http:' ? new PlainAgent(options) : new SecureAgent(options);
  }

  close(): void {
    this.#agent.destroy();
  }

  /** Unix seconds in the last answer's Date header (RFC 9110 §6.6.1); undefined before there was one. */
  get serverTime(): number | undefined {
    return this.#serverTime;
  }

  /** The whole answer as JSON. */
  async json(request: ApiRequest): Promise<unknown> {
    const signal = withTimeout(request);
    const response = await this.open({ ...request, signal });
    const text = await readAll(response, request, request.mostBytes);
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw new KubernetesError(
        'ERR_KUBERNETES_PROTOCOL',
        `The API's answer to ${nameOf(request)} is not JSON. Is ${this.#access.server.origin} a Kubernetes API?`,
        { cause },
      );
    }
  }

  /** The answer's head; the caller reads its body. A refusal throws. */
  async open(request: ApiRequest): Promise<IncomingMessage> {
    try {
      return await this.#send(request, await this.#access.credentials(false));
    } catch (error) {
      if (!(error instanceof KubernetesError) || error.code !== 'ERR_KUBERNETES_UNAUTHORIZED') throw error;
      // A token may have been turned round since it was read.
      return await this.#send(request, await this.#access.credentials(true));
    }
  }

  async #send(request: ApiRequest, credentials: Credentials): Promise<IncomingMessage> {
    const response = await this.#exchange(request, credentials);
    const status = response.statusCode ?? 0;
    const date = Date.parse(response.headers.date ?? '');
    if (!Number.isNaN(date)) this.#serverTime = date / 1000;
    if (status >= 200 && status < 300) return response;
    const text = await readAll(response, request, LONGEST_REFUSAL);
    throw refusal(status, nameOf(request), parsed(text), response.headers['retry-after']);
  }

  #exchange(request: ApiRequest, credentials: Credentials): Promise<IncomingMessage> {
    const { server, authority, insecure, serverName } = this.#access;
    const body = request.body === undefined ? undefined : JSON.stringify(request.body);
    const options = {
      agent: this.#agent,
      method: request.method,
      hostname: server.hostname.replace(/^\[|\]$/g, ''),
      port: server.port || (server.protocol === 'http:' ? 80 : 443),
      path: `${server.pathname.replace(/\/$/, '')}${request.path}`,
      ...(request.signal === undefined ? {} : { signal: request.signal }),
      headers: {
        accept: 'application/json',
        'user-agent': this.#userAgent,
        ...(credentials.authorization === undefined ? {} : { authorization: credentials.authorization }),
        ...(body === undefined
          ? {}
          : {
              'content-type': request.contentType ?? 'application/json',
              'content-length': Buffer.byteLength(body),
            }),
      },
    };
    const secure = {
      ...(authority === undefined ? {} : { ca: authority }),
      ...(insecure === true ? { rejectUnauthorized: false } : {}),
      ...(serverName === undefined ? {} : { servername: serverName }),
      ...(credentials.clientCertificate === undefined
        ? {}
        : { cert: credentials.clientCertificate.certificate, key: credentials.clientCertificate.key }),
    };
    return new Promise((resolve, reject) => {
      const sent =
        server.protocol === 'http:' ? plainRequest(options) : secureRequest({ ...options, ...secure });
      const timer = setTimeout(() => {
        sent.destroy(timeoutError(request));
      }, request.timeoutMs);
      sent.on('error', (cause) => {
        clearTimeout(timer);
        reject(this.#failure(request, cause));
      });
      sent.on('response', (response) => {
        clearTimeout(timer);
        resolve(response);
      });
      sent.end(body);
    });
  }

  #failure(request: ApiRequest, cause: Error): unknown {
    if (cause instanceof KubernetesError) return cause;
    const { signal } = request;
    if (signal?.aborted === true) return signal.reason instanceof Error ? signal.reason : cause;
    return unreachable(this.#access.server.origin, cause);
  }
}

export const unreachable = (origin: string, cause: Error): KubernetesError => {
  const { code } = cause as NodeJS.ErrnoException;
  const why =
    code !== undefined && cause.message.includes(code) ? cause.message : `${cause.message} ${code ?? ''}`;
  return new KubernetesError(
    'ERR_KUBERNETES_UNREACHABLE',
    `The Kubernetes API at ${origin} cannot be reached: ${why.trim()}.`,
    { cause },
  );
};

const nameOf = ({ method, path }: ApiRequest): string => `${method} ${path.split('?')[0]}`;

const timeoutError = (request: ApiRequest): KubernetesError =>
  new KubernetesError(
    'ERR_KUBERNETES_TIMEOUT',
    `The API did not answer ${nameOf(request)} within ${request.timeoutMs} ms.`,
  );

/** The caller's signal, and the end of its patience. */
const withTimeout = (request: ApiRequest): AbortSignal => {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(timeoutError(request)), request.timeoutMs);
  timer.unref();
  return request.signal === undefined ? limit.signal : AbortSignal.any([request.signal, limit.signal]);
};

const readAll = async (
  response: IncomingMessage,
  request: ApiRequest,
  limit = Number.POSITIVE_INFINITY,
): Promise<string> => {
  const pieces: Buffer[] = [];
  let length = 0;
  try {
    for await (const piece of response as AsyncIterable<Buffer>) {
      length += piece.length;
      if (length > limit) break;
      pieces.push(piece);
    }
  } catch (cause) {
    if (cause instanceof KubernetesError) throw cause;
    if (request.signal?.aborted === true && request.signal.reason instanceof Error)
      throw request.signal.reason;
    throw new KubernetesError(
      'ERR_KUBERNETES_UNREACHABLE',
      `The API's answer to ${nameOf(request)} broke off.`,
      { cause },
    );
  }
  return Buffer.concat(pieces).toString('utf8');
};

/** JSON where it is, else the text: before a CRD exists the API answers in plain words. */
const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
};
