/**
 * Agents asked from inside the mesh and from outside of it: directly where they answer, else through an API server in this process.
 * @module
 */
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AgentProxy } from '../../../src/admin/agent-proxy.ts';
import { AgentReach } from '../../../src/admin/agent-reach.ts';
import { ApiServer } from '../../../src/agent/api-server/api-server.ts';
import { KubernetesClient } from '../../../src/agent/kubernetes/client.ts';
import { refusal } from '../../../src/agent/kubernetes/kubernetes-error.ts';
import { NODES } from '../../../src/agent/kubernetes/resources.ts';

const NOW = 1_800_000_000;
const PORT = 1107;
const NAMESPACE = 'mesh-system';
/** Nobody listens there. */
const NOWHERE = 'http://127.0.0.1:9';

/** Agents by the addresses of their nodes; the API server reaches them and this host does not. */
const nodes: Readonly<Record<string, string>> = { '10.0.0.1': 'n1', '10.0.0.2': 'n2', '10.0.0.3': 'n3' };
const statusOf = (node: string, peers = 0) => ({
  node,
  segments: [
    {
      leader: 'other',
      tunnel: {
        endpoint: '203.0.113.9:51820',
        lastHandshake: NOW - 30,
        receivedBytes: 1000,
        sentBytes: 2000,
        roundTripMs: 12.5,
        pathMtu: 1420,
      },
    },
  ],
  peers: Array.from({ length: peers }, (_, index) => ({ name: `p${index}`, tunnel: null })),
  faults: [],
});

let agents: Server;
let api: ApiServer;
let client: KubernetesClient;
const asked: string[] = [];
let dead = new Set<string>();

const put = (resource: string, key: string, object: object): void =>
  void api.store.put(resource, key, object as never);
const putPod = (name: string, nodeName: string, podIP: string, phase = 'Running'): void =>
  put('pods', `${NAMESPACE}/${name}`, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: NAMESPACE,
      labels: { 'app.kubernetes.io/name': 'kilowire', 'app.kubernetes.io/component': 'agent' },
    },
    spec: { nodeName, hostNetwork: true },
    status: { podIP, phase },
  });

beforeAll(async () => {
  agents = createServer(({ headers: { host = '', authorization }, url }, response) => {
    const node = nodes[host.split(':')[0] ?? ''];
    asked.push(`${host}${url} ${authorization ?? ''}`.trim());
    if (node === undefined || dead.has(node)) response.destroy();
    else response.end(JSON.stringify(statusOf(node)));
  });
  await new Promise<void>((resolve) => agents.listen(0, '127.0.0.1', resolve));
  const { port } = agents.address() as AddressInfo;
  api = new ApiServer({
    token: 'let-me-in',
    connect: (host, wanted) =>
      host in nodes && wanted === PORT ? connect(port, '127.0.0.1') : connect(9, '127.0.0.1'),
  });
  const server = await api.listen();
  client = new KubernetesClient({ server, credentials: async () => ({ authorization: 'Bearer let-me-in' }) });
  // n3's agent is a program of the host, and no Pod.
  for (const [address, name] of Object.entries(nodes))
    put('nodes', name, {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name },
      status: { addresses: [{ type: 'InternalIP', address }] },
    });
  putPod('agent-one', 'n1', '10.0.0.1');
  putPod('agent-two', 'n2', '10.0.0.2');
  putPod('agent-three', 'n3', '10.0.0.99', 'Pending');
});
beforeEach(() => {
  asked.length = 0;
  dead = new Set();
});
afterAll(async () => {
  client.close();
  agents.close();
  await api.close();
});

const far = ['n1', 'n2', 'n3'].map((node) => ({ node, origin: NOWHERE }));
const outside = { isInside: false, port: PORT, now: NOW };
const proxy = () => new AgentProxy({ client, namespace: NAMESPACE });

describe('from outside the mesh', () => {
  it('agents are asked through the API: by their pods, else by their nodes', async () => {
    const reach = new AgentReach(proxy());
    const answers = await reach.ask(far, outside);
    expect(answers.map(({ node, report }) => [node, report?.node, report?.tunnels])).toEqual(
      ['n1', 'n2', 'n3'].map((node) => [
        node,
        node,
        [
          {
            from: node,
            to: 'other',
            endpoint: '203.0.113.9:51820',
            handshakeAge: 30,
            roundTripMs: 12.5,
            pathMtu: 1420,
            receivedBytes: 1000,
            sentBytes: 2000,
          },
        ],
      ]),
    );
    expect(reach.isByApi).toBe(true);
    // Whose token it was is the API's business alone.
    expect(asked.toSorted()).toEqual([
      '10.0.0.1:1107/status',
      '10.0.0.2:1107/status',
      '10.0.0.3:1107/status',
    ]);
  });

  it('one that does not answer is named, and the others are heard', async () => {
    dead = new Set(['n2']);
    const answers = await new AgentReach(proxy()).ask(far, outside);
    expect(answers.map(({ node, report }) => [node, report !== null])).toEqual([
      ['n1', true],
      ['n2', false],
      ['n3', true],
    ]);
  });

  it('what is no agent is nobody, whatever it says', async () => {
    for (const answer of ['{}', '[]', 'null', '{"node":1}', '{"node":"n1","segments":7}', 'no JSON', '']) {
      const behind = async (): Promise<unknown> => JSON.parse(answer);
      const list = async () => ({ items: [], resourceVersion: '1' });
      const reach = new AgentReach(new AgentProxy({ client: { behind, list } as never, namespace: 'x' }));
      const [first] = await reach.ask(far.slice(0, 1), outside);
      expect([answer, first?.report]).toEqual([answer, null]);
    }
  });

  it('an answer without end is not read to its end', async () => {
    const target = { type: NODES, name: 'n1', port: PORT };
    const limits = { timeoutMs: 5000, mostBytes: 10 };
    await expect(client.behind(target, '/status', limits)).rejects.toMatchObject({
      code: 'ERR_KUBERNETES_PROTOCOL',
    });
  });

  it('an account that may not any more is told so', async () => {
    let may = true;
    const behind = async (): Promise<unknown> => {
      if (may) return statusOf('n1');
      throw refusal(403, 'GET', { message: 'pods "one" is forbidden' }, undefined);
    };
    const list = async () => ({
      items: [{ metadata: { name: 'one' }, spec: { nodeName: 'n1' }, status: { phase: 'Running' } }],
    });
    const reach = new AgentReach(new AgentProxy({ client: { behind, list } as never, namespace: 'x' }));
    const [first] = far;
    if (first === undefined) throw new Error('nobody to ask');
    await reach.ask([first], outside);
    expect([reach.isByApi, reach.refusal]).toEqual([true, null]);
    may = false;
    await reach.ask([first], outside);
    expect([reach.isByApi, reach.refusal]).toEqual([false, 'The API says: pods "one" is forbidden.']);
  });

  it('an account that may not is told what it lacks', async () => {
    const no = async (): Promise<never> => {
      throw refusal(403, 'GET /api/v1/namespaces/x/pods', { message: 'pods is forbidden' }, undefined);
    };
    const reach = new AgentReach(
      new AgentProxy({ client: { behind: no, list: no } as never, namespace: 'x' }),
    );
    expect((await reach.ask(far, outside)).every(({ report }) => report === null)).toBe(true);
    expect([reach.isByApi, reach.refusal]).toEqual([false, 'The API says: pods is forbidden.']);
    const list = async () => ({ items: [], resourceVersion: '1' });
    const noPods = new AgentReach(new AgentProxy({ client: { behind: no, list } as never, namespace: 'x' }));
    await noPods.ask(far, outside);
    expect(noPods.refusal).toMatch(/^Of node "n\d" there is no agent's pod in namespace "x", and /);
  });
});

describe('from inside the mesh', () => {
  let near: Server;
  let origin: string;
  beforeAll(async () => {
    near = createServer((_request, response) => response.end(JSON.stringify(statusOf('n1'))));
    await new Promise<void>((resolve) => near.listen(0, '127.0.0.1', resolve));
    origin = `http://127.0.0.1:${(near.address() as AddressInfo).port}`;
  });
  afterAll(() => void near.close());

  it('agents are asked at their addresses, and the API is left alone', async () => {
    const reach = new AgentReach(proxy());
    const answers = await reach.ask(
      [
        { node: 'n1', origin },
        { node: 'n2', origin: NOWHERE },
      ],
      outside,
    );
    expect(answers.map(({ report }) => report?.node)).toEqual(['n1', undefined]);
    expect([reach.isByApi, asked]).toEqual([false, []]);
  });

  it('a node that hears nobody does not ask the API either: what it sees is its mesh', async () => {
    const reach = new AgentReach(proxy());
    const answers = await reach.ask(far, { ...outside, isInside: true });
    expect(answers.every(({ report }) => report === null)).toBe(true);
    expect([reach.isByApi, reach.refusal, asked]).toEqual([false, null, []]);
  });

  it('a laptop that leaves it finds the other way', async () => {
    const reach = new AgentReach(proxy());
    await reach.ask([{ node: 'n1', origin }], outside);
    await reach.ask(far, outside); // nobody, so where are we?
    const answers = await reach.ask(far, outside);
    expect(answers.map(({ report }) => report?.node)).toEqual(['n1', 'n2', 'n3']);
  });
});
