/**
 * What an agent answers over HTTP: health, metrics, the graph, and its own state as JSON.
 * Source: Kilo's internal API on :1107 (paths, parameters, sentences); there is no profiler here.
 * @module
 */
import { createServer, type Server, type ServerResponse } from 'node:http';
import { deflateSync } from 'node:zlib';
import { toDot } from '../routing/dot.ts';
import { meshJson } from '../routing/mesh-json.ts';
import { toPng } from '../routing/png.ts';
import { toSvg } from '../routing/svg.ts';
import type { Topology } from '../routing/topology.ts';
import { AgentError } from './agent-error.ts';
import type { ListenAddress } from './listen-address.ts';

export interface AgentState {
  readonly metrics: () => string | Promise<string>;
  /** What keeps it from working, in a sentence; absent or null: nothing. */
  readonly whyUnwell?: () => string | null;
  /** The mesh as it was last computed; null when this node cannot compute one. */
  readonly topology: () => Topology | null;
  readonly status: () => Promise<unknown>;
}

const LAYOUTS = ['circo', 'dot', 'neato', 'twopi', 'fdp'];
const GRAPHVIZ_FORMATS = ['bmp', 'fig', 'gif', 'ps'];
/** Drawing holds up everything else of the agent: some hundred milliseconds, once for each state of the mesh. */
const MOST_PIXELS = 4e6;
const pictures = new WeakMap<Topology, Uint8Array>();
const INDEX = `<!DOCTYPE html>
<title>Internal Kilo API</title>
<h1>Internal Kilo API</h1>
<ul>
${['/graph', '/health', '/metrics', '/status'].map((path) => `<li><a href="${path}">${path}</a></li>`).join('\n')}
</ul>
`;

export const serveEndpoints = async (state: AgentState, { host, port }: ListenAddress): Promise<Server> => {
  const server = createServer((request, response) => {
    try {
      answer(state, new URL(request.url ?? '/', 'http://agent'), response);
    } catch (error) {
      text(response, 500, error instanceof Error ? error.message : String(error));
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => {
      const where = `${host ?? ''}:${port}`;
      reject(
        new AgentError(
          'ERR_AGENT_LISTEN',
          `Cannot listen on ${where}: ${cause.message}. Choose another address with --listen.`,
          { cause },
        ),
      );
    });
    server.listen(port, host, resolve);
  });
  server.unref();
  return server;
};

const answer = (state: AgentState, url: URL, response: ServerResponse): void => {
  switch (url.pathname) {
    case '/health':
      health(state.whyUnwell?.() ?? null, response);
      return;
    case '/metrics':
      Promise.resolve(state.metrics()).then(
        (metrics) => send(response, 200, 'text/plain; version=0.0.4; charset=utf-8', metrics),
        (error: unknown) => text(response, 500, error instanceof Error ? error.message : String(error)),
      );
      return;
    case '/status':
      state.status().then(
        (status) => send(response, 200, 'application/json', `${JSON.stringify(status, null, 2)}\n`),
        (error: unknown) => text(response, 500, error instanceof Error ? error.message : String(error)),
      );
      return;
    case '/graph':
      graph(state.topology(), url.searchParams, response);
      return;
    default:
      send(response, 200, 'text/html; charset=utf-8', INDEX);
  }
};

/** Kilo's is always well. */
const health = (why: string | null, response: ServerResponse): void => {
  if (why === null) response.writeHead(200).end();
  else text(response, 503, `${why}\n`);
};

const graph = (topology: Topology | null, query: URLSearchParams, response: ServerResponse): void => {
  const format = query.get('format') || 'svg';
  const layout = query.get('layout') || 'circo';
  if (!LAYOUTS.includes(layout)) {
    text(response, 500, 'unsupported layout');
  } else if (topology === null) {
    text(response, 500, 'did not find any valid Kilo nodes in the cluster');
  } else if (format === 'dot' || format === 'gv') {
    text(response, 200, toDot(topology));
  } else if (format === 'svg') {
    send(response, 200, 'image/svg+xml', toSvg(topology));
  } else if (format === 'png') {
    send(response, 200, 'image/png', pictureOf(topology));
  } else if (format === 'json') {
    send(response, 200, 'application/json', `${JSON.stringify(meshJson(topology), null, 2)}\n`);
  } else {
    const known = GRAPHVIZ_FORMATS.includes(format);
    text(
      response,
      500,
      known ? 'unable to render graph: ask for format=dot, svg, png or json' : 'unsupported format',
    );
  }
};

const pictureOf = (topology: Topology): Uint8Array => {
  const picture = pictures.get(topology) ?? toPng(topology, (bytes) => deflateSync(bytes), MOST_PIXELS);
  pictures.set(topology, picture);
  return picture;
};

const text = (response: ServerResponse, status: number, body: string): void =>
  send(response, status, 'text/plain; charset=utf-8', body);

const send = (response: ServerResponse, status: number, type: string, body: string | Uint8Array): void => {
  response.writeHead(status, { 'content-type': type });
  response.end(body);
};
