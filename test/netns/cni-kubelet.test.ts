/**
 * Kubelets of a real Kubernetes call the executable, on two nodes laid out as k3s does it, with Debian's containerd and
 * with the newest: 64 pods up and down, what a kubelet does when a sandbox, a containerd or a node dies, a Service
 * of kube-proxy's. Nothing may be left.
 * @module
 */
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { buildKubernetes } from '../kube/binaries.ts';
import { clusterObstacle, KubeCluster, type KubeNode } from '../kube/cluster.ts';
import {
  addressOf,
  clear,
  installKilowire,
  leases,
  nothing,
  ofNode,
  readyPods,
  unreachable,
  webPod,
} from '../kube/kilowire-pods.ts';
import type { KubeObject } from '../kube/kubectl.ts';
import { root } from './host.ts';
import { newestContainerd } from './toolchains.ts';

const obstacle = clusterObstacle();
if (obstacle !== undefined) console.log(`skipping Kubernetes: ${obstacle}`);
const binaries = obstacle === undefined ? await buildKubernetes() : undefined;
const newest = binaries === undefined ? undefined : await newestContainerd();

const runtimes: { name: string; containerd?: string; proxy: 'iptables' | 'nftables' }[] = [
  { name: "with this machine's containerd, kube-proxy by iptables", proxy: 'iptables' },
  ...(newest === undefined
    ? []
    : [
        { name: 'with containerd 2, kube-proxy by nftables', containerd: newest, proxy: 'nftables' as const },
      ]),
];

const restarts = ({ status }: KubeObject): number => status.containerStatuses?.[0]?.restartCount ?? 0;
const ask = (address: string): string[] => ['curl', '-s', '-m', '5', `http://${address}/cgi-bin/name`];
const pods = (node: KubeNode, count: number, prefix = 'p'): object[] =>
  Array.from({ length: count }, (_, index) => webPod(`${node.name}-${prefix}${index}`, node.name));

const cases = runtimes.map((runtime) => [runtime.name, runtime] as const);

describe.skipIf(binaries === undefined).each(cases)('kubelets %s', (_, { containerd, proxy }) => {
  let cluster: KubeCluster;
  let server: KubeNode;
  let agent: KubeNode;
  beforeAll(async () => {
    if (binaries === undefined) return;
    const runtime = containerd === undefined ? {} : { containerd };
    cluster = await KubeCluster.start({ binaries, nodes: 2, proxy, installCni: installKilowire, ...runtime });
    [server, agent] = [cluster.node(0), cluster.node(1)];
  });
  afterAll(() => cluster?.stop());
  // What a test that failed has left.
  afterEach(async ({ task }) => {
    if (task.result?.state !== 'fail') return;
    await cluster.kubectl('delete', 'service', 'web', '--ignore-not-found');
    await clear(cluster);
  });

  /** Every address once, and each node's leases are its pods'. */
  function expectLeases(all: readonly KubeObject[]): void {
    expect(new Set(all.map(addressOf)).size).toBe(all.length);
    for (const node of cluster.nodes)
      expect([...leases(node)].sort()).toEqual(ofNode(all, node).map(addressOf).sort());
  }

  test('take 64 pods up, which all reach each other, and down without a trace', async () => {
    await cluster.apply(cluster.nodes.flatMap((node) => pods(node, 32)));
    const all = await readyPods(cluster, 64);
    expectLeases(all);
    for (const node of cluster.nodes) expect(await unreachable(cluster, ofNode(all, node)[0]!, all)).toBe('');
    expect(await cluster.kubectl('exec', 'n1-p7', '--', 'hostname')).toBe('n1-p7\n');
    expect(await clear(cluster)).toEqual([nothing, nothing]);
  });

  test("host ports and kube-proxy's Services answer side by side", async () => {
    const service = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web' },
      spec: { selector: { app: 'web', node: 'n1' }, ports: [{ port: 80 }], clusterIP: '10.43.0.80' },
    };
    const host = cluster.nodes.map(({ name }) => webPod(`${name}-host`, name, 8080));
    await cluster.apply([service, ...host]);
    const all = await readyPods(cluster, 2);
    for (const node of cluster.nodes) {
      const port = `${node.machine.address}:8080`;
      expect(await cluster.inNode(1 - node.index, ...ask(port))).toContain(`${node.name}-host`);
      for (const pod of all) expect(await cluster.inPod(pod, ...ask(port))).toContain(`${node.name}-host`);
    }
    // From either node, from a pod elsewhere, and from the pod that answers itself.
    await cluster.until('the service', async () => (await cluster.inNode(0, ...ask('10.43.0.80'))) !== '');
    for (const pod of all) expect(await cluster.inPod(pod, ...ask('10.43.0.80'))).toContain('n1-host');
    expect(await clear(cluster)).toEqual([nothing, nothing]);
    await expect(cluster.inNode(0, ...ask(`${agent.machine.address}:8080`))).rejects.toThrow();
    await cluster.kubectl('delete', 'service', 'web');
  });

  test('replace a sandbox whose pause process was killed', async () => {
    await cluster.apply(pods(agent, 3));
    await readyPods(cluster, 3);
    // Sandboxes and containers are tasks side by side; the sandboxes sleep.
    const kill =
      'for p in $(pgrep -x sleep); do [ "$(tr "\\0" " " < /proc/$p/cmdline)" != "sleep 3600 " ] && kill -9 $p; done';
    await cluster.inNode(1, 'sh', '-c', kill);
    let all: readonly KubeObject[] = [];
    await cluster.until('all to start again', async () => {
      all = await readyPods(cluster, 3);
      return all.every((pod) => restarts(pod) > 0);
    });
    expectLeases(all);
    expect(await unreachable(cluster, all[0]!, all)).toBe('');
    expect(await clear(cluster)).toEqual([nothing, nothing]);
  });

  test('start pods through the death of containerd and of the kubelet; what was forgotten goes by gc', async () => {
    await cluster.apply(pods(agent, 20));
    await cluster.until('the first of them', async () => leases(agent).length > 4);
    await agent.machine.end('containerd', 'KILL');
    await agent.machine.end('kubelet', 'KILL');
    await cluster.restart(1);
    const all = await readyPods(cluster, 20);
    expect(new Set(all.map(addressOf)).size).toBe(20);
    expect(await unreachable(cluster, all[0]!, all)).toBe('');
    // containerd forgets a sandbox whose network it had not finished.
    await cluster.inNode(1, join(root, 'bin/kilowire'), 'cni', 'gc', '--grace', '0');
    expectLeases(all);
    expect(await unreachable(cluster, all[0]!, all)).toBe('');
    // It forgets that sandbox's namespace too, which is its own affair, and gone with the next boot.
    const left = await clear(cluster, ({ leases: held }) => held.length === 0);
    expect(left).toEqual([nothing, { ...nothing, namespaces: expect.any(Array) }]);
  });

  test.each([
    { what: 'an agent, without power', index: 1, how: 'crash' as const },
    { what: 'an agent, when told to', index: 1, how: 'orderly' as const },
    { what: 'the server, without power', index: 0, how: 'crash' as const },
  ])('have the pods back after a reboot: $what', async ({ index, how }) => {
    const node = cluster.node(index);
    await cluster.apply(cluster.nodes.flatMap((each) => pods(each, 8)));
    await readyPods(cluster, 16);
    await cluster.reboot(index, how);
    let all: readonly KubeObject[] = [];
    await cluster.until('the pods to be started again', async () => {
      all = await readyPods(cluster, 16);
      return ofNode(all, node).every((pod) => restarts(pod) > 0);
    });
    expectLeases(all);
    for (const each of [server, agent])
      expect(await unreachable(cluster, ofNode(all, each)[0]!, all)).toBe('');
    expect(await clear(cluster)).toEqual([nothing, nothing]);
  });
});
