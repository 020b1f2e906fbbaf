/**
 * What others see of an agent, against Kilo 0.7: HTTP paths, metrics, log lines, annotations, the CRD.
 * Source: tables observed on Kilo's own kg and its crds.yaml. What is left out on purpose: the profiler under /debug/ (open to
 * everybody there) and Go's own metrics.
 * @module
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as annotations from '../../../src/agent/annotations.ts';
import { serveEndpoints } from '../../../src/agent/http-endpoints.ts';
import { LOG_LEVELS, Log, type LogLevel } from '../../../src/agent/log.ts';
import { AgentMetrics } from '../../../src/agent/metrics.ts';
import { PEER_DEFINITION } from '../../../src/agent/peer-definition.ts';
import type { Topology } from '../../../src/routing/topology.ts';
import { fixture, lookFrom } from '../routing/clusters.ts';

describe('over HTTP', () => {
  let server: Awaited<ReturnType<typeof serveEndpoints>>;
  let topology: Topology | null;
  beforeAll(async () => {
    topology = lookFrom('a', 'location', fixture);
    const metrics = new AgentMetrics();
    const state = {
      metrics: () => metrics.toString(),
      topology: () => topology,
      status: async () => ({}),
    };
    server = await serveEndpoints(state, { host: '127.0.0.1', port: 0 });
  });
  afterAll(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  const ask = async (path: string) => {
    const answer = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`);
    return { status: answer.status, type: answer.headers.get('content-type'), body: await answer.text() };
  };

  it('/health is 200 and empty', async () => {
    expect(await ask('/health')).toMatchObject({ status: 200, body: '' });
  });
  it('/metrics is text for Prometheus', async () => {
    const { status, type, body } = await ask('/metrics');
    expect([status, type]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8']);
    expect(body).toMatch(/^# HELP /);
  });
  it.each(['/', '/anything'])('%s is the index', async (path) => {
    const { status, body } = await ask(path);
    expect(status).toBe(200);
    expect(body).toContain('Internal Kilo API');
    for (const link of ['/graph', '/health', '/metrics']) expect(body).toContain(link);
  });
  it.each([
    ['', 200, '<svg'],
    ['?layout=circo', 200, '<svg'],
    ['?format=svg&layout=circo', 200, '<svg'],
    ['?format=svg&layout=fdp', 200, '<svg'],
    ['?format=dot', 200, 'digraph kilo {'],
    ['?format=gv&layout=neato', 200, 'digraph kilo {'],
    ['?format=json', 200, '"segments"'],
    ['?format=png', 200, 'PNG'],
    ['?layout=fake', 500, 'unsupported layout'],
    ['?format=fake', 500, 'unsupported format'],
  ])('/graph%s answers %i', async (query, status, part) => {
    const answer = await ask(`/graph${query}`);
    expect(answer.status).toBe(status);
    expect(answer.body).toContain(part);
  });
  it('/graph of a node that is not ready is a sentence, and no crash', async () => {
    const before = topology;
    topology = null;
    expect(await ask('/graph')).toMatchObject({
      status: 500,
      body: 'did not find any valid Kilo nodes in the cluster',
    });
    topology = before;
  });
});

describe('the metrics', () => {
  const metrics = new AgentMetrics();
  it('show no error before the first', () => expect(metrics.toString()).not.toContain('kilo_errors_total'));
  it.each([
    ['kilo_errors_total', 'counter', '{event="apply"} 1'],
    ['kilo_leader', 'gauge', ' 1'],
    ['kilo_nodes', 'gauge', ' 3'],
    ['kilo_peers', 'gauge', ' 2'],
    ['kilo_reconciles_total', 'counter', ' 1'],
    ['kilo_iptables_operations_total', 'counter', '{chain="*",operation="Save",protocol="IPv4",table="*"} 1'],
    ['process_cpu_seconds_total', 'counter', ' '],
    ['process_resident_memory_bytes', 'gauge', ' '],
    ['process_virtual_memory_bytes', 'gauge', ' '],
    ['process_start_time_seconds', 'gauge', ' '],
    ['process_open_fds', 'gauge', ' '],
  ])('%s is a %s', (name, kind, sample) => {
    metrics.error({ event: 'apply' });
    metrics.leader(1);
    metrics.nodes(3);
    metrics.peers(2);
    metrics.reconcile();
    metrics.iptables({ operation: 'Save', protocol: 'IPv4' });
    const text = metrics.toString();
    expect(text).toContain(`# TYPE ${name} ${kind}\n`);
    expect(text).toContain(`\n${name}${sample}`.replace(/[1-9]$/, ''));
  });
});

describe('a line of the log', () => {
  const lines: string[] = [];
  new Log('info', (line) => lines.push(line)).info("Starting Kilo network mesh '0.7.0'.", { node: 'a' });
  it('is one JSON object with the keys of Kilo', () => {
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/\n$/);
    const { ts, ...rest } = JSON.parse(lines[0] ?? '') as Record<string, string>;
    expect(rest).toEqual({
      caller: expect.any(String),
      component: 'kilo',
      level: 'info',
      msg: "Starting Kilo network mesh '0.7.0'.",
      node: 'a',
    });
    expect(ts).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
  });
  it.each([
    ['all', 4],
    ['debug', 4],
    ['info', 3],
    ['warn', 2],
    ['error', 1],
    ['none', 0],
  ] as const)('of level %s lets %i of four severities through', (level: LogLevel, count) => {
    expect(LOG_LEVELS).toContain(level);
    const said: string[] = [];
    const log = new Log(level, (line) => said.push(line));
    log.debug('1');
    log.info('2');
    log.warn('3');
    log.error('4');
    expect(said).toHaveLength(count);
  });
});

describe('the annotations', () => {
  const names = new Map<string, unknown>(Object.entries(annotations));
  it.each([
    ['ENDPOINT', 'endpoint'],
    ['FORCE_ENDPOINT', 'force-endpoint'],
    ['INTERNAL_IP', 'internal-ip'],
    ['FORCE_INTERNAL_IP', 'force-internal-ip'],
    ['KEY', 'key'],
    ['LAST_SEEN', 'last-seen'],
    ['WIREGUARD_IP', 'wireguard-ip'],
    ['DISCOVERED_ENDPOINTS', 'discovered-endpoints'],
    ['GRANULARITY', 'granularity'],
    ['CNI_COMPATIBILITY_IP', 'cni-compatibility-ip'],
    ['LEADER', 'leader'],
    ['LOCATION', 'location'],
    ['PERSISTENT_KEEPALIVE', 'persistent-keepalive'],
    ['ALLOWED_LOCATION_IPS', 'allowed-location-ips'],
  ] as const)('%s is kilo.squat.ai/%s', (name, key) => expect(names.get(name)).toBe(`kilo.squat.ai/${key}`));
  it('an agent writes are taken away by its clean-up, Kilo forgets one of them', () => {
    const kilo = [
      'endpoint',
      'internal-ip',
      'key',
      'last-seen',
      'wireguard-ip',
      'discovered-endpoints',
      'granularity',
      'cni-compatibility-ip',
    ];
    expect(annotations.AGENT_ANNOTATIONS).toEqual(
      expect.arrayContaining(kilo.map((key) => `kilo.squat.ai/${key}`)),
    );
    const foreign = annotations.AGENT_ANNOTATIONS.filter(
      (name) => !kilo.includes(name.replace('kilo.squat.ai/', '')) && !name.startsWith('kilowire.dev/'),
    );
    expect(foreign).toEqual([]);
  });
  it('of location give way to the label that Kubernetes knows', () =>
    expect(annotations.DEFAULT_TOPOLOGY_LABEL).toBe('topology.kubernetes.io/region'));
});

describe('the CRD', () => {
  const { spec, metadata } = PEER_DEFINITION;
  const [version] = spec.versions;
  const properties = (
    schema: unknown,
  ): Record<string, { type: string; format?: string; required?: string[] }> =>
    (schema as { properties: Record<string, { type: string }> }).properties;
  const peer = properties(
    (version?.schema as { openAPIV3Schema?: unknown } | undefined)?.openAPIV3Schema,
  ).spec;

  it('has the names of Kilo', () => {
    expect(metadata.name).toBe('peers.kilo.squat.ai');
    expect(spec).toMatchObject({
      group: 'kilo.squat.ai',
      scope: 'Cluster',
      names: { kind: 'Peer', plural: 'peers', singular: 'peer' },
    });
    expect(spec.versions).toHaveLength(1);
    expect(version).toMatchObject({ name: 'v1alpha1', served: true, storage: true });
    expect(Object.keys(spec.names)).not.toContain('shortNames');
  });
  it.each([
    ['allowedIPs', 'array', true],
    ['publicKey', 'string', true],
    ['presharedKey', 'string', false],
    ['persistentKeepalive', 'integer', false],
    ['endpoint', 'object', false],
  ])('knows spec.%s, %s', (name, type, isRequired) => {
    expect(properties(peer)[name]?.type).toBe(type);
    expect(peer?.required?.includes(name)).toBe(isRequired);
  });
  it('wants both halves of an endpoint', () => {
    const endpoint = properties(peer).endpoint;
    expect(endpoint?.required).toEqual(['dnsOrIP', 'port']);
    expect(properties(endpoint).port).toMatchObject({ type: 'integer', format: 'int32' });
    expect(Object.keys(properties(properties(endpoint).dnsOrIP)).toSorted()).toEqual(['dns', 'ip']);
  });
});
