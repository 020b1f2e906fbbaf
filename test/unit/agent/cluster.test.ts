/**
 * Which words of the API are news: a heart-beat alone is none, and what came once is not told again.
 * @module
 */
import { afterEach, describe, expect, it } from 'vitest';
import { ApiServer } from '../../../src/agent/api-server/api-server.ts';
import { Cluster } from '../../../src/agent/cluster.ts';
import { KubernetesClient } from '../../../src/agent/kubernetes/client.ts';
import { PEER_DEFINITION } from '../../../src/agent/peer-definition.ts';
import { formatCidr } from '../../../src/noise/ip.ts';

const KEY = 'yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=';
const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

const node = (name: string, annotations: Record<string, string>) => ({
  metadata: {
    name,
    annotations: Object.fromEntries(
      Object.entries({ endpoint: '10.0.0.1:51820', key: KEY, 'last-seen': '1', ...annotations }).map(
        ([key, text]) => [`kilo.squat.ai/${key}`, text],
      ),
    ),
  },
  spec: { podCIDR: '10.42.0.0/24' },
});

const start = async () => {
  const server = new ApiServer();
  server.store.put('nodes', 'a', node('a', {}));
  server.store.put('nodes', 'b', node('b', {}));
  const at = await server.listen();
  const client = new KubernetesClient({ server: at, credentials: async () => ({}) });
  const seen = { changes: 0, contacts: 0 };
  const cluster = new Cluster({
    client,
    hostname: 'a',
    topologyLabel: 'region',
    onChange: () => seen.changes++,
    onContact: () => seen.contacts++,
    onError: () => {},
  });
  const abort = new AbortController();
  const done = cluster.run(abort.signal);
  endings.push(
    () => server.close(),
    () => client.close(),
    () => {
      abort.abort();
      return done;
    },
  );
  await until(() => cluster.synced);
  const put = async (annotations: Record<string, string>, name = 'b'): Promise<void> => {
    const before = seen.contacts;
    server.store.put('nodes', name, node(name, annotations));
    await until(() => seen.contacts > before);
  };
  seen.changes = 0;
  return { cluster, seen, put, server, origin: at.origin };
};

const until = async (isSo: () => boolean): Promise<void> => {
  for (let i = 0; !isSo(); i++) {
    if (i > 500) throw new Error('waited in vain');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};

describe('a cluster', () => {
  it('does not call a heart-beat of a member news', async () => {
    const { cluster, seen, put } = await start();
    cluster.tookPart(new Set(['a', 'b']));
    await put({ 'last-seen': '2', 'wireguard-ip': '10.4.0.2/16' });
    expect(seen.changes).toBe(0);
    expect(cluster.others[0]?.lastSeen).toBe(2);
  });

  it('calls it news of one that was left out, unless more than a heart-beat is missing', async () => {
    const { cluster, seen, put } = await start();
    cluster.tookPart(new Set(['a']));
    await put({ 'last-seen': '2' });
    expect(seen.changes).toBe(1);
    await put({ 'last-seen': '3', endpoint: '' });
    expect(seen.changes).toBe(2); // the endpoint went
    await put({ 'last-seen': '4', endpoint: '' });
    expect(seen.changes).toBe(2);
  });

  it('does not ask for pass after pass while the own node cannot take part', async () => {
    const { seen, put } = await start();
    await put({ 'last-seen': '2' });
    await put({ 'last-seen': '3' });
    expect(seen.changes).toBe(0);
  });

  it('calls everything else news', async () => {
    const { cluster, seen, put } = await start();
    cluster.tookPart(new Set(['a', 'b']));
    await put({ location: 'eu' });
    await put({ location: 'eu', leader: '' });
    await put({ location: 'eu', leader: '', 'discovered-endpoints': '{}' });
    expect(seen.changes).toBe(3);
  });

  it('says who is late as soon as it is, also when a clock was put back', async () => {
    const { cluster, put } = await start();
    cluster.tookPart(new Set(['a', 'b']));
    const late = (now: number): string[] => cluster.lateAt(now).map(({ name }) => name);
    await put({ 'last-seen': '1000' });
    expect([late(1059), late(1060)]).toEqual([[], ['b']]);
    await put({ 'last-seen': '1060' });
    expect([late(1061), late(1119), late(1120)]).toEqual([[], [], ['b']]);
    await put({ 'last-seen': '1120' });
    expect(late(1121)).toEqual([]);
    await put({ 'last-seen': '1050' });
    expect(late(1122)).toEqual(['b']);
    cluster.tookPart(new Set(['a']));
    expect(late(1122)).toEqual([]);
  });

  it('hears abilities with the heart-beat they came with, and with no other', async () => {
    const { cluster, seen, server } = await start();
    const say = async (lastSeen: string, abilities: string): Promise<string[]> => {
      const before = seen.contacts;
      const { metadata, spec } = node('b', { 'last-seen': lastSeen });
      const annotations = { ...metadata.annotations, 'kilowire.dev/abilities': abilities };
      server.store.put('nodes', 'b', { metadata: { ...metadata, annotations }, spec });
      await until(() => seen.contacts > before);
      return [...(cluster.others[0]?.abilities ?? [])];
    };
    cluster.tookPart(new Set(['a', 'b']));
    expect(await say('2', '2 kilowire leases')).toEqual(['kilowire', 'leases']);
    seen.changes = 0;
    expect(await say('3', '3 kilowire leases')).toEqual(['kilowire', 'leases']);
    expect(seen.changes).toBe(0);
    expect(await say('4', '3 kilowire leases')).toEqual([]); // Kilo's agent has written last
    expect(seen.changes).toBe(1);
    expect(await say('5', '3 kilowire leases')).toEqual([]);
    expect(seen.changes).toBe(1);
    expect(await say('6', '6 kilowire')).toEqual(['kilowire']);
    expect(seen.changes).toBe(2);
  });

  it('keeps of its own node what it said', async () => {
    const { cluster, put } = await start();
    await put({ location: 'eu' }, 'a');
    expect(cluster.own?.annotations['kilo.squat.ai/location']).toBe('eu');
    expect(cluster.others.map(({ name }) => name)).toEqual(['b']);
  });
});

describe('Peers on terms', () => {
  const NOW = 1_795_262_400; // 2026-11-21T12:00:00Z
  const withPeers = async (...peers: [name: string, annotations: Record<string, string>][]) => {
    const { cluster, server, origin } = await start();
    await fetch(`${origin}/apis/apiextensions.k8s.io/v1/customresourcedefinitions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(PEER_DEFINITION),
    });
    for (const [at, [name, annotations]] of peers.entries())
      server.store.put('peers.kilo.squat.ai', name, {
        apiVersion: 'kilo.squat.ai/v1alpha1',
        kind: 'Peer',
        metadata: { name, annotations },
        spec: { allowedIPs: [`10.5.0.${at + 1}/32`], publicKey: `${String(at).repeat(42)}E=` },
      });
    await until(() => cluster.peersAt(0).length + cluster.faults.length > 0);
    return { cluster, server };
  };
  const names = (cluster: Cluster, now: number): string[] => cluster.peersAt(now).map(({ name }) => name);

  it('take part while they are enabled, and until they end', async () => {
    const { cluster } = await withPeers(
      ['disabled', { 'kilowire.dev/enabled': 'false' }],
      ['guest', { 'kilowire.dev/expires': '2026-11-21T12:00:00Z' }],
      ['laptop', {}],
    );
    await until(() => names(cluster, NOW).length > 0);
    expect(names(cluster, NOW - 1)).toEqual(['guest', 'laptop']);
    expect(names(cluster, NOW)).toEqual(['laptop']);
  });

  it('may send to a service by its address of the moment, and to nothing when there is none', async () => {
    const { cluster, server } = await withPeers([
      'guest',
      { 'kilowire.dev/allow': 'default/web,10.42.0.0/16' },
    ]);
    const allowed = () => cluster.peersAt(NOW)[0]?.allow?.map(formatCidr);
    await until(() => cluster.faults.some(({ message }) => message.includes('there is no such Service')));
    expect(allowed()).toEqual(['10.42.0.0/16']);
    const put = (spec: object) =>
      server.store.put('services', 'default/web', {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'web', namespace: 'default' },
        spec,
      } as never);
    put({ clusterIP: '10.43.0.80', clusterIPs: ['10.43.0.80', 'fd43::80'] });
    await until(() => allowed()?.length === 3);
    expect(allowed()).toEqual(['10.43.0.80/32', 'fd43::80/128', '10.42.0.0/16']);
    expect(cluster.faults).toEqual([]);
    put({ clusterIP: 'None', clusterIPs: ['None'] });
    await until(() => allowed()?.length === 1);
    expect(cluster.faults[0]?.message).toContain('it is headless');
    server.store.delete('services', 'default/web');
    await until(() => cluster.faults.some(({ message }) => message.includes('there is no such Service')));
  });
});
