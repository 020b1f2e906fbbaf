/**
 * The client under an API that misbehaves: forgets versions, falls silent, dies, turns tokens round, sends rubbish.
 * @module
 */
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { ApiServer } from '../../../src/agent/api-server/api-server.ts';
import { KubernetesClient } from '../../../src/agent/kubernetes/client.ts';
import { Mirror } from '../../../src/agent/kubernetes/mirror.ts';
import { NODES, PEERS } from '../../../src/agent/kubernetes/resources.ts';

const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

const clientOf = (server: URL, token = ''): KubernetesClient => {
  const client = new KubernetesClient(
    { server, credentials: async () => (token === '' ? {} : { authorization: `Bearer ${token}` }) },
    { timeoutMs: 1000 },
  );
  endings.push(() => client.close());
  return client;
};

const startServer = async (...options: ConstructorParameters<typeof ApiServer>) => {
  const server = new ApiServer(...options);
  endings.push(() => server.close());
  return { server, client: clientOf(await server.listen(), options[0]?.token) };
};

const rawServer = async (answer: RequestListener): Promise<KubernetesClient> => {
  const server: Server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  endings.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return clientOf(new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
};

const until = async (isSo: () => boolean): Promise<void> => {
  for (let i = 0; !isSo(); i++) {
    if (i > 500) throw new Error('waited in vain');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};

/** A mirror of nodes that hardly waits. */
const mirrorOf = (client: KubernetesClient) => {
  const abort = new AbortController();
  const errors: string[] = [];
  const mirror = new Mirror({
    client,
    type: NODES,
    keep: ({ metadata }) => metadata.annotations?.value ?? '',
    onChange: () => {},
    onError: (error) => errors.push((error as { code: string }).code),
    sleep: () => new Promise((resolve) => setTimeout(resolve, 5)),
  });
  const done = mirror.run(abort.signal);
  endings.push(() => {
    abort.abort();
    return done;
  });
  return { mirror, errors };
};

const code = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'no error',
    (error: { code: string }) => error.code,
  );

describe('listing', () => {
  it('reads many pages of one moment', async () => {
    const { client } = await startServer();
    for (let i = 0; i < 1203; i++)
      await client.create(NODES, { metadata: { name: `n${String(i).padStart(4, '0')}` } });
    const { items } = await client.list(NODES);
    expect(items).toHaveLength(1203);
    expect(new Set(items.map(({ metadata }) => metadata.name)).size).toBe(1203);
  });

  it('begins anew when the API forgets the listing between two pages', async () => {
    let pages = 0;
    const client = await rawServer((request, response) => {
      pages++;
      const second = request.url?.includes('continue=') === true;
      response.writeHead(second ? 410 : 200, { 'content-type': 'application/json' });
      const all = request.url?.includes('limit=') === false;
      const metadata = { resourceVersion: '7', ...(all ? {} : { continue: 'x' }) };
      response.end(
        JSON.stringify(
          second
            ? { kind: 'Status', reason: 'Expired', code: 410 }
            : { metadata, items: [{ metadata: { name: 'a' } }] },
        ),
      );
    });
    expect((await client.list(NODES)).items).toHaveLength(1);
    expect(pages).toBe(3);
  });
});

describe('a mirror', () => {
  it('follows what happens', async () => {
    const { client } = await startServer();
    await client.create(NODES, { metadata: { name: 'a', annotations: { value: '1' } } });
    const { mirror } = mirrorOf(client);
    await until(() => mirror.items.get('a') === '1');
    await client.patch(NODES, 'a', { metadata: { annotations: { value: '2' } } });
    await client.create(NODES, { metadata: { name: 'b' } });
    await until(() => mirror.items.get('a') === '2' && mirror.items.has('b'));
    await client.delete(NODES, 'a');
    await until(() => !mirror.items.has('a'));
  });

  it('lists again when its version is too old, told by a line in a stream of status 200', async () => {
    const { client, server } = await startServer();
    await client.create(NODES, { metadata: { name: 'a' } });
    const { mirror } = mirrorOf(client);
    await until(() => mirror.items.has('a'));
    const port = Number(new URL(client.origin).port);
    await server.close();
    server.store.delete('nodes', 'a');
    server.store.put('nodes', 'b', { metadata: { name: 'b' } });
    server.store.compact();
    expect([...mirror.items.keys()]).toEqual(['a']); // what was last known
    await server.listen(port);
    await until(() => mirror.items.has('b') && !mirror.items.has('a'));
  });

  it('waits for a kind that is not there yet', async () => {
    const { client } = await startServer();
    const abort = new AbortController();
    const mirror = new Mirror({
      client,
      type: PEERS,
      keep: () => true,
      onChange: () => {},
      sleep: () => new Promise((resolve) => setTimeout(resolve, 5)),
    });
    const done = mirror.run(abort.signal);
    await until(() => mirror.synced);
    expect(mirror.items.size).toBe(0);
    abort.abort();
    await done;
  });

  it('survives a long run of refusals without asking in a hurry', async () => {
    let asked = 0;
    const client = await rawServer((_request, response) => {
      asked++;
      response.writeHead(429, { 'retry-after': '2' });
      response.end('slow down');
    });
    const pauses: number[] = [];
    const abort = new AbortController();
    const mirror = new Mirror({
      client,
      type: NODES,
      keep: () => true,
      onChange: () => {},
      random: () => 0,
      sleep: async (ms) => {
        pauses.push(ms);
        if (pauses.length === 8) abort.abort();
      },
    });
    await mirror.run(abort.signal);
    expect(asked).toBe(8);
    // Half the step at the least (200 ms doubling up to 15 s), but never sooner than the API asked for.
    expect(pauses).toEqual([2000, 2000, 2000, 2000, 2000, 3200, 6400, 7500]);
  });
});

describe('a watch', () => {
  it('that says nothing is given up', async () => {
    const { client, server } = await startServer();
    const { resourceVersion } = await client.list(NODES);
    const watch = client.watch(NODES, { resourceVersion, timeoutSeconds: 60, silenceMs: 60 });
    setTimeout(() => server.fallSilent(), 10);
    expect(await code(watch.next())).toBe('ERR_KUBERNETES_SILENT');
  });

  it('that ends in the middle of an event is an error', async () => {
    const client = await rawServer((_request, response) => {
      response.write('{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"1"}}}\n{"type":');
      response.end();
    });
    const watch = client.watch(NODES, { resourceVersion: '1', timeoutSeconds: 60 });
    expect((await watch.next()).value).toMatchObject({ type: 'ADDED', resourceVersion: '1' });
    expect(await code(watch.next())).toBe('ERR_KUBERNETES_PROTOCOL');
  });

  it('whose connection breaks is an error', async () => {
    const client = await rawServer((_request, response) => {
      response.write('\n');
      setTimeout(() => response.destroy(), 10);
    });
    expect(await code(client.watch(NODES, { resourceVersion: '1', timeoutSeconds: 60 }).next())).toBe(
      'ERR_KUBERNETES_UNREACHABLE',
    );
  });

  it.each([
    ['rubbish', 'what is this\n'],
    ['an event without object', '{"type":"ADDED"}\n'],
    ['an unknown event', '{"type":"MOVED","object":{"metadata":{"name":"a","resourceVersion":"1"}}}\n'],
  ])('that sends %s is an error', async (_name, text) => {
    const client = await rawServer((_request, response) => response.end(text));
    expect(await code(client.watch(NODES, { resourceVersion: '1', timeoutSeconds: 60 }).next())).toBe(
      'ERR_KUBERNETES_PROTOCOL',
    );
  });
});

describe('errors', () => {
  it('tell who refused and what to do', async () => {
    const { client } = await startServer({ token: 'right' });
    const stranger = clientOf(new URL(client.origin), 'wrong');
    await expect(stranger.list(NODES)).rejects.toThrow(/answered 401 .*Check the service account token/);
  });

  it('say that nobody is there', async () => {
    const { server, client } = await startServer();
    await server.close();
    await expect(client.list(NODES)).rejects.toThrow(/cannot be reached: .*ECONNREFUSED/);
  });

  it('say that an answer takes too long', async () => {
    const client = await rawServer(() => {});
    expect(await code(client.get(NODES, 'a'))).toBe('ERR_KUBERNETES_TIMEOUT');
  });

  it('say that somebody else answers there', async () => {
    const client = await rawServer((_request, response) => response.end('<html>hotel wifi</html>'));
    expect(await code(client.list(NODES))).toBe('ERR_KUBERNETES_PROTOCOL');
  });

  it('try a fresh token once before giving up', async () => {
    const seen: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      seen.push(request.headers.authorization);
      const right = request.headers.authorization === 'Bearer new';
      response.writeHead(right ? 200 : 401);
      response.end(JSON.stringify(right ? { metadata: { resourceVersion: '1' }, items: [] } : {}));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const client = new KubernetesClient({
      server: url,
      credentials: async (renew) => ({ authorization: renew ? 'Bearer new' : 'Bearer old' }),
    });
    endings.push(
      () => server.close(),
      () => client.close(),
    );
    await client.list(NODES);
    expect(seen).toEqual(['Bearer old', 'Bearer new']);
  });
});
