/**
 * What the lab tells about itself: the JSON document of `--json`, whose shape other programs rely on, and its making from
 * plan, record and check results.
 * @module
 */
import { type LabPlan, LISTEN_PORT, type NodePlan } from './plan.ts';
import type { LabState } from './state.ts';

export interface CheckResult {
  readonly name: string;
  readonly ok: boolean;
  /** One sentence: what was found, and for a failure between whom. */
  readonly detail: string;
}

export interface LabReport {
  readonly clouds: readonly {
    readonly name: string;
    readonly nodes: readonly {
      readonly name: string;
      readonly netns: string;
      readonly podCIDR: string;
      /** null: not the leader of its location, so it has none. */
      readonly wireguardIP: string | null;
      readonly publicKey: string;
      readonly endpoint: string;
      readonly pods: readonly { readonly name: string; readonly netns: string; readonly ip: string }[];
    }[];
  }[];
  readonly clients: readonly { readonly name: string; readonly netns: string; readonly ip: string }[];
  readonly services: readonly {
    readonly name: string;
    readonly ip: string;
    readonly port: number;
    readonly dns: string;
  }[];
  readonly checks: readonly CheckResult[];
  readonly throughputMbps: number | null;
}

/** What a node announces as its endpoint: its public address, or its private one when it has no other (kilo.md §4.5). */
export const endpointOf = (node: NodePlan): string => `${node.publicIP ?? node.privateIP}:${LISTEN_PORT}`;

export const describeLab = (
  plan: LabPlan,
  state: Pick<LabState, 'publicKeys' | 'wireguardIPs' | 'podIPs'>,
  checks: readonly CheckResult[] = [],
  throughputMbps: number | null = null,
): LabReport => ({
  clouds: plan.clouds.map(({ name, nodes }) => ({
    name,
    nodes: nodes.map((node) => ({
      name: node.name,
      netns: node.netns,
      podCIDR: node.podCIDR,
      wireguardIP: state.wireguardIPs[node.name] ?? null,
      publicKey: state.publicKeys[node.name] ?? '',
      endpoint: endpointOf(node),
      pods: node.pods.map((pod) => ({ ...pod, ip: state.podIPs[pod.name] ?? '' })),
    })),
  })),
  clients: [{ name: plan.laptop.name, netns: plan.laptop.netns, ip: plan.laptop.ip }],
  services: [plan.web, plan.dns].map(({ name, ip, port, dns }) => ({ name, ip, port, dns })),
  checks,
  throughputMbps,
});

/** What is told when there is no lab (any more). */
export const emptyReport: LabReport = {
  clouds: [],
  clients: [],
  services: [],
  checks: [],
  throughputMbps: null,
};
