/**
 * Reaches the service as a client does: asks the cluster's resolver for its name, then fetches its page.
 * @module
 */
import { randomInt } from 'node:crypto';
import { get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { createQuery, readAnswer } from '../dns-message.ts';
import { connectStream, openDatagramSocket } from '../namespace-sockets.ts';

const TIMEOUT_MS = 5000;
/** As resolvers do: UDP may lose a query. */
const RESOLVE_INTERVAL_MS = 1000;
const LARGEST_PAGE = 65_536;

/** The page at http://ip:port/, fetched from inside a namespace. `name` goes into the Host header. */
export function fetchPage(netns: string, ip: string, port: number, name: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get(
      {
        // Given this and no agent, Node makes one connection for the one request.
        createConnection: () => connectStream(netns, ip, port),
        headers: { host: name },
        path: '/',
        signal: AbortSignal.timeout(TIMEOUT_MS),
      },
      (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (text: string) => {
          body += text;
          if (body.length > LARGEST_PAGE) request.destroy(new Error('the page does not end'));
        });
        response.on('error', reject);
        response.on('end', () => {
          if (response.statusCode === 200) resolve(body);
          else reject(new Error(`the server answered with status ${response.statusCode}`));
        });
      },
    );
    request.on('error', (error) =>
      reject(error.name === 'AbortError' ? new Error(`no answer within ${TIMEOUT_MS / 1000} s`) : error),
    );
  });
}

/** Asks the resolver at `server` from inside a namespace; null when it has no address for the name, or does not answer. */
export async function resolveName(
  netns: string,
  server: string,
  port: number,
  name: string,
): Promise<string | null> {
  const socket = await openDatagramSocket(netns, '0.0.0.0', 0);
  const id = randomInt(1, 0xffff);
  const query = createQuery(id, name);
  const done = new AbortController();
  let address: string | null = null;
  socket.on('error', () => done.abort());
  socket.on('message', (message, from) => {
    if (from.address !== server || from.port !== port) return;
    address = readAnswer(message, id);
    done.abort();
  });
  try {
    for (let waited = 0; waited < TIMEOUT_MS && !done.signal.aborted; waited += RESOLVE_INTERVAL_MS) {
      socket.send(query, port, server, () => {});
      await sleep(RESOLVE_INTERVAL_MS, undefined, { signal: done.signal }).catch(() => {});
    }
  } finally {
    socket.close();
  }
  return address;
}
