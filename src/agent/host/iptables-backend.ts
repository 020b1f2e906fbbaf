/**
 * Which of the two packet filters iptables speaks for: the kernel's nftables or its old tables. All programs of a node must
 * use one, or they do not see each other's rules.
 * Source: iptables-wrappers, which Kilo's and Kubernetes' images run at their start: kubelet's chains tell, and where there
 * are none, whoever has more rules.
 * @module
 */
import { AgentError } from '../agent-error.ts';

/** `plain`: this machine has `iptables` only, whatever that is. */
export type Backend = 'nft' | 'legacy' | 'plain';

/** Runs a program and answers what it prints; ERR_AGENT_NO_PROGRAM when there is none. */
export type Run = (program: string, args: readonly string[]) => Promise<string>;

const KUBELET_CHAIN = /^:(?:KUBE-IPTABLES-HINT|KUBE-KUBELET-CANARY)\b/m;

export const detectBackend = async (run: Run): Promise<Backend> => {
  const listing = async (kind: 'nft' | 'legacy', ...args: string[]): Promise<string | null> => {
    const texts = await Promise.all(
      ['iptables', 'ip6tables'].map(async (name) => {
        try {
          return await run(`${name}-${kind}-save`, args);
        } catch (error) {
          // A kernel without one of them has no rules there.
          return error instanceof AgentError && error.code === 'ERR_AGENT_NO_PROGRAM' ? null : '';
        }
      }),
    );
    return texts[0] === null ? null : texts.join('\n');
  };
  const ofKubelet = await listing('nft', '-t', 'mangle');
  // Asking for a table by name would make it in the old filter.
  const legacy = await listing('legacy');
  if (ofKubelet === null || legacy === null)
    return ofKubelet !== null ? 'nft' : legacy !== null ? 'legacy' : 'plain';
  if (KUBELET_CHAIN.test(ofKubelet)) return 'nft';
  if (KUBELET_CHAIN.test(legacy)) return 'legacy';
  const nft = (await listing('nft')) ?? '';
  return countRules(legacy) > countRules(nft) ? 'legacy' : 'nft';
};

const countRules = (text: string): number => text.split('\n').filter((line) => line.startsWith('-')).length;

/** `iptables-nft-save`, `ip6tables-legacy-restore`, `iptables-save` … */
export const programOf = (backend: Backend, family: 4 | 6, what: 'save' | 'restore'): string =>
  [family === 4 ? 'iptables' : 'ip6tables', ...(backend === 'plain' ? [] : [backend]), what].join('-');
