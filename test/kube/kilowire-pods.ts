/**
 * Our plugin on the nodes of a cluster, pods on its network, and what they could leave behind.
 * @module
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../netns/host.ts';
import type { KubeCluster, KubeNode } from './cluster.ts';
import { isTrue, type KubeObject } from './kubectl.ts';
import { image, webCommand } from './layout.ts';

const network = 'kilowire';

/** As a person does: the command reads the runtime's folders from the configuration of containerd, where k3s has it. */
export async function installKilowire({ machine, podCIDRs }: KubeNode): Promise<void> {
  const subnets = podCIDRs.flatMap((network) => ['--subnet', network]);
  await machine.exec(join(root, 'bin/kilowire'), 'cni', 'install', ...subnets, '--name', network);
}

/** A pod that serves its name by HTTP; its node is `node`, whatever the scheduler thinks. */
export function webPod(name: string, node: string, hostPort?: number): object {
  const ports = hostPort === undefined ? [] : [{ containerPort: 80, hostPort }];
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: 'web', node } },
    spec: {
      nodeName: node,
      terminationGracePeriodSeconds: 1,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      containers: [{ name: 'web', image, imagePullPolicy: 'Never', command: webCommand, ports }],
    },
  };
}

export const isReady = (pod: KubeObject): boolean => isTrue(pod, 'Ready');

/** The pods, once all of them are ready with an address each of their node's network. */
export async function readyPods(cluster: KubeCluster, count: number): Promise<readonly KubeObject[]> {
  let pods: readonly KubeObject[] = [];
  await cluster.until(
    `${count} pods to be ready`,
    async () => {
      pods = await cluster.list('pods');
      return pods.length === count && pods.every(isReady);
    },
    240_000,
  );
  return pods;
}

export const ofNode = (pods: readonly KubeObject[], node: KubeNode): readonly KubeObject[] =>
  pods.filter(({ spec }) => spec.nodeName === node.name);

export const addressOf = ({ status }: KubeObject): string => status.podIP ?? 'none';

/** Which of the addresses do not answer a ping from a pod; a lost first packet is no matter. */
export async function unreachable(
  cluster: KubeCluster,
  from: KubeObject,
  to: readonly KubeObject[],
): Promise<string> {
  const script = 'for a; do { ping -q -c 2 -i 0.2 -w 10 $a >/dev/null || echo $a; } & done; wait';
  return (await cluster.inPod(from, 'sh', '-c', script, 'sh', ...to.map(addressOf))).trim();
}

const names = (path: string): readonly string[] => (existsSync(path) ? readdirSync(path) : []);

/** The addresses that are given out on a node. */
export const leases = ({ machine }: KubeNode): readonly string[] =>
  names(machine.disk(`/var/lib/cni/networks/${network}`)).filter((name) => /^[\da-f.:]+$/.test(name));

/** What a pod, or a plugin, could leave on a node; the last is the runtime's own. */
export function leftovers(node: KubeNode): Leftovers {
  const { machine } = node;
  const ports = machine.net('ip', '-o', 'link', 'show', 'type', 'veth');
  const tables = machine.net('nft', 'list', 'tables');
  return {
    veths: [...ports.matchAll(/^\d+: ([^:@]+)/gm)]
      .map(([, name = '']) => name)
      .filter((name) => name !== 'eth0'),
    leases: leases(node),
    records: names(machine.disk(`/var/lib/cni/kilowire/${network}`)),
    tables: tables.split('\n').filter((line) => line.includes('kilowire')),
    namespaces: names(machine.path('/run/netns')),
  };
}

export type Leftovers = Readonly<
  Record<'veths' | 'leases' | 'records' | 'tables' | 'namespaces', readonly string[]>
>;

export const nothing: Leftovers = { veths: [], leases: [], records: [], tables: [], namespaces: [] };

/** Takes all pods away, and answers what is left once `isClear`, or after a minute. */
export async function clear(
  cluster: KubeCluster,
  isClear = (left: Leftovers): boolean => Object.values(left).flat().length === 0,
): Promise<readonly Leftovers[]> {
  await cluster.kubectl('delete', 'pods', '--all', '--wait=false');
  await cluster.until('the pods to go', async () => (await cluster.list('pods')).length === 0, 240_000);
  const areClear = async () => cluster.nodes.map(leftovers).every(isClear);
  await cluster.until('nothing to be left', areClear, 60_000).catch(() => undefined);
  return cluster.nodes.map(leftovers);
}
