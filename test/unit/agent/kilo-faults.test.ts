/**
 * The faults of Kilo's agent that this one must not have, by their numbers in the list of docs/kilo-faults.md: those that show in what agents
 * decide. Those that need packets or a kernel are in test/netns, those of the administrator's commands in test/unit/admin.
 * @module
 */
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { serveEndpoints } from '../../../src/agent/http-endpoints.ts';
import type { EventResource } from '../../../src/agent/kubernetes/resources.ts';
import { PassWatch } from '../../../src/agent/pass-watch.ts';
import { statusOf } from '../../../src/agent/status.ts';
import { tunnelMetrics } from '../../../src/agent/tunnel-metrics.ts';
import { planInstallation } from '../../../src/cni/admin/installation.ts';
import { formatAddress, formatCidr } from '../../../src/noise/ip.ts';
import { diffDevices } from '../../../src/routing/diff.ts';
import { keyBytes } from '../../../src/routing/key-text.ts';
import { desiredFilter } from '../../../src/routing/nat.ts';
import { desiredRoutes } from '../../../src/routing/routes.ts';
import { wireguardConfig } from '../../../src/routing/wireguard-config.ts';
import { MeshSimulation, type SimulationOptions } from '../../../src/simulation/mesh-simulation.ts';
import { PEER_OBJECTS } from '../../../src/simulation/simulated-api.ts';
import { CALM_SECONDS } from '../../../src/simulation/storm.ts';
import { fixture, keyOf, lookFrom, node } from '../routing/clusters.ts';
import { FailOverWorld } from '../routing/fail-over-world.ts';

const meshOf = async (more: Partial<SimulationOptions> = {}): Promise<MeshSimulation> => {
  const simulation = new MeshSimulation({
    seed: 1,
    nodes: 8,
    locations: 4,
    granularity: 'location',
    ...more,
  });
  await simulation.pass(CALM_SECONDS);
  return simulation;
};
const memberOf = (simulation: MeshSimulation, name: string) => {
  const member = simulation.members.get(name);
  if (member === undefined) throw new Error(name);
  return member;
};
/** What a host holds: whom it has tunnels with, for what, and its routes. */
const heldBy = (simulation: MeshSimulation, name: string): string => {
  const { peers, plan, wireguardCIDR } = memberOf(simulation, name).host;
  return JSON.stringify([
    [...peers.values()].map(({ key, allowedIps }) => [key, allowedIps.map(formatCidr)]).toSorted(),
    plan.routes.map(({ destination, via }) => [formatCidr(destination), via && formatAddress(via)]),
    wireguardCIDR && formatCidr(wireguardCIDR),
  ]);
};
const putPeer = (simulation: MeshSimulation, name: string, spec: object): void => {
  simulation.api.store.put(PEER_OBJECTS, name, {
    apiVersion: 'kilo.squat.ai/v1alpha1',
    kind: 'Peer',
    metadata: { name, uid: name },
    spec,
  });
};

describe("faults of Kilo's agent", () => {
  it('kilo §10.4.1: an API that is away for two minutes takes no peer and no route from anybody', async () => {
    const simulation = await meshOf();
    const names = [...simulation.members.keys()];
    const before = names.map((name) => heldBy(simulation, name));
    for (const { node: each } of simulation.watched) if (each !== null) each.absence = 'refuses';
    for (let second = 0; second < 120; second++) {
      await simulation.pass(1);
      expect(names.map((name) => heldBy(simulation, name))).toEqual(before);
    }
    for (const { node: each } of simulation.watched) if (each !== null) each.absence = null;
    await simulation.pass(CALM_SECONDS);
    expect(names.map((name) => heldBy(simulation, name))).toEqual(before);
  });

  it('kilo §10.4.2: a Peer without an endpoint, first by key, hides no change of those after it', () => {
    const silent = { publicKey: keyBytes(`${'A'.repeat(42)}E=`), allowedIps: [], persistentKeepalive: 0 };
    const member = (range: number) => ({
      publicKey: keyBytes(keyOf('zz')),
      endpoint: { address: Uint8Array.of(203, 0, 113, 1), port: 51820 },
      persistentKeepalive: 0,
      allowedIps: [{ address: Uint8Array.of(10, 42, range, 0), prefix: 24 }],
    });
    const change = diffDevices({ peers: [silent, member(1)] }, { peers: [silent, member(2)] });
    expect(change?.peers).toHaveLength(1);
    expect(change?.peers[0]?.publicKey).toEqual(keyBytes(keyOf('zz')));
  });

  it('kilo §10.4.3: a name that does not resolve, of a node or a Peer, holds up nothing else', async () => {
    const simulation = await meshOf();
    simulation.annotate('n0003', { 'kilo.squat.ai/force-endpoint': 'nowhere.invalid:51820' });
    putPeer(simulation, 'lost', {
      allowedIPs: ['10.5.0.9/32'],
      publicKey: keyOf('lost'),
      endpoint: { dnsOrIP: { dns: 'gone.invalid' }, port: 51820 },
    });
    await simulation.pass(5);
    // What comes after it is configured everywhere all the same.
    const joined = simulation.add();
    await simulation.pass(15);
    for (const { host } of simulation.watched) {
      if (host === joined.host) continue;
      const routes = host.plan.routes.map(({ destination }) => formatCidr(destination));
      expect(routes).toContain(formatCidr(joined.shape.podCIDR));
    }
    const { host } = memberOf(simulation, 'n0000');
    expect(host.peers.get(keyOf('lost'))?.allowedIps.map(formatCidr)).toEqual(['10.5.0.9/32']);
  });

  it('kilo §10.4.8: an agent that starts makes no mesh before it knows the whole cluster', async () => {
    const simulation = await meshOf({ nodes: 12 });
    const { host, node: started } = memberOf(simulation, 'n0002');
    const seen: string[] = [];
    const said = new Set<string>();
    host.onPass = ({ topology, wireguardCIDR }) =>
      seen.push(
        JSON.stringify([
          topology?.segments.map(({ location, leader }) => `${location} ${leader.name}`),
          wireguardCIDR && formatCidr(wireguardCIDR),
        ]),
      );
    const stop = simulation.api.store.watch(({ object }) => {
      const text = object.metadata.annotations?.['kilo.squat.ai/wireguard-ip'];
      if (object.metadata.name === 'n0002' && text !== undefined) said.add(text);
    });
    started?.kill();
    started?.start();
    await simulation.pass(90);
    stop();
    expect(seen.length).toBeGreaterThan(0);
    expect(new Set(seen).size).toBe(1);
    expect([...said]).toEqual(['10.4.0.3/16']);
  });

  it('kilo §10.4.12: no key is in the log at any level, nor in what the agent answers over HTTP; there is no profiler', async () => {
    const lines: string[] = [];
    const simulation = new MeshSimulation({
      seed: 2,
      nodes: 3,
      locations: 3,
      granularity: 'location',
      onLog: (line) => lines.push(line),
    });
    putPeer(simulation, 'laptop', {
      allowedIPs: ['10.5.0.1/32'],
      publicKey: keyOf('laptop'),
      presharedKey: keyOf('whispered'),
    });
    await simulation.pass(60);
    const secrets = [keyOf('whispered'), ...simulation.secrets];
    expect(secrets).toHaveLength(4);
    const { topology } = memberOf(simulation, 'n0000').host;
    const device = await memberOf(simulation, 'n0000').host.device.control.read();
    const status = { hostname: 'n0000', version: '', topology, device, faults: [], apiSilence: 0, passes: 1 };
    const server = await serveEndpoints(
      {
        metrics: () => tunnelMetrics('kilo0', device, topology),
        topology: () => topology,
        status: async () => statusOf(status),
      },
      { host: '127.0.0.1', port: 0 },
    );
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const answers: string[] = [];
    for (const path of ['/graph?format=dot', '/graph', '/status', '/metrics', '/debug/pprof/heap'])
      answers.push(await (await fetch(origin + path)).text());
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
    expect(answers.at(-1)).toContain('<title>Internal Kilo API</title>');
    expect(lines.length).toBeGreaterThan(3);
    const said = [...lines, ...answers].join('\n');
    for (const secret of secrets) {
      const bytes = Buffer.from(secret, 'base64');
      expect(said).not.toContain(secret);
      expect(said).not.toContain(bytes.toString('hex'));
      expect(said).not.toContain([...bytes].join(',').slice(0, 60));
    }
  });

  it('kilo §10.4.13: a graph that cannot be drawn is told in a sentence, and the next question is answered', async () => {
    const server = await serveEndpoints(
      { metrics: () => '', topology: () => null, status: async () => ({}) },
      { host: '127.0.0.1', port: 0 },
    );
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const graph = await fetch(`${origin}/graph`);
    expect([graph.status, await graph.text()]).toEqual([
      500,
      'did not find any valid Kilo nodes in the cluster',
    ]);
    expect((await fetch(`${origin}/health`)).status).toBe(200);
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });

  it('kilo §10.4.14: in a cross mesh a node without a private address is reached by its tunnel', () => {
    const nodes = [
      node({
        name: 'a',
        location: 'x',
        endpoint: '203.0.113.1:51820',
        internalIP: '10.1.0.1/24',
        podCIDR: '10.42.0.0/24',
      }),
      node({ name: 'b', location: 'x', endpoint: '203.0.113.2:51820', podCIDR: '10.42.1.0/24' }),
    ];
    for (const [from, to] of [
      ['a', '10.42.1.0/24'],
      ['b', '10.42.0.0/24'],
    ] as const) {
      const topology = lookFrom(from, 'cross', { nodes });
      const links = { wireguard: 'kilo0', private: from === 'a' ? 'eth0' : null, tunnel: 'tunl0' };
      const route = desiredRoutes(topology, { links }).routes.find(
        ({ destination }) => formatCidr(destination) === to,
      );
      expect(route?.device).toBe('kilo0');
      expect(wireguardConfig(topology)?.peers[0]?.allowedIps.map(formatCidr)).toContain(to);
      expect(() => desiredFilter(topology)).not.toThrow();
    }
  });

  it('kilo §10.4.15: with --stable-addresses a location that goes moves nobody else', async () => {
    const simulation = await meshOf({ flags: { stableAddresses: true } });
    const addresses = () =>
      ['n0001', 'n0002', 'n0003'].map((name) => {
        const { wireguardCIDR } = memberOf(simulation, name).host;
        return wireguardCIDR && formatCidr(wireguardCIDR);
      });
    const before = addresses();
    expect(new Set(before).size).toBe(3);
    simulation.remove(memberOf(simulation, 'n0000'));
    simulation.remove(memberOf(simulation, 'n0004'));
    await simulation.pass(CALM_SECONDS);
    expect(memberOf(simulation, 'n0001').host.topology?.segments).toHaveLength(3);
    expect(addresses()).toEqual(before);
  });

  it('kilo §10.4.17: who has nothing to say says so once in 30 s, and is no work for the others', async () => {
    const simulation = await meshOf({ nodes: 24, resyncPeriod: '1h' });
    let passes = 0;
    for (const { host } of simulation.watched) host.onPass = () => passes++;
    const before = simulation.api.writes;
    await simulation.pass(600);
    // A heart-beat is written 30 s after the one before was answered: never more often.
    expect(simulation.api.writes - before).toBeLessThanOrEqual((600 / 30) * 24);
    expect(simulation.api.writes - before).toBeGreaterThan(19 * 24 - 24);
    expect(passes).toBe(0);
  });

  it('kilo §10.4.20: why a Peer is left out is an Event, and whether one is connected is in the status', async () => {
    const simulation = await meshOf();
    putPeer(simulation, 'wrong', { allowedIPs: ['10.5.0.1'], publicKey: keyOf('wrong') });
    await simulation.pass(10);
    const told = simulation.api.told as unknown as EventResource[];
    expect(told.filter(({ involvedObject }) => involvedObject.name === 'wrong')).toMatchObject([
      {
        reason: 'PeerInvalid',
        involvedObject: { kind: 'Peer', apiVersion: 'kilo.squat.ai/v1alpha1' },
        message:
          'Peer "wrong" is left out: failed to parse "10.5.0.1" as a valid IP address: invalid CIDR address: 10.5.0.1',
      },
    ]);
    const topology = lookFrom('a', 'location', fixture);
    const device = {
      peers: [
        {
          publicKey: keyBytes(keyOf('key5')),
          allowedIps: [],
          endpoint: { address: Uint8Array.of(198, 51, 100, 9), port: 4000 },
          lastHandshake: { seconds: 1_795_233_600, nanoseconds: 0 },
          rxBytes: 10,
          txBytes: 20,
        },
      ],
    };
    const parts = { hostname: 'a', version: '', topology, device, faults: [], apiSilence: 0, passes: 1 };
    expect(statusOf(parts)).toMatchObject({
      peers: [
        { name: 'a', tunnel: null },
        {
          name: 'b',
          tunnel: { endpoint: '198.51.100.9:4000', lastHandshake: 1_795_233_600, receivedBytes: 10 },
        },
      ],
    });
  });

  it('kilo §10.4.21: a leader that passes nothing on, its heart-beats notwithstanding, is replaced', () => {
    const world = new FailOverWorld({ locations: { eu: 3, us: 2, ap: 2 } });
    world.run(5000);
    expect(world.leader('eu')).toBe('eu-0');
    world.body('eu-0').forwards = false;
    world.run(5000);
    expect(world.leader('eu')).toBe('eu-1');
  });

  it('kilo §10.4.23: installing the CNI plugin leaves what others have put there', () => {
    const folder = mkdtempSync(join(tmpdir(), 'kwsi-cni-'));
    try {
      const confDir = join(folder, 'net.d');
      const binDir = join(folder, 'bin');
      for (const each of [confDir, binDir]) mkdirSync(each);
      writeFileSync(join(confDir, '05-calico.conflist'), '{}');
      writeFileSync(join(confDir, 'calico-kubeconfig'), 'x');
      writeFileSync(join(binDir, 'bridge'), 'x');
      const executable = join(folder, 'kilowire-cni');
      writeFileSync(executable, '#!/bin/sh\n', { mode: 0o755 });
      const conflist = { name: 'kilowire', text: '{}' };
      for (const step of planInstallation({ binDir, confDir, executable, conflist, force: false }))
        step.run();
      expect(readdirSync(confDir).toSorted()).toEqual([
        '05-calico.conflist',
        '10-kilowire.conflist',
        'calico-kubeconfig',
      ]);
      expect(readdirSync(binDir)).toContain('bridge');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('kilo §10.4.24: handshakes and bytes of every tunnel are metrics, and the health knows a pass that hangs', async () => {
    const simulation = await meshOf();
    const { host } = memberOf(simulation, 'n0000');
    const text = tunnelMetrics('kilo0', await host.device.control.read(), host.topology);
    const key = memberOf(simulation, 'n0001').attachment.key;
    const labels = `{interface="kilo0",public_key="${key}",friendly_name="n0001"}`;
    const withCalicos = labels.replace(
      '}',
      `,hostname="n0000",peer_key="${key}",peer_endpoint="198.18.0.1:51820"}`,
    );
    expect(text).toContain(
      `wireguard_latest_handshake_seconds${withCalicos} ${Math.floor(simulation.time.now / 1000)}\n`,
    );
    expect(text).toContain(`wireguard_received_bytes_total${labels} 0\n`);
    expect(text).toContain(`wireguard_sent_bytes_total${labels} 0\n`);

    let now = 0;
    const watch = new PassWatch({ monotonic: () => now });
    const { promise, resolve } = Promise.withResolvers<void>();
    const pass = watch.during(() => promise);
    now = 60_000;
    expect(watch.whyUnwell()).toBeNull();
    now = 200_000;
    expect(watch.whyUnwell()).toBe('The pass that began 200 s ago has not ended.');
    resolve();
    await pass;
    expect(watch.whyUnwell()).toBeNull();
  });
});
