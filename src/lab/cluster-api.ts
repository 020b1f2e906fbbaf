/**
 * The lab's Kubernetes: an API server at a public address, with the Nodes as kubelets register them and a user has annotated
 * them for Kilo, and the laptop as a Peer.
 * Source: kilo.md §2.1 (annotations), §3 (Peer); the article "How to Build a Multi-Cloud k3s Cluster with WireGuard and Kilo
 * CNI" for location and force-endpoint.
 * @module
 */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  DEFAULT_TOPOLOGY_LABEL,
  FORCE_ENDPOINT,
  LOCATION,
  PERSISTENT_KEEPALIVE,
} from '../agent/annotations.ts';
import { ApiServer } from '../agent/api-server/api-server.ts';
import type { NodeResource, PeerResource } from '../agent/kubernetes/resources.ts';
import { PEER_DEFINITION } from '../agent/peer-definition.ts';
import { selfSigned } from './certificate.ts';
import { bindStream } from './namespace-sockets.ts';
import { API, type LabPlan, LISTEN_PORT, NAT_KEEPALIVE, type NodePlan, nodesOf, WAN_NETNS } from './plan.ts';

/** What its certificate says. */
export const SERVER_NAME = 'kubernetes';

/** For agents, and for whoever wants to look: kubectl, kgctl. */
export const kubeconfigPath = (runDirectory: string): string => join(runDirectory, 'kubeconfig');

export const nodeObject = (node: NodePlan): NodeResource => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: {
    name: node.name,
    labels: { 'kubernetes.io/hostname': node.name, [DEFAULT_TOPOLOGY_LABEL]: node.cloud },
    annotations: {
      [LOCATION]: node.cloud,
      // One that only has its router's address is found by its keepalives.
      ...(node.publicIP === null ? {} : { [FORCE_ENDPOINT]: `${node.publicIP}:${LISTEN_PORT}` }),
      ...(node.keepalive === 0 ? {} : { [PERSISTENT_KEEPALIVE]: String(node.keepalive) }),
    },
  },
  spec: { podCIDR: node.podCIDR, podCIDRs: [node.podCIDR] },
  status: {
    addresses: [
      { type: 'InternalIP', address: node.privateIP },
      ...(node.publicIP === null ? [] : [{ type: 'ExternalIP', address: node.publicIP }]),
      { type: 'Hostname', address: node.name },
    ],
  },
});

export const laptopObject = ({ laptop }: LabPlan, publicKey: string): PeerResource => ({
  apiVersion: 'kilo.squat.ai/v1alpha1',
  kind: 'Peer',
  metadata: { name: laptop.name },
  spec: { publicKey, allowedIPs: [`${laptop.ip}/32`], persistentKeepalive: NAT_KEEPALIVE },
});

const base64 = (text: string): string => Buffer.from(text).toString('base64');

const kubeconfig = (authority: string, token: string): string => `apiVersion: v1
kind: Config
current-context: lab
clusters:
- name: lab
  cluster:
    server: https://${API.ip}:${API.port}
    certificate-authority-data: ${base64(authority)}
users:
- name: admin
  user:
    token: ${token}
contexts:
- name: lab
  context: {cluster: lab, user: admin}
`;

/** Serves it in the wan, and says in the run directory how to reach it. */
export async function serveClusterApi(plan: LabPlan, laptopKey: string, runDirectory: string): Promise<void> {
  const tls = selfSigned(SERVER_NAME, API.ip, Date.now());
  const token = randomBytes(32).toString('hex');
  const server = new ApiServer({ tls, token });
  server.create('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', PEER_DEFINITION);
  for (const node of nodesOf(plan)) server.create('/api/v1/nodes', nodeObject(node));
  server.create('/apis/kilo.squat.ai/v1alpha1/peers', laptopObject(plan, laptopKey));
  writeFileSync(kubeconfigPath(runDirectory), kubeconfig(tls.certificate, token), { mode: 0o600 });
  await server.listenOn(bindStream(WAN_NETNS, API.ip, API.port));
}
