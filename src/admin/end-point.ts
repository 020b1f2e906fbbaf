/**
 * What a person may call one end of a conversation: a pod, a node, a Peer or an address; found in the cluster.
 * @module
 */
import type { KubernetesClient } from '../agent/kubernetes/client.ts';
import { isKubernetesError } from '../agent/kubernetes/kubernetes-error.ts';
import { PODS, type PodResource } from '../agent/kubernetes/resources.ts';
import { type Address, contains, formatAddress, parseAddress, sameAddress } from '../noise/ip.ts';
import { nthAddress } from '../routing/ip-prefix.ts';
import { podCIDROf, privateAddressOf } from '../routing/node.ts';
import type { Topology } from '../routing/topology.ts';
import { AdminError } from './admin-error.ts';

export interface EndPoint {
  /** For people: `pod default/web-0`, `node aws-1`. */
  readonly words: string;
  readonly address: Address;
  /** Where its packets start; null: it is no part of the mesh. */
  readonly origin: { readonly kind: 'node' | 'peer'; readonly name: string } | null;
}

export type PodFinder = (namespace: string, name: string) => Promise<PodResource | null>;

/** Null where there is no such pod. */
export const podFinder =
  (client: KubernetesClient): PodFinder =>
  async (namespace, name) => {
    try {
      return await client.get(PODS, name, namespace);
    } catch (error) {
      if (isKubernetesError(error, 'ERR_KUBERNETES_NOT_FOUND')) return null;
      throw error;
    }
  };

/** @throws AdminError when nothing has that name. */
export const findEndPoint = async (
  text: string,
  topology: Topology,
  findPod: PodFinder,
  namespace: string,
): Promise<EndPoint> => {
  const address = parseAddress(text);
  if (address !== null) return ofAddress(address, topology);
  if (text.includes('/')) {
    const [space = '', name = ''] = text.split('/');
    return ofPod(await findPod(space, name), text);
  }
  const node = nodeNamed(text, topology);
  if (node !== null) return node;
  const peer = peerNamed(text, topology);
  if (peer !== null) return peer;
  return ofPod(await findPod(namespace, text), `${namespace}/${text}`);
};

const nodeNamed = (name: string, { segments }: Topology): EndPoint | null => {
  for (const segment of segments) {
    const member = segment.members.find((each) => each.name === name);
    if (member === undefined) continue;
    const address =
      privateAddressOf(member) ??
      (segment.leader === member ? segment.wireguardIP : nthAddress(podCIDROf(member), 1));
    if (address === null) continue;
    return { words: `node ${name}`, address, origin: { kind: 'node', name } };
  }
  return null;
};

const peerNamed = (name: string, { peers }: Topology): EndPoint | null => {
  const peer = peers.find((each) => each.name === name);
  const address = peer?.allowedIPs[0]?.address;
  return address === undefined ? null : { words: `peer ${name}`, address, origin: { kind: 'peer', name } };
};

const ofPod = (pod: PodResource | null, name: string): EndPoint => {
  if (pod === null) {
    throw new AdminError(
      'ERR_ADMIN_UNKNOWN',
      `Nothing is called "${name}": give a pod (namespace/name), a node, a Peer or an address.`,
    );
  }
  const address = parseAddress(pod.status?.podIP ?? '');
  const node = pod.spec?.nodeName;
  if (address === null || node === undefined) {
    throw new AdminError(
      'ERR_ADMIN_UNKNOWN',
      `The pod ${name} has no ${node === undefined ? 'node' : 'address'} yet (${pod.status?.phase ?? 'no phase'}).`,
    );
  }
  const kind = pod.spec?.hostNetwork === true ? 'host-network pod' : 'pod';
  return { words: `${kind} ${name}`, address, origin: { kind: 'node', name: node } };
};

const ofAddress = (address: Address, { segments, peers }: Topology): EndPoint => {
  const text = formatAddress(address);
  for (const segment of segments) {
    for (const member of segment.members) {
      const { name } = member;
      const origin = { kind: 'node', name } as const;
      const own = privateAddressOf(member);
      if (own !== null && sameAddress(own, address))
        return { words: `${text} (node ${name})`, address, origin };
      if (member.podCIDRs.some((range) => contains(range, address)))
        return { words: `${text} (a pod of node ${name})`, address, origin };
    }
    const { name } = segment.leader;
    if (sameAddress(segment.wireguardIP, address))
      return { words: `${text} (the mesh address of ${name})`, address, origin: { kind: 'node', name } };
  }
  for (const { name, allowedIPs } of peers)
    if (allowedIPs.some((range) => contains(range, address)))
      return { words: `${text} (peer ${name})`, address, origin: { kind: 'peer', name } };
  for (const { location, leader, allowedLocationIPs } of segments)
    if (allowedLocationIPs.some((range) => contains(range, address)))
      return { words: `${text} (behind ${location})`, address, origin: { kind: 'node', name: leader.name } };
  return { words: `${text} (outside the mesh)`, address, origin: null };
};
