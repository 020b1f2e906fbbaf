/**
 * Kubelets of a real Kubernetes with IPv4 and IPv6: every pod has an address of each, both are reached from the other
 * node, and both are given back.
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildKubernetes } from '../kube/binaries.ts';
import { clusterObstacle, KubeCluster } from '../kube/cluster.ts';
import { clear, installKilowire, leases, nothing, ofNode, readyPods, webPod } from '../kube/kilowire-pods.ts';
import type { KubeObject } from '../kube/kubectl.ts';

const obstacle = clusterObstacle();
if (obstacle !== undefined) console.log(`skipping Kubernetes: ${obstacle}`);
const binaries = obstacle === undefined ? await buildKubernetes() : undefined;

const addresses = ({ status }: KubeObject): string[] => (status.podIPs ?? []).map(({ ip }) => ip);

describe.skipIf(binaries === undefined)('kubelets with both families', () => {
  let cluster: KubeCluster;
  beforeAll(async () => {
    if (binaries !== undefined)
      cluster = await KubeCluster.start({ binaries, nodes: 2, dualStack: true, installCni: installKilowire });
  });
  afterAll(() => cluster?.stop());

  test('have pods that answer by both, also at a host port, also after a power cut', async () => {
    await cluster.apply(
      cluster.nodes.flatMap(({ name }) => [webPod(`${name}a`, name, 8080), webPod(`${name}b`, name)]),
    );
    let pods = await readyPods(cluster, 4);
    const [server, agent] = [cluster.node(0), cluster.node(1)];

    const expectBoth = async (): Promise<void> => {
      for (const node of cluster.nodes) {
        const held = ofNode(pods, node).flatMap(addresses);
        expect(held.filter((address) => address.includes(':'))).toHaveLength(2);
        expect([...leases(node)].sort()).toEqual(held.sort());
      }
      const client = ofNode(pods, server)[0]!;
      for (const pod of pods)
        for (const address of addresses(pod)) {
          const url = `http://${address.includes(':') ? `[${address}]` : address}/cgi-bin/name`;
          expect((await cluster.inPod(client, 'curl', '-s', '-g', '-m', '5', url)).trim()).toBe(
            pod.metadata.name,
          );
        }
      for (const host of [agent.machine.address, `[${agent.machine.address6}]`]) {
        const url = `http://${host}:8080/cgi-bin/name`;
        expect((await cluster.inNode(0, 'curl', '-s', '-g', '-m', '5', url)).trim()).toBe('n1a');
      }
    };
    await expectBoth();
    await cluster.reboot(1, 'crash');
    await cluster.until('the pods to be started again', async () => {
      pods = await readyPods(cluster, 4);
      return ofNode(pods, agent).every(
        ({ status }) => (status.containerStatuses?.[0]?.restartCount ?? 0) > 0,
      );
    });
    await expectBoth();
    expect(await clear(cluster)).toEqual([nothing, nothing]);
  });
});
