/**
 * Kubelets of a real Kubernetes call the executable, on two nodes laid out as k3s does it: a few pods, a host port, a
 * power cut. The components have to be there already: `npm run test:long` builds them, and runs more of this.
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { builtKubernetes } from '../kube/binaries.ts';
import { clusterObstacle, KubeCluster } from '../kube/cluster.ts';
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

const obstacle = clusterObstacle();
const binaries = obstacle === undefined ? builtKubernetes() : undefined;
if (obstacle !== undefined) console.log(`skipping Kubernetes: ${obstacle}`);
else if (binaries === undefined)
  console.log('skipping Kubernetes: it is not built yet (npm run test:long does, with Go)');

describe.skipIf(binaries === undefined)('two kubelets', () => {
  let cluster: KubeCluster;
  beforeAll(async () => {
    if (binaries !== undefined)
      cluster = await KubeCluster.start({ binaries, nodes: 2, installCni: installKilowire });
  });
  afterAll(() => cluster?.stop());

  test('have pods that reach each other, also after a power cut, and leave nothing', async () => {
    const pods = cluster.nodes.flatMap(({ name }) =>
      ['a', 'b', 'c'].map((letter) => webPod(`${name}${letter}`, name, letter === 'a' ? 8080 : undefined)),
    );
    await cluster.apply(pods);
    const before = await readyPods(cluster, pods.length);
    const [server, agent] = [cluster.node(0), cluster.node(1)];
    expect(await unreachable(cluster, ofNode(before, server)[0]!, before)).toBe('');
    const ask = ['curl', '-s', '-m', '5', `http://${agent.machine.address}:8080/cgi-bin/name`];
    expect((await cluster.inNode(0, ...ask)).trim()).toBe('n1a');

    await cluster.reboot(1, 'crash');
    // The API still shows the pods as they were; they are back when each has started once more.
    let after = before;
    await cluster.until('the pods to be started again', async () => {
      after = await readyPods(cluster, pods.length);
      return ofNode(after, agent).every(
        ({ status }) => (status.containerStatuses?.[0]?.restartCount ?? 0) > 0,
      );
    });
    expect([...leases(agent)].sort()).toEqual(ofNode(after, agent).map(addressOf).sort());
    expect(await unreachable(cluster, ofNode(after, server)[0]!, after)).toBe('');
    expect((await cluster.inNode(0, ...ask)).trim()).toBe('n1a');

    expect(await clear(cluster)).toEqual([nothing, nothing]);
  });
});
