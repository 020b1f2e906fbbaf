/**
 * The page behind the lab's service: says which pod answered, and whom.
 * @module
 */
import { createServer } from 'node:http';
import { bindStream, listenOn } from './namespace-sockets.ts';

const REQUEST_TIMEOUT_MS = 5000;

/** The first words of every page: how a check knows that it reached this pod and no other server. */
export const greeting = (pod: string): string => `Hello from ${pod}`;

export async function serveWeb(netns: string, pod: string, port: number): Promise<void> {
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
    request.resume();
    response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' });
    response.end(`${greeting(pod)}. You came from ${request.socket.remoteAddress ?? 'nowhere'}.\n`);
  });
  await listenOn(server, bindStream(netns, '0.0.0.0', port));
}
