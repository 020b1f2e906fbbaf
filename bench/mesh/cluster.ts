/**
 * Clusters of any size, as the API tells them and as the mesh knows them.
 * @module
 */
import { nodeRecord } from '../../src/agent/annotations.ts';
import type { Stored } from '../../src/agent/api-server/object-store.ts';
import type { NodeResource } from '../../src/agent/kubernetes/resources.ts';
import type { Node } from '../../src/routing/node.ts';

const KILO = 'kilo.squat.ai';

export interface ClusterSize {
  readonly nodes: number;
  readonly locations: number;
}

/** 10.64.0.0/10 has room for 16,384 pod ranges; private and public addresses count along. */
const twoBytes = (number: number): string => `${number >> 8}.${number & 0xff}`;
export const podCIDR = (index: number): string => `10.${64 + (index >> 8)}.${index & 0xff}.0/24`;

/** A node as `kubectl get node -o json` would show it, with the annotations its agent would have written. */
export const nodeResource = (index: number, { locations }: ClusterSize, lastSeen: number): NodeResource => {
  const key = Buffer.alloc(32);
  key.writeUInt32BE(index + 1);
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: `node-${String(index).padStart(5, '0')}`,
      uid: `uid-${index}`,
      labels: { 'kubernetes.io/hostname': `node-${index}`, 'kubernetes.io/os': 'linux' },
      annotations: {
        [`${KILO}/location`]: `location-${index % locations}`,
        [`${KILO}/endpoint`]: `198.18.${twoBytes(index)}:51820`,
        [`${KILO}/internal-ip`]: `172.16.${twoBytes(index)}/32`,
        [`${KILO}/key`]: key.toString('base64'),
        [`${KILO}/last-seen`]: String(lastSeen),
        [`${KILO}/wireguard-ip`]: '',
        [`${KILO}/discovered-endpoints`]: '{}',
        [`${KILO}/granularity`]: 'location',
      },
    },
    spec: { podCIDR: podCIDR(index) },
  };
};

/** A node's heart-beat as kilowire writes it with --heartbeat=lease, by the store's key. */
export const leaseResource = (index: number, now: number): [key: string, lease: Stored] => {
  const holder = `node-${String(index).padStart(5, '0')}`;
  const name = `kilowire-${holder}`;
  const namespace = 'kube-node-lease';
  return [
    `${namespace}/${name}`,
    {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name, namespace, labels: { 'app.kubernetes.io/name': 'kilowire' } },
      spec: {
        holderIdentity: holder,
        leaseDurationSeconds: 60,
        renewTime: new Date(now).toISOString().replace('Z', '000Z'),
      },
    },
  ];
};

export const nodes = (size: ClusterSize, now: number): Node[] =>
  Array.from({ length: size.nodes }, (_, index) => nodeRecord(nodeResource(index, size, now)).node);
