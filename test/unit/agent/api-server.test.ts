/**
 * The in-process API server where it is not like a real one, or is asked for something by its host: TLS, objects put there from
 * within, and formats it does not read. What it has in common with the real one is held by kubernetes-api.test.ts.
 * @module
 */
import { get } from 'node:https';
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
});
