/**
 * Agents asked through the API server, for who cannot reach them: by their Pods where they have some, by their Nodes where
 * an agent is no Pod.
 * Source: Kubernetes API, proxy of Pod and Node. RBAC: list pods and get pods/proxy in the agents' namespace; get nodes/proxy,
 * which opens every kubelet too, only for the others.
 * @module
 */
import type { KubernetesClient } from '../agent/kubernetes/client.ts';
import { isKubernetesError } from '../agent/kubernetes/kubernetes-error.ts';
import { NODES, PODS } from '../agent/kubernetes/resources.ts';
import { type AgentReport, LONGEST_ANSWER, reportOf } from './tunnels.ts';

export interface AgentProxyOptions {
  readonly client: Pick<KubernetesClient, 'list' | 'behind'>;
  /** Where the agents' Pods are. */
  readonly namespace: string;
}

/** As the manifests label them. */
const SELECTOR = 'app.kubernetes.io/name=kilowire,app.kubernetes.io/component=agent';
/** A question and its answer go through two more programs than a direct one. */
const PATIENCE_MS = 5000;
/** Pods come and go, names stay for a while. */
const PODS_LAST_MS = 15_000;

export class AgentProxy {
  readonly #options: AgentProxyOptions;
  /** Names of Pods by their Nodes'. */
  #pods: Promise<ReadonlyMap<string, string> | null> | null = null;
  #readAt = 0;
  #refusal: string | null = null;

  constructor(options: AgentProxyOptions) {
    this.#options = options;
  }

  /** Why the API has not let us, as a sentence; null when it never refused. */
  get refusal(): string | null {
    return this.#refusal;
  }

  /** Null when no agent answers there. `now`: Unix seconds. */
  async ask(node: string, port: number, now: number): Promise<AgentReport | null> {
    const { client, namespace } = this.#options;
    const pods = await this.#agentPods();
    const pod = pods?.get(node);
    const target =
      pod === undefined ? { type: NODES, name: node, port } : { type: PODS, name: pod, namespace, port };
    try {
      const limits = { timeoutMs: PATIENCE_MS, mostBytes: LONGEST_ANSWER };
      return reportOf(await client.behind(target, '/status', limits), now);
    } catch (error) {
      const said = forbidden(error);
      // That pods may not be listed says more than that nodes may not be asked in their place.
      if (said !== null && pods !== null)
        this.#refusal =
          pod === undefined
            ? `Of node "${node}" there is no agent's pod in namespace "${namespace}", and ${said}.`
            : `The API says: ${said}.`;
      return null;
    }
  }

  /** Null when they may not be listed. */
  #agentPods(): Promise<ReadonlyMap<string, string> | null> {
    if (this.#pods === null || performance.now() - this.#readAt > PODS_LAST_MS) {
      this.#readAt = performance.now();
      this.#pods = this.#readPods();
    }
    return this.#pods;
  }

  async #readPods(): Promise<ReadonlyMap<string, string> | null> {
    const { client, namespace } = this.#options;
    try {
      const { items } = await client.list(PODS, { namespace, labelSelector: SELECTOR });
      const running = items.filter(({ status }) => status?.phase === 'Running');
      return new Map(running.map(({ metadata, spec }) => [spec?.nodeName ?? '', metadata.name]));
    } catch (error) {
      const said = forbidden(error);
      if (said === null) return new Map();
      this.#refusal = `The API says: ${said}.`;
      return null;
    }
  }
}

const forbidden = (error: unknown): string | null =>
  isKubernetesError(error, 'ERR_KUBERNETES_FORBIDDEN') ? (error.said ?? 'that is forbidden') : null;
