/**
 * The in-process API server where it is not like a real one, or is asked for something by its host: TLS, objects put there from
 * within, and formats it does not read. What it has in common with the real one is held by kubernetes-api.test.ts.
 * @module
 */
import { createServer } from 'node:http';
import { get } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { ApiServer, type ApiServerOptions } from '../../../src/agent/api-server/api-server.ts';
import { PEER_DEFINITION } from '../../../src/agent/peer-definition.ts';
import { selfSigned } from '../../../src/lab/certificate.ts';

const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

describe('the API server in this process', () => {
  let server: ApiServer;
  const start = (options: ApiServerOptions = {}): Promise<URL> => {
    server = new ApiServer(options);
    return server.listen();
  };
  afterEach(() => server.close());

  it('refuses what is not JSON in words a client can act on', async () => {
    const url = new URL('/api/v1/nodes', await start());
    const send = (type: string) =>
      fetch(url, { method: 'POST', headers: { 'content-type': type }, body: '{"metadata":{"name":"n"}}' });
    const refused = await send('application/vnd.kubernetes.protobuf');
    expect(refused.status).toBe(415);
    expect(await refused.json()).toMatchObject({ kind: 'Status', reason: 'UnsupportedMediaType' });
    expect((await send('application/json; charset=utf-8')).status).toBe(201);
  });

  it('takes objects from within, and serves the kinds of a CRD from then on', async () => {
    const url = new URL('/apis/kilo.squat.ai/v1alpha1/peers', await start());
    expect((await fetch(url)).status).toBe(404);
    server.create(CRDS, PEER_DEFINITION);
    expect(await (await fetch(url)).json()).toMatchObject({ kind: 'PeerList', items: [] });
    expect(() => server.create('/api/v1/nothing', {})).toThrow(/nothing is served/);
    expect(() => server.create(CRDS, PEER_DEFINITION)).toThrow(/already exists/);
  });

  it('speaks TLS when it is given a certificate, and nothing else then', async () => {
    const { key, certificate } = selfSigned('kubernetes', '127.0.0.1', Date.now());
    const url = new URL('/readyz', await start({ tls: { key, certificate }, token: 'let-me-in' }));
    expect(url.protocol).toBe('https:');
    const status = await new Promise((resolve, reject) => {
      get(url, { ca: certificate, headers: { authorization: 'Bearer let-me-in' } }, ({ statusCode }) =>
        resolve(statusCode),
      ).on('error', reject);
    });
    expect(status).toBe(200);
    await expect(fetch(`http://${url.host}/readyz`)).rejects.toThrow();
    // Nobody who was not told trusts it.
    await expect(fetch(url)).rejects.toThrow();
  });

  it('asks a port of a Node or a Pod for who may not, and keeps its token to itself', async () => {
    const heard: string[] = [];
    const program = createServer(async (request, response) => {
      const pieces: Buffer[] = [];
      for await (const piece of request as AsyncIterable<Buffer>) pieces.push(piece);
      const { authorization = 'no token' } = request.headers;
      heard.push(`${request.method} ${request.url} ${authorization} ${Buffer.concat(pieces).toString()}`);
      response.writeHead(418, { 'content-type': 'text/x-tea' }).end('tea');
    });
    await new Promise<void>((resolve) => program.listen(0, '127.0.0.1', resolve));
    const { port } = program.address() as AddressInfo;
    const url = await start({ token: 'let-me-in' });
    const metadata = { name: 'one' };
    server.store.put('nodes', 'one', {
      metadata,
      status: { addresses: [{ type: 'InternalIP', address: '127.0.0.1' }] },
    });
    server.store.put('pods', 'kube-system/one', {
      metadata: { ...metadata, namespace: 'kube-system' },
      status: { podIP: '127.0.0.1' },
    });
    const ask = (path: string, init: RequestInit = {}) =>
      fetch(new URL(path, url), { ...init, headers: { authorization: 'Bearer let-me-in' } });
    const pods = '/api/v1/namespaces/kube-system/pods';
    const answer = await ask(`/api/v1/nodes/one:${port}/proxy/a/b?c=d`);
    expect([answer.status, answer.headers.get('content-type'), await answer.text()]).toEqual([
      ...[418, 'text/x-tea', 'tea'],
    ]);
    expect((await ask(`${pods}/http:one:${port}/proxy/x`, { method: 'POST', body: 'milk' })).status).toBe(
      418,
    );
    expect(heard).toEqual(['GET /a/b?c=d no token ', 'POST /x no token milk']);
    program.close();
    program.closeAllConnections();
    expect((await ask(`${pods}/one:${port}/proxy/`)).status).toBe(503);
    expect((await ask(`${pods}/nobody:${port}/proxy/`)).status).toBe(404);
    expect((await ask('/api/v1/nodes/one/proxy/pods')).status).toBe(400);
    expect((await fetch(new URL(`/api/v1/nodes/one:${port}/proxy/`, url))).status).toBe(401);
  });
});
