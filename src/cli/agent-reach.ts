/**
 * The flag that says where agents are for who asks them through the API, and what asks them.
 * @module
 */
import { Option } from 'commander';
import type { AgentReach } from '../admin/agent-reach.ts';
import type { KubernetesClient } from '../agent/kubernetes/client.ts';

export interface ReachFlags {
  readonly namespace: string;
}

export const agentNamespaceOption = (): Option =>
  new Option('--namespace <name>', "of the agents' pods").default('kube-system');

export const agentReach = async (
  client: KubernetesClient,
  { namespace }: ReachFlags,
): Promise<AgentReach> => {
  const { AgentProxy } = await import('../admin/agent-proxy.ts');
  const { AgentReach } = await import('../admin/agent-reach.ts');
  return new AgentReach(new AgentProxy({ client, namespace }));
};
