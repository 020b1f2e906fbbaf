/**
 * A real Kubernetes on this machine, laid out as k3s does it: a server, which is also a node, and further nodes, each in
 * namespaces of its own (see machine.ts). It is not k3s: no supervisor, no cloud controller, no tunnel.
 *
 *     const cluster = await KubeCluster.start({ nodes: 2, binaries, installCni: (node) => … });
 *     await cluster.apply([{ apiVersion: 'v1', kind: 'Pod', … }]);
 *     await cluster.reboot(1, 'crash');
 *     await cluster.stop();
 *
 * @module
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeRootfs } from '../netns/cni-lab.ts';
import { has, isRoot } from '../netns/host.ts';
import { makeImage } from '../netns/oci-image.ts';
import { lateness } from '../time-limit.ts';
import type { KubeBinaries } from './binaries.ts';
import { hasControllers } from './cgroups.ts';
import { startApiServer, startControllers, startDatastore } from './control-plane.ts';
import { Credentials, nodeName } from './credentials.ts';
import { isTrue, Kubectl, type KubeObject } from './kubectl.ts';
import { type CniFolders, image, nodeAddress, nodeAddress6, paths } from './layout.ts';
import { Machine, Wan } from './machine.ts';
import {
  type NodePrograms,
  type ProxyMode,
  startContainerd,
  startKubelet,
  startLoadBalancer,
} from './node-programs.ts';

export interface ClusterOptions {
  readonly binaries: KubeBinaries;
  /** With the server, which is the first. */
  readonly nodes: number;
  readonly cni?: CniFolders;
  /** Brings a plugin onto each node's disk, once its pod network is known; without it the nodes stay not ready. */
  readonly installCni?: (node: KubeNode) => Promise<void>;
  readonly proxy?: ProxyMode;
  /** IPv6 beside IPv4. */
  readonly dualStack?: boolean;
  /** Static routes between the pod networks; false where a mesh agent makes them. */
  readonly routes?: boolean;
  readonly apiServerArguments?: readonly string[];
  readonly kubeletArguments?: readonly string[];
  /** Folder of a containerd 2 and its shim; without it the machine's own is taken. */
  readonly containerd?: string;
}

export interface KubeNode {
  readonly index: number;
  readonly name: string;
  readonly machine: Machine;
  readonly podCIDR: string;
  /** One of each family. */
  readonly podCIDRs: readonly string[];
}

/** k3s' own, where flannel's folders are in use. */
export const k3sFolders: CniFolders = {
  executables: '/var/lib/rancher/k3s/data/cni',
  configuration: '/var/lib/rancher/k3s/agent/etc/cni/net.d',
};

const tools = [
  'curl',
  'ping',
  'containerd',
  'ctr',
  'runc',
  'busybox',
  'unshare',
  'nsenter',
  'setpriv',
  'ip',
  'nft',
  'iptables',
];

/** Why a cluster cannot be started here; undefined when nothing is in the way. */
export function clusterObstacle(): string | undefined {
  if (!isRoot) return 'it takes root';
  const missing = tools.filter((name) => !has(name));
  if (missing.length > 0) return `not on this machine: ${missing.join(', ')}`;
  const late = lateness();
  if (late !== undefined) return late;
  return hasControllers() ? undefined : 'the kubelet needs the controllers of cgroups version 1 here';
}

export class KubeCluster {
  readonly #options: ClusterOptions;
  readonly #folder = mkdtempSync(join(tmpdir(), 'kilowire-kube-'));
  readonly #wan = new Wan();
  readonly #machines: readonly Machine[];
  readonly #programs: NodePrograms;
  readonly #kubectl: Kubectl;
  readonly #guests: Machine[] = [];
  #nodes: readonly KubeNode[] = [];

  private constructor(options: ClusterOptions) {
    this.#options = options;
    const rootfs = makeRootfs(this.#folder);
    mkdirSync(join(rootfs, 'www/cgi-bin'), { recursive: true });
    writeFileSync(join(rootfs, 'www/cgi-bin/name'), '#!/bin/sh\necho\nhostname\n', { mode: 0o755 });
    this.#programs = {
      binaries: options.binaries,
      cni: options.cni ?? k3sFolders,
      proxy: options.proxy ?? 'iptables',
      kubeletArguments: options.kubeletArguments ?? [],
      families: options.dualStack === true ? 2 : 1,
      imageArchive: makeImage(this.#folder, rootfs, image, ['/bin/sleep', 'infinity']),
      ...(options.containerd === undefined ? {} : { containerd: options.containerd }),
    };
    const kubeconfig = join(this.#folder, 'admin.kubeconfig');
    this.#kubectl = new Kubectl(() => {
      const server = ['nsenter', '-t', String(this.#machines[0]?.pid), '-n', '--'];
      return [...server, options.binaries.hyperkube, 'kubectl', '--kubeconfig', kubeconfig];
    }, this.#folder);
    const credentials = new Credentials();
    this.#machines = Array.from(
      { length: options.nodes },
      (_, index) => new Machine(this.#folder, nodeName(index), nodeAddress(index), nodeAddress6(index)),
    );
    writeFileSync(kubeconfig, credentials.adminKubeconfig(), { mode: 0o600 });
    this.#machines.forEach((machine, index) => {
      const files = { ...credentials.ofNode(index), ...(index === 0 ? credentials.ofServer() : {}) };
      for (const [path, text] of Object.entries(files)) machine.write(path, text, 0o600);
      machine.write('/var/lib/rancher/k3s/server/db/.keep', '');
    });
  }

  /** Answers when every node is registered, and ready where there is a plugin. */
  static async start(options: ClusterOptions): Promise<KubeCluster> {
    const cluster = new KubeCluster(options);
    try {
      await cluster.#start();
      return cluster;
    } catch (error) {
      const tails = cluster.#machines.flatMap((machine) =>
        ['kine', 'kube-apiserver', 'kube-controller-manager', 'containerd', 'kubelet']
          .map((name) => [name, machine.log(name).trim().split('\n').slice(-4).join('\n')] as const)
          .filter(([, tail]) => tail !== '')
          .map(([name, tail]) => `${machine.name} ${name}: ${tail}`),
      );
      console.log(tails.join('\n'));
      await cluster.stop();
      throw error;
    }
  }

  get nodes(): readonly KubeNode[] {
    return this.#nodes;
  }

  node(index: number): KubeNode {
    const node = this.#nodes[index];
    if (node === undefined) throw new Error(`the cluster has no node ${index}`);
    return node;
  }

  /** As the cluster's administrator. */
  kubectl(...args: readonly string[]): Promise<string> {
    return this.#kubectl.run(args);
  }

  apply(objects: readonly object[]): Promise<void> {
    return this.#kubectl.apply(objects);
  }

  list(...args: readonly string[]): Promise<readonly KubeObject[]> {
    return this.#kubectl.list(...args);
  }

  /** A command in all of a node's namespaces. */
  inNode(index: number, ...command: readonly string[]): Promise<string> {
    return this.node(index).machine.exec(...command);
  }

  /** A command in the network of a pod of this node, with the machine's programs. */
  async inPod(pod: KubeObject, ...command: readonly string[]): Promise<string> {
    const node = this.#nodes.find(({ name }) => name === pod.spec.nodeName);
    if (node === undefined) throw new Error(`${pod.metadata.name} is on no node`);
    const find = `for n in /run/netns/*; do nsenter --net=$n ip -o address | grep -qF " $1/" && shift && exec nsenter --net=$n "$@"; done; exit 1`;
    return await node.machine.exec('sh', '-c', find, 'sh', pod.status.podIP ?? 'no address', ...command);
  }

  /** Looks until it is so; throws with `what` after `timeout` ms. */
  async until(what: string, isSo: () => Promise<boolean>, timeout = 120_000): Promise<void> {
    const end = Date.now() + timeout;
    let reason = '';
    while (true) {
      try {
        if (await isSo()) return;
      } catch (error) {
        reason = error instanceof Error ? `: ${error.message}` : '';
      }
      if (Date.now() > end) throw new Error(`waited ${timeout} ms in vain for: ${what}${reason}`);
      await sleep(300);
    }
  }

  /** Every process, network and memory of the node is lost, its disk stays; answers when the API knows of the new boot. */
  async reboot(index: number, how: 'orderly' | 'crash'): Promise<void> {
    const { machine, name } = this.node(index);
    await machine.halt(how);
    await this.#boot(machine);
    if (index === 0) this.#startControlPlane(machine);
    await this.#startNode(machine);
    if (index === 0) await this.#startControllers(machine);
    this.#addRoutes();
    const bootId = (await machine.exec('cat', '/proc/sys/kernel/random/boot_id')).trim();
    await this.until(`${name} to come back`, async () => {
      const node = (await this.list('nodes')).find(({ metadata }) => metadata.name === name);
      return node?.status.nodeInfo?.bootID === bootId;
    });
    if (this.#options.installCni !== undefined) await this.#untilReady();
  }

  /** Starts containerd, kubelet and kube-proxy of a node where they have ended. */
  async restart(index: number): Promise<void> {
    await this.#startNode(this.node(index).machine);
  }

  /** A machine on the same wire that is no node, with the administrator's kubeconfig where k3s has it. */
  async addGuest(name: string): Promise<Machine> {
    const index = 100 + this.#guests.length;
    const guest = new Machine(this.#folder, name, nodeAddress(index), nodeAddress6(index));
    this.#guests.push(guest);
    const kubeconfig = readFileSync(join(this.#folder, 'admin.kubeconfig'), 'utf8');
    guest.write(paths.adminKubeconfig, kubeconfig.replace('127.0.0.1', nodeAddress(0)), 0o600);
    await guest.boot(this.#wan);
    return guest;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#machines, ...this.#guests].map((machine) => machine.halt('crash')));
    await this.#wan.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #start(): Promise<void> {
    await this.#wan.ready();
    await Promise.all(this.#machines.map((machine) => this.#boot(machine)));
    const [server] = this.#machines;
    if (server === undefined) throw new Error('a cluster has a server');
    this.#startControlPlane(server);
    await Promise.all(this.#machines.map((machine) => this.#startNode(machine)));
    await this.#startControllers(server);
    await this.until('the nodes to have pod networks', () => this.#findNodes());
    // What k3s' cloud controller and agent say of a node.
    for (const { name, machine } of this.#nodes) {
      const address = `k3s.io/internal-ip=${machine.address}`;
      await this.kubectl('annotate', 'node', name, '--overwrite', `k3s.io/hostname=${name}`, address);
    }
    const role = ['node-role.kubernetes.io/control-plane=true', 'node.kubernetes.io/instance-type=k3s'];
    await this.kubectl('label', 'node', nodeName(0), '--overwrite', ...role);
    this.#addRoutes();
    if (this.#options.installCni === undefined) return;
    for (const node of this.#nodes) await this.#options.installCni(node);
    await this.#untilReady();
  }

  async #boot(machine: Machine): Promise<void> {
    await machine.boot(this.#wan);
    // On the server 6444 is the API's own port in k3s.
    startLoadBalancer(machine);
  }

  #startControlPlane(server: Machine): void {
    startDatastore(server, this.#programs.binaries);
    const { binaries, families } = this.#programs;
    startApiServer(server, binaries, families, this.#options.apiServerArguments ?? []);
  }

  async #startControllers(server: Machine): Promise<void> {
    const isReady = async (): Promise<boolean> => (await this.kubectl('get', '--raw', '/readyz')) === 'ok';
    await this.until('the API server', isReady);
    startControllers(server, this.#programs.binaries, this.#programs.families);
  }

  async #startNode(machine: Machine): Promise<void> {
    await startContainerd(machine, this.#programs);
    startKubelet(machine, this.#programs);
  }

  async #findNodes(): Promise<boolean> {
    const known = new Map((await this.list('nodes')).map((node) => [node.metadata.name, node.spec.podCIDRs]));
    this.#nodes = this.#machines.flatMap((machine, index) => {
      const podCIDRs = known.get(machine.name) ?? [];
      const [podCIDR] = podCIDRs;
      return podCIDR === undefined ? [] : [{ index, name: machine.name, machine, podCIDR, podCIDRs }];
    });
    return this.#nodes.length === this.#machines.length;
  }

  async #untilReady(): Promise<void> {
    await this.until('the nodes to be ready', async () =>
      (await this.list('nodes')).every((node) => isTrue(node, 'Ready')),
    );
  }

  #addRoutes(): void {
    if (this.#options.routes === false) return;
    for (const { machine } of this.#nodes)
      for (const other of this.#nodes.filter((each) => each.machine !== machine))
        other.podCIDRs.forEach((network, family) => {
          const { address, address6 } = other.machine;
          machine.net('ip', 'route', 'replace', network, 'via', family === 0 ? address : address6);
        });
  }
}
