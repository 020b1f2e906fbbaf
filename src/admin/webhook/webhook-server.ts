/**
 * The admission server: HTTPS for the API, plain HTTP for metrics. A renewed certificate is taken up while it runs.
 * Source: `kg webhook` (paths, metrics); Kubernetes "Dynamic Admission Control".
 * @module
 */
import { readFileSync, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer, type Server as SecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Log } from '../../agent/log.ts';
import { Metrics } from '../../agent/metrics.ts';
import { AdminError } from '../admin-error.ts';
import { judge } from './admission.ts';

export interface ListenAddress {
  readonly host: string | undefined;
  readonly port: number;
}

export interface WebhookOptions {
  readonly certFile: string;
  readonly keyFile: string;
  readonly listen: ListenAddress;
  readonly listenMetrics: ListenAddress;
  readonly log: Log;
}

/** An object in the API is 1.5 MiB at most; a review holds it twice. */
const LARGEST_BODY = 4 << 20;
const LOOK_MS = 10_000;

export class WebhookServer {
  readonly #options: WebhookOptions;
  readonly #metrics = new Metrics();
  readonly #admissions = this.#metrics.counter(
    'admission_requests_total',
    'The number of received admission reviews requests.',
  );
  readonly #requests = this.#metrics.counter(
    'http_requests_total',
    'The total amount of requests per handler.',
  );
  readonly #errors = this.#metrics.counter('errors_total', 'The total number of errors.', true);
  #version: string;

  constructor(options: WebhookOptions) {
    this.#options = options;
    this.#version = this.#versionOfFiles();
  }

  /** Serves until the signal. `onReady` is told the ports. */
  async run(
    signal: AbortSignal,
    onReady: (ports: { https: number; metrics: number }) => void = () => {},
  ): Promise<void> {
    const { listen, listenMetrics, log } = this.#options;
    const secure = createSecureServer(
      this.#certificate(),
      (request, response) => void this.#answer(request, response),
    );
    secure.requestTimeout = 10_000;
    const plain = createServer((request, response) => this.#answerMetrics(request, response));
    await listenOn(secure, listen, '--listen');
    await listenOn(plain, listenMetrics, '--listen-metrics');
    const timer = setInterval(() => this.#renew(secure), LOOK_MS);
    const portOf = (server: Server): number => (server.address() as AddressInfo).port;
    onReady({ https: portOf(secure), metrics: portOf(plain) });
    log.info('serving admission reviews', { port: portOf(secure) });
    if (!signal.aborted)
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    clearInterval(timer);
    log.info('caught interrupt; gracefully cleaning up; see you next time!');
    await Promise.all([secure, plain].map(close));
  }

  #certificate(): { cert: Buffer; key: Buffer } {
    const { certFile, keyFile } = this.#options;
    return { cert: readPart(certFile, '--cert-file'), key: readPart(keyFile, '--key-file') };
  }

  #versionOfFiles(): string {
    const { certFile, keyFile } = this.#options;
    return [certFile, keyFile]
      .map((path) => {
        const stat = statSync(path, { throwIfNoEntry: false });
        return `${stat?.ino} ${stat?.mtimeMs}`;
      })
      .join();
  }

  #renew(server: SecureServer): void {
    const version = this.#versionOfFiles();
    if (version === this.#version) return;
    try {
      server.setSecureContext(this.#certificate());
      this.#version = version;
      this.#options.log.info('took up a renewed certificate');
    } catch (error) {
      // Half of a pair that is being replaced; the next look finds the other half.
      this.#errors();
      this.#options.log.warn((error as Error).message);
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url ?? '/', 'https://webhook');
    if (pathname !== '/validate') {
      send(response, 404, 'text/plain; charset=utf-8', '404 page not found\n');
      return;
    }
    this.#requests({ handler: '/validate', method: (request.method ?? 'GET').toLowerCase() });
    try {
      const body = await bodyOf(request);
      const found = judge(request.headers['content-type'] ?? '', body);
      if (found.allowed === null) this.#errors();
      else
        this.#admissions({
          operation: found.operation,
          response: found.allowed ? 'allowed' : 'denied',
        });
      send(response, found.status, found.contentType, found.body);
    } catch (error) {
      this.#errors();
      this.#options.log.warn((error as Error).message);
      send(response, 400, 'text/plain; charset=utf-8', `${(error as Error).message}\n`);
    }
  }

  #answerMetrics(request: IncomingMessage, response: ServerResponse): void {
    const { pathname } = new URL(request.url ?? '/', 'http://webhook');
    if (pathname === '/metrics')
      send(response, 200, 'text/plain; version=0.0.4; charset=utf-8', this.#metrics.toString());
    else send(response, 404, 'text/plain; charset=utf-8', '404 page not found\n');
  }
}

const readPart = (path: string, flag: string): Buffer => {
  if (path === '')
    throw new AdminError('ERR_ADMIN_OPTION', `The webhook speaks TLS only: give it a PEM file with ${flag}.`);
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new AdminError('ERR_ADMIN_OPTION', `Cannot read ${path} (${flag}): ${(cause as Error).message}.`, {
      cause,
    });
  }
};

const listenOn = (server: Server, { host, port }: ListenAddress, flag: string): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      const message = `Cannot listen on ${host ?? ''}:${port}: ${cause.message}. Choose another address with ${flag}.`;
      reject(new AdminError('ERR_ADMIN_LISTEN', message, { cause }));
    });
    server.listen(port, host, resolve);
  });

/** What is being answered is answered; who only holds a connection is let go. */
const close = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
    setTimeout(() => server.closeAllConnections(), 2000).unref();
  });

const bodyOf = async (request: IncomingMessage): Promise<string> => {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    length += piece.length;
    if (length > LARGEST_BODY)
      throw new Error(`Request could not be decoded: it is larger than ${LARGEST_BODY} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
};

const send = (response: ServerResponse, status: number, type: string, body: string): void => {
  response.writeHead(status, { 'content-type': type });
  response.end(body);
};
