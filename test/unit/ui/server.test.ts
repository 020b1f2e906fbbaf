/**
 * The interface over HTTP, against an API server in this process: who is let in, what it answers, that its description holds.
 * @module
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { clientConf } from '../../../src/admin/clients/client-conf.ts';
import { meshOf } from '../../../src/admin/mesh.ts';
import { KubernetesClient } from '../../../src/agent/kubernetes/client.ts';
import { ClientBook } from '../../../src/ui/client-book.ts';
import { clientRoutes } from '../../../src/ui/client-routes.ts';
import { clientViewRoutes, serverRoutes } from '../../../src/ui/client-view-routes.ts';
import { MeshFeed } from '../../../src/ui/mesh-feed.ts';
import { meshRoutes } from '../../../src/ui/mesh-routes.ts';
import type { MeshSnapshot } from '../../../src/ui/mesh-snapshot.ts';
import { openApi, openApiRoute } from '../../../src/ui/openapi.ts';
import { policyOf } from '../../../src/ui/page-file.ts';
import { UiServer } from '../../../src/ui/ui-server.ts';
import { AdminWorld } from '../admin/admin-world.ts';
import { keyOf, twoRegions } from '../routing/clusters.ts';

const TOKEN = 'a-token-of-the-test-0123456789';
const OPTIONS = {
  links: { wireguard: 'kilo0', private: 'eth0', tunnel: 'tunl0' },
  encapsulation: 'always',
  encapsulator: 'ipip',
  local: true,
  cni: true,
  serviceCIDRs: [],
  underlayMtu: 1500,
} as const;
/** Sorted by the digests of openssl dgst -sha256 -binary | base64. */
const PAGE = '<html><style>p{}</style><script>1</script></html>';

const world = new AdminWorld();
let agent: Server;
let client: KubernetesClient;
let feed: MeshFeed;
const servers: UiServer[] = [];
const end = new AbortController();
let base: string;

const routesWith = (book: ClientBook) => [
  ...meshRoutes(feed, OPTIONS),
  ...clientViewRoutes(book, feed),
  ...clientRoutes(book),
  ...serverRoutes({ version: '1.2.3', readOnly: false }),
];

const serve = async (open: boolean): Promise<string> => {
  const book = new ClientBook({
    client,
    topologyLabel: 'topology.kubernetes.io/region',
    granularity: 'auto',
    file: async (snapshot, name) => clientConf(await meshOf(snapshot, { granularity: 'auto' }), name),
  });
  const routes = routesWith(book);
  const server = new UiServer({
    page: { html: PAGE, policy: policyOf(PAGE) },
    guard: { token: TOKEN, open },
    routes: [openApiRoute('1.2.3', routes), ...routes],
  });
  servers.push(server);
  const { port } = await server.listen(0, '127.0.0.1');
  return `http://127.0.0.1:${port}`;
};

beforeAll(async () => {
  await world.start();
  world.fill(twoRegions);
  // An agent of eu-1, on the node where we run.
  agent = createServer((_request, response) =>
    response.end(
      JSON.stringify({
        node: 'eu-1',
        segments: [
          {
            leader: 'us-1',
            tunnel: {
              endpoint: '198.51.100.1:51820',
              lastHandshake: Math.floor(Date.now() / 1000) - 7,
              receivedBytes: 10,
              sentBytes: 20,
              roundTripMs: 87.5,
              pathMtu: 1400,
            },
          },
        ],
        peers: [],
        faults: [],
      }),
    ),
  );
  await new Promise<void>((resolve) => agent.listen(0, '127.0.0.1', resolve));
  client = new KubernetesClient({ server: new URL(world.master), credentials: async () => ({}) });
  feed = new MeshFeed({
    client,
    topologyLabel: 'topology.kubernetes.io/region',
    granularity: 'auto',
    asking: {
      interfaceName: 'kwui-none',
      agent: `http://127.0.0.1:${(agent.address() as AddressInfo).port}`,
      reach: null,
      hostname: 'eu-1',
      environment: {},
    },
  });
  void feed.run(end.signal);
  base = await serve(true);
  await vi.waitUntil(() => feed.current?.granularity === 'location', { timeout: 20_000 });
});

afterAll(async () => {
  end.abort();
  for (const server of servers) await server.close();
  client.close();
  agent.close();
  await world.end();
});

interface Schema {
  readonly type?: string;
  readonly nullable?: boolean;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
}

/** What of a value is not as described: OpenAPI 3.0's types, and no field that is not named. */
const faults = (schema: Schema, value: unknown, path: string): string[] => {
  if (value === null) return schema.nullable === true ? [] : [`${path} is null`];
  const type = Array.isArray(value) ? 'array' : typeof value;
  if (schema.type !== type) return [`${path} is ${type}, not ${schema.type}`];
  if (schema.enum !== undefined && !schema.enum.includes(value)) return [`${path} is ${String(value)}`];
  if (Array.isArray(value))
    return value.flatMap((item, at) => faults(schema.items ?? {}, item, `${path}[${at}]`));
  const { properties, required = [] } = schema;
  if (properties === undefined || typeof value !== 'object') return [];
  const object = value as Readonly<Record<string, unknown>>;
  return [
    ...required.filter((name) => !(name in object)).map((name) => `${path}.${name} is missing`),
    ...Object.entries(object).flatMap(([name, item]) =>
      properties[name] === undefined
        ? [`${path}.${name} is not described`]
        : faults(properties[name], item, `${path}.${name}`),
    ),
  ];
};

const ask = (path: string, init: RequestInit = {}, at = base) => fetch(`${at}/api/v1.0${path}`, init);
const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' };
const change = (method: string, path: string, body?: unknown, more: Record<string, string> = {}) =>
  ask(path, {
    method,
    headers: { ...headers, ...more },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });

describe('the mesh', () => {
  it('is told as it is: leaders and why, tunnels with what agents say of them', async () => {
    const snapshot = (await (await ask('/mesh')).json()) as MeshSnapshot;
    expect(snapshot.granularity).toBe('location');
    expect(snapshot.nodes['us-1']).toMatchObject({
      location: 'us',
      role: 'leader',
      why: 'first with a public endpoint',
      meshAddress: '10.4.0.2',
      leads: 3,
      endpoint: '198.51.100.1:51820',
    });
    expect(snapshot.nodes['us-2']?.role).toBe('member');
    expect(Object.keys(snapshot.tunnels)).toEqual(['eu-1|us-1']);
    expect(snapshot.tunnels['eu-1|us-1']).toMatchObject({
      measured: true,
      roundTripMs: 87.5,
      mtu: 1400,
      endpointB: '198.51.100.1:51820',
    });
    const age = Date.now() / 1000 - (snapshot.tunnels['eu-1|us-1']?.lastHandshake ?? 0);
    expect(Math.round(age / 10)).toBe(1);
  });

  it('is told as it changes, over one connection', async () => {
    const over = new AbortController();
    const response = await ask('/mesh/events', { signal: over.signal });
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    const until = async (pattern: RegExp): Promise<void> => {
      while (!pattern.test(text)) text += (await reader.read()).value ?? '';
    };
    await until(/^event: snapshot\ndata: .*"us-1"/m);
    world.put({
      apiVersion: 'kilo.squat.ai/v1alpha1',
      kind: 'Peer',
      metadata: { name: 'late', uid: 'uid-late' },
      spec: { allowedIPs: ['10.5.9.9/32'], publicKey: keyOf('late') },
    });
    await until(/^event: change\ndata: .*"peers":\{"set":\{"late"/m);
    over.abort();
  });

  it('is told of each node in words', async () => {
    const { state } = (await (await ask('/mesh/nodes/eu-1')).json()) as {
      state: { part: string; text: string }[];
    };
    expect(state[0]).toEqual({ part: 'interface', text: 'kilo0 10.4.0.1/16, UDP port 51820' });
    expect(state.some(({ part, text }) => part === 'peer' && text.startsWith('node us-1; '))).toBe(true);
    expect((await ask('/mesh/nodes/nobody')).status).toBe(404);
  });

  it('is told of the last hour', async () => {
    const samples = (await (await ask('/mesh/history')).json()) as { at: number }[];
    expect(samples.length).toBeGreaterThan(0);
    const past = (await (await ask(`/mesh/history/${samples[0]!.at}`)).json()) as MeshSnapshot;
    expect(Object.keys(past.nodes)).toHaveLength(6);
    expect((await ask('/mesh/history/1')).status).toBe(404);
  });

  it.each([
    ['dot', 'text/vnd.graphviz', /^digraph /],
    ['svg', 'image/svg+xml', /^<svg /],
    ['mermaid', 'text/plain', /^(?:graph|flowchart) /],
    ['json', 'application/json', /"leader": "us-1"/],
    ['png', 'image/png', /^.PNG/],
  ])('is drawn as %s', async (format, type, beginning) => {
    const response = await ask(`/mesh/graph?format=${format}`);
    expect(response.headers.get('content-type')).toContain(type);
    expect(await response.text()).toMatch(beginning);
  });
});

describe('clients', () => {
  const key = keyOf('phone');

  it('are added with an address of the pool, changed, disabled, and removed: as Peers in the cluster', async () => {
    const added = await change('POST', '/client', {
      name: 'phone',
      publicKey: key,
      email: 'a@example.org',
      tags: ['sales'],
      expires: '2100-01-01T00:00:00Z',
      presharedKey: keyOf('secret'),
      // What wg-gen-web's own page would send too.
      ignorePersistentKeepalive: false,
    });
    expect([added.status, await added.json()]).toEqual([
      201,
      {
        id: 'phone',
        name: 'phone',
        email: 'a@example.org',
        enable: true,
        state: 'active',
        faults: [],
        address: ['10.5.0.1/32'],
        publicKey: key,
        hasPresharedKey: true,
        persistentKeepalive: 25,
        expires: '2100-01-01T00:00:00Z',
        allow: null,
        tags: ['sales'],
        created: expect.any(String),
      },
    ]);
    const stored = () =>
      world.api.store.get('peers.kilo.squat.ai', 'phone') as unknown as {
        metadata: { annotations?: Record<string, string> };
        spec: Record<string, unknown>;
      };
    expect(stored().spec).toMatchObject({ publicKey: key, allowedIPs: ['10.5.0.1/32'] });

    const disabled = await change('PATCH', '/client/phone', { enable: false, expires: null });
    expect(await disabled.json()).toMatchObject({ enable: false, state: 'disabled', expires: null });
    expect(stored().metadata.annotations).toMatchObject({ 'kilowire.dev/enabled': 'false' });

    const rotated = await change('PATCH', '/client/phone', { enable: true, publicKey: keyOf('phone-2') });
    expect(await rotated.json()).toMatchObject({ state: 'active', publicKey: keyOf('phone-2') });

    expect((await change('DELETE', '/client/phone')).status).toBe(204);
    expect((await ask('/client/phone')).status).toBe(404);
  });

  it('have a file with every leader in it, a place for the private key, and no other secret in any list', async () => {
    await change('POST', '/client', { name: 'pad', publicKey: keyOf('pad'), presharedKey: keyOf('psk') });
    const response = await ask('/client/pad/config', { headers });
    const file = await response.text();
    expect(file).toMatch(/^PrivateKey = PRIVATE_KEY$/m);
    expect(file.match(/^Endpoint = .*$/gm)).toEqual([
      'Endpoint = 203.0.113.1:51820',
      'Endpoint = 198.51.100.1:51820',
    ]);
    expect(file).toContain(keyOf('psk'));
    for (const path of ['/client', '/client/pad', '/status/clients', '/mesh'])
      expect(await (await ask(path)).text()).not.toContain(keyOf('psk'));
    await change('DELETE', '/client/pad');
  });

  it.each([
    ['a name that is none', { name: 'No Name', publicKey: key }, 409, 'cannot name a client'],
    ['a key that is none', { name: 'x', publicKey: 'abc' }, 400, 'publicKey'],
    ['no key', { name: 'x' }, 400, 'publicKey'],
    ['an end that is no time', { name: 'x', publicKey: key, expires: 'soon' }, 400, 'is no time'],
    ['an address that is none', { name: 'x', publicKey: key, address: ['here'] }, 400, 'is no address'],
    ['a tag with a comma', { name: 'x', publicKey: key, tags: ['a,b'] }, 400, 'comma'],
  ])('are refused for %s, with a sentence', async (_what, body, status, why) => {
    const response = await change('POST', '/client', body);
    const { error } = (await response.json()) as { error: { code: string; message: string } };
    expect([response.status, error.message]).toEqual([status, expect.stringContaining(why)]);
    expect(error.code).toMatch(/^ERR_/);
  });

  it('are refused for a body that is none, is not JSON or has no end', async () => {
    const post = (body: string, type = 'application/json') =>
      ask('/client', { method: 'POST', body, headers: { ...headers, 'content-type': type } });
    expect((await post('{')).status).toBe(400);
    expect((await post('name=x', 'application/x-www-form-urlencoded')).status).toBe(400);
    expect((await post(`{"name":"${'x'.repeat(100_000)}"}`)).status).toBe(400);
  });
});

describe('who is let in', () => {
  it('looks without a token on this host, and changes nothing without it', async () => {
    expect((await ask('/mesh')).status).toBe(200);
    const body = { body: '{}', headers: { 'content-type': 'application/json' } };
    expect((await ask('/client', { method: 'POST', ...body })).status).toBe(401);
    expect((await ask('/client/x', { method: 'DELETE' })).status).toBe(401);
    expect((await ask('/client/x/config')).status).toBe(401);
    const wrong = { headers: { authorization: 'Bearer another-token' } };
    expect((await ask('/client/x/config', wrong)).status).toBe(401);
  });

  it('sees nothing without the token where others can reach us', async () => {
    const far = await serve(false);
    for (const path of ['/mesh', '/mesh/events', '/client', '/openapi.json'])
      expect((await ask(path, {}, far)).status).toBe(401);
    expect((await ask('/mesh', { headers }, far)).status).toBe(200);
    expect((await ask('/mesh', { headers: { 'x-wg-gen-web-auth': TOKEN } }, far)).status).toBe(200);
    expect((await fetch(`${far}/ui/`)).status).toBe(200);
  });

  it.each([
    ['another origin', { origin: 'https://evil.example' }],
    ['another port of this host', { origin: 'http://127.0.0.1:1' }],
    ['another site, says the browser', { 'sec-fetch-site': 'cross-site' }],
    ['the same site, says the browser', { 'sec-fetch-site': 'same-site' }],
  ])('changes nothing from %s, token or not', async (_where, more) => {
    const response = await change('POST', '/client', { name: 'x', publicKey: keyOf('x') }, more);
    expect(response.status).toBe(403);
  });

  it('changes from our own page', async () => {
    const own = { origin: base, 'sec-fetch-site': 'same-origin' };
    const response = await change('POST', '/client', { name: 'own', publicKey: keyOf('own') }, own);
    expect(response.status).toBe(201);
    await change('DELETE', '/client/own');
  });

  it('is refused under a name, which may have been turned to this host', async () => {
    const { port } = new URL(base);
    const { request } = await import('node:http');
    const status = (host: string) =>
      new Promise((resolve) =>
        request({ port, host: '127.0.0.1', path: '/api/v1.0/mesh', headers: { host } }, (response) => {
          response.resume();
          resolve(response.statusCode);
        }).end(),
      );
    expect(await status(`evil.example:${port}`)).toBe(403);
    expect(await status(`localhost:${port}`)).toBe(200);
    expect(await status(`[::1]:${port}`)).toBe(200);
  });

  it('gets a page that may load nothing, be in no frame, and run only what is in it', async () => {
    const response = await fetch(`${base}/ui/`);
    expect(await response.text()).toBe(PAGE);
    const policy = response.headers.get('content-security-policy') ?? '';
    // printf 1 | openssl dgst -sha256 -binary | base64
    expect(policy).toContain("script-src 'sha256-a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s='");
    for (const rule of ["default-src 'none'", "frame-ancestors 'none'", "connect-src 'self'"])
      expect(policy).toContain(rule);
    expect(policy).not.toMatch(/unsafe|https?:|\*/);
    expect(response.headers.get('referrer-policy')).toBe('no-referrer');
    expect(response.headers.get('access-control-allow-origin')).toBeNull();
  });

  it('is told what is not there', async () => {
    expect((await ask('/nothing')).status).toBe(404);
    expect((await fetch(`${base}/etc/passwd`)).status).toBe(404);
    expect((await ask('/client/%ff')).status).toBe(400);
    expect((await fetch(`${base}/`, { redirect: 'manual' })).headers.get('location')).toBe('/ui/');
  });
});

describe('the description', () => {
  const { paths, components } = openApi('1.2.3') as unknown as {
    paths: Record<
      string,
      Record<string, { responses: Record<string, { content?: Record<string, { schema: unknown }> }> }>
    >;
    components: { schemas: Record<string, unknown> };
  };
  /** With what a $ref points to in its place. */
  const whole = (schema: unknown): Schema =>
    JSON.parse(JSON.stringify(schema), (_key, value) =>
      value?.$ref === undefined
        ? value
        : whole(components.schemas[String(value.$ref).split('/').at(-1) ?? '']),
    );

  it('is served, and names what there is and nothing else', async () => {
    expect(await (await ask('/openapi.json')).json()).toEqual(openApi('1.2.3'));
    const described = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ':$1')}`),
    );
    const routes = [openApiRoute('', []), ...routesWith(null as never)].map(
      ({ method, pattern }) => `${method} ${pattern}`,
    );
    expect(described.toSorted()).toEqual(routes.toSorted());
  });

  it('holds for the answers', async () => {
    await change('POST', '/client', { name: 'one', publicKey: keyOf('one'), tags: ['t'] });
    const samples = (await (await ask('/mesh/history')).json()) as { at: number }[];
    const asked: [string, string][] = [
      ['/mesh', '/mesh'],
      ['/mesh/history', '/mesh/history'],
      ['/mesh/history/{at}', `/mesh/history/${samples[0]!.at}`],
      ['/mesh/nodes/{name}', '/mesh/nodes/eu-1'],
      ['/client', '/client'],
      ['/client/{id}', '/client/one'],
      ['/server/version', '/server/version'],
      ['/status/enabled', '/status/enabled'],
      ['/status/clients', '/status/clients'],
    ];
    for (const [described, path] of asked) {
      const schema = whole(paths[described]?.get?.responses['200']?.content?.['application/json']?.schema);
      const answer = await (await ask(path)).json();
      expect(faults(schema, answer, described)).toEqual([]);
    }
    const refused = await (await ask('/client/nobody')).json();
    expect(faults(whole({ $ref: '#/components/schemas/Error' }), refused, 'error')).toEqual([]);
    await change('DELETE', '/client/one');
  });
});
