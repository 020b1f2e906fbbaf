/**
 * The page as an agent serves it, over HTTP: who is let in, that nothing can be changed and nothing secret is told, and that it
 * costs nobody anything until somebody looks.
 * @module
 */
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { KubernetesClient } from '../../../src/agent/kubernetes/client.ts';
import { Log } from '../../../src/agent/log.ts';
import { agentOptions, DEFAULT_FLAGS } from '../../../src/agent/options.ts';
import { serveAgentPage } from '../../../src/ui/agent-page.ts';
import { FeedOnDemand } from '../../../src/ui/feed-on-demand.ts';
import { MeshFeed } from '../../../src/ui/mesh-feed.ts';
import type { MeshSnapshot } from '../../../src/ui/mesh-snapshot.ts';
import { policyOf } from '../../../src/ui/page-file.ts';
import { Folder } from '../../netns/host.ts';
import { AdminWorld } from '../admin/admin-world.ts';
import { keyOf, twoRegions } from '../routing/clusters.ts';

const TOKEN = 'a-token-of-the-test-0123456789';
const PAGE = '<html><style>p{}</style><script>1</script></html>';

const world = new AdminWorld();
const folder = new Folder();
let client: KubernetesClient;

beforeAll(async () => {
  await world.start();
  // Nobody's private address, so that nobody is asked for long.
  world.fill({ nodes: twoRegions.nodes.map(({ internalIP: _, ...node }) => node) });
  world.put({
    apiVersion: 'kilo.squat.ai/v1alpha1',
    kind: 'Peer',
    metadata: { name: 'phone', uid: 'uid-phone' },
    spec: { allowedIPs: ['10.5.0.1/32'], publicKey: keyOf('phone'), presharedKey: keyOf('secret') },
  });
  client = new KubernetesClient({ server: new URL(world.master), credentials: async () => ({}) });
});
afterAll(async () => {
  client.close();
  folder.remove();
  await world.end();
});

/** Any free port in the place of the one that the flag names. */
const serve = async (flags: { uiListen: string; uiTokenFile?: string }) => {
  const options = agentOptions({ ...DEFAULT_FLAGS, hostname: 'eu-1', listen: '127.0.0.1:9', ...flags });
  if (options.ui === null) throw new Error('no page was asked for');
  const said: string[] = [];
  const end = await serveAgentPage({
    page: options.ui,
    options,
    client,
    log: new Log('info', (line) => said.push(line)),
    version: '1.2.3',
    environment: {},
    file: async () => ({ html: PAGE, policy: policyOf(PAGE) }),
  });
  onTestFinished(end);
  const { port } = JSON.parse(said[0] ?? '{}') as { port?: number };
  const base = `http://127.0.0.1:${port}`;
  return {
    base,
    said,
    ask: (path: string, init: RequestInit = {}) => fetch(`${base}/api/v1.0${path}`, init),
  };
};
const headers = { authorization: `Bearer ${TOKEN}` };

describe('on this machine', () => {
  it('shows the mesh, its clients and how it is drawn to whoever is there', async () => {
    const { ask } = await serve({ uiListen: '127.0.0.1:0' });
    const mesh = (await (await ask('/mesh')).json()) as MeshSnapshot;
    expect(Object.keys(mesh.nodes)).toEqual(['eu-1', 'eu-2', 'eu-3', 'us-1', 'us-2', 'us-3']);
    expect(mesh.nodes['us-1']).toMatchObject({ role: 'leader', endpoint: '198.51.100.1:51820' });
    const clients = (await (await ask('/client')).json()) as { name: string; hasPresharedKey: boolean }[];
    expect(clients.map(({ name, hasPresharedKey }) => [name, hasPresharedKey])).toEqual([['phone', true]]);
    expect((await ask('/mesh/nodes/eu-1')).status).toBe(200);
    expect(await (await ask('/mesh/graph?format=svg')).text()).toMatch(/^<svg /);
    expect(await (await ask('/server/version')).json()).toEqual({ version: '1.2.3', readOnly: true });
  });

  it('changes nothing and gives out no file, whoever asks', async () => {
    const { ask } = await serve({ uiListen: '127.0.0.1:0', uiTokenFile: folder.write('token', TOKEN) });
    const json = { headers: { ...headers, 'content-type': 'application/json' } };
    const body = JSON.stringify({ name: 'x', publicKey: keyOf('x') });
    expect((await ask('/client', { method: 'POST', ...json, body })).status).toBe(404);
    expect((await ask('/client/phone', { method: 'PATCH', ...json, body: '{}' })).status).toBe(404);
    expect((await ask('/client/phone', { method: 'DELETE', ...json })).status).toBe(404);
    expect((await ask('/client/phone/config', json)).status).toBe(404);
    const { paths } = (await (await ask('/openapi.json', json)).json()) as { paths: Record<string, object> };
    expect(new Set(Object.values(paths).flatMap((methods) => Object.keys(methods)))).toEqual(
      new Set(['get']),
    );
    expect(Object.keys(paths)).not.toContain('/client/{id}/config');
  });

  it('tells no secret anywhere', async () => {
    const { ask, base } = await serve({ uiListen: '127.0.0.1:0' });
    const { paths } = (await (await ask('/openapi.json')).json()) as { paths: Record<string, object> };
    const asked = Object.keys(paths).filter((path) => !path.includes('{') && path !== '/mesh/events');
    expect(asked).toContain('/status/clients');
    for (const path of [...asked, '/client/phone', '/mesh/nodes/eu-1'])
      expect(await (await ask(path)).text()).not.toContain(keyOf('secret'));
    const page = await fetch(`${base}/ui/`);
    expect(await page.text()).toBe(PAGE);
    const policy = page.headers.get('content-security-policy') ?? '';
    // printf 1 | openssl dgst -sha256 -binary | base64
    expect(policy).toContain("script-src 'sha256-a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s='");
    for (const rule of ["default-src 'none'", "frame-ancestors 'none'", "connect-src 'self'"])
      expect(policy).toContain(rule);
    expect(policy).not.toMatch(/unsafe|https?:|\*/);
    expect(page.headers.get('access-control-allow-origin')).toBeNull();
  });

  it('is refused under a name, which may have been turned to this machine', async () => {
    const { base } = await serve({ uiListen: '127.0.0.1:0' });
    const { port } = new URL(base);
    const status = (host: string) =>
      new Promise((resolve) =>
        request(
          { port, host: '127.0.0.1', path: '/api/v1.0/status/enabled', headers: { host } },
          (answer) => {
            answer.resume();
            resolve(answer.statusCode);
          },
        ).end(),
      );
    expect(await status(`evil.example:${port}`)).toBe(403);
    expect(await status(`localhost:${port}`)).toBe(200);
  });
});

describe('where others reach it', () => {
  it('shows nothing without the token, and does not say the token', async () => {
    const { ask, said, base } = await serve({ uiListen: ':0', uiTokenFile: folder.write('token', TOKEN) });
    for (const path of ['/mesh', '/mesh/events', '/client', '/openapi.json', '/server/version'])
      expect([path, (await ask(path)).status]).toEqual([path, 401]);
    expect((await ask('/mesh', { headers })).status).toBe(200);
    expect((await ask('/mesh', { headers: { authorization: 'Bearer another' } })).status).toBe(401);
    // The page itself has nothing of the cluster in it.
    expect((await fetch(`${base}/ui/`)).status).toBe(200);
    expect(said.join('')).not.toContain(TOKEN);
  });

  it('is not served at all without one', () => {
    const flags = (uiListen: string, uiTokenFile = '') =>
      agentOptions({ ...DEFAULT_FLAGS, uiListen, uiTokenFile }).ui;
    for (const everywhere of [':8107', '0.0.0.0:8107', '[::]:8107', '10.0.0.1:8107'])
      expect(() => flags(everywhere)).toThrow('--ui-token-file');
    expect(flags(':8107', '/token')).toEqual({
      listen: { host: undefined, port: 8107 },
      tokenFile: '/token',
    });
    for (const here of ['127.0.0.1:8107', '[::1]:8107', 'localhost:8107'])
      expect(flags(here)?.tokenFile).toBeNull();
    expect(flags('')).toBeNull();
    expect(() => flags('8107')).toThrow('--ui-listen: "8107" is not an address');
  });

  it.each([
    ['no file', () => '/nonexistent/token', 'cannot be read from /nonexistent/token'],
    ['a token that can be guessed', () => folder.write('short', 'secret'), 'openssl rand'],
    ['an empty one', () => folder.write('empty', '\n'), 'openssl rand'],
  ])('is not served for %s, which is said and stops nothing else', async (_what, path, why) => {
    const { said } = await serve({ uiListen: ':0', uiTokenFile: path() });
    expect(said.map((line) => JSON.parse(line))).toEqual([
      expect.objectContaining({ level: 'error', component: 'ui', msg: expect.stringContaining(why) }),
    ]);
    expect(said.join('')).not.toContain('"secret"');
  });

  it('says when somebody else has the port', async () => {
    const { base } = await serve({ uiListen: '127.0.0.1:0' });
    const { said } = await serve({ uiListen: `127.0.0.1:${new URL(base).port}` });
    expect(said.join('')).toContain('EADDRINUSE');
  });
});

describe('a feed on demand', () => {
  const feeds: MeshFeed[] = [];
  const faults: unknown[] = [];
  const onDemand = (keepMs: number): FeedOnDemand => {
    feeds.length = 0;
    const feed = new FeedOnDemand({
      keepMs,
      onError: (error) => faults.push(error),
      make: () => {
        const made = new MeshFeed({
          client,
          topologyLabel: 'topology.kubernetes.io/region',
          granularity: 'location',
          asking: {
            interfaceName: 'kwua-none',
            agent: 'http://127.0.0.1:9',
            reach: null,
            hostname: 'eu-1',
            environment: {},
          },
        });
        feeds.push(made);
        return made;
      },
    });
    onTestFinished(() => feed.close());
    return feed;
  };

  it('does nothing until somebody asks, and rests again when nobody has for a while', async () => {
    const feed = onDemand(50);
    expect([feed.isRunning, feed.current, feed.mesh, feed.ring.summaries]).toEqual([false, null, null, []]);
    await feed.awake();
    expect(feed.current?.granularity).toBe('location');
    await vi.waitUntil(() => !feed.isRunning, { timeout: 20_000 });
    expect([feed.current, feeds.length]).toEqual([null, 1]);
    await feed.awake();
    expect([feed.current?.granularity, feeds.length]).toEqual(['location', 2]);
  });

  it('goes on while somebody looks', async () => {
    const feed = onDemand(1);
    const heard: MeshSnapshot[] = [];
    const leave = feed.subscribe((snapshot) => heard.push(snapshot));
    await feed.awake();
    await vi.waitUntil(() => heard.length >= 2, { timeout: 20_000 });
    expect([feed.isRunning, feeds.length]).toEqual([true, 1]);
    leave();
    await vi.waitUntil(() => !feed.isRunning, { timeout: 20_000 });
  });

  it('that breaks down takes nobody with it, and begins anew', async () => {
    const feed = onDemand(60_000);
    const run = vi.spyOn(MeshFeed.prototype, 'run').mockRejectedValueOnce(new Error('broken'));
    onTestFinished(() => run.mockRestore());
    const leave = feed.subscribe(() => {});
    await vi.waitUntil(() => faults.length > 0, { timeout: 20_000 });
    expect([feed.isRunning, String(faults[0])]).toEqual([false, 'Error: broken']);
    leave();
    await feed.awake();
    expect(feed.current?.granularity).toBe('location');
  });
});
