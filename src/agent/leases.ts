/**
 * Heart-beats as Leases: a small object of its own for each node, in the place of an annotation that makes every watcher of Nodes
 * read the whole Node again.
 * Source: coordination.k8s.io/v1 Lease, and how kubelets use it (one a node in kube-node-lease, renewed on a timer); Kilo's
 * heart-beat, whose period and meaning stay.
 * @module
 */
import { NODE_LIFETIME_SECONDS } from '../routing/node.ts';
import type { Topology } from '../routing/topology.ts';
import type { Clock } from './clock.ts';
import type { KubernetesClient } from './kubernetes/client.ts';
import { isKubernetesError } from './kubernetes/kubernetes-error.ts';
import { Mirror } from './kubernetes/mirror.ts';
import { LEASES, type LeaseResource, type NodeResource } from './kubernetes/resources.ts';
import { ABILITIES } from './own-annotations.ts';

const NAMESPACE = 'kube-node-lease';
const PREFIX = 'kilowire-';
const LABELS = { 'app.kubernetes.io/name': 'kilowire' };
const SELECTION = { namespace: NAMESPACE, labelSelector: 'app.kubernetes.io/name=kilowire' };

export interface LeasesOptions {
  readonly client: Pick<KubernetesClient, 'list' | 'watch' | 'create' | 'patch'>;
  readonly hostname: string;
  readonly clock: Clock;
  readonly random: () => number;
  /** Whether a node takes part already: then its heart-beat is no news. */
  readonly isIn: (node: string) => boolean;
  /** A pass is due. */
  readonly onDue: () => void;
  readonly onContact: () => void;
  readonly onError: (error: unknown) => void;
}

export class Leases {
  readonly #options: LeasesOptions;
  readonly #mirror: Mirror<LeaseResource, number>;
  #failed = false;

  constructor(options: LeasesOptions) {
    this.#options = options;
    const { client, clock, random, isIn, onDue, onContact, onError } = options;
    this.#mirror = new Mirror({
      client,
      type: LEASES,
      selection: SELECTION,
      keep: ({ spec }) => secondsOf(spec?.renewTime),
      onChange: (names) => {
        if (names === null || [...names].some((name) => !isIn(name.slice(PREFIX.length)))) onDue();
      },
      onContact,
      onError: (error) => {
        // Without the right to read them there are none, and annotations have to do.
        if (isKubernetesError(error, 'ERR_KUBERNETES_FORBIDDEN')) this.#failed = true;
        onError(error);
        onDue();
      },
      now: clock.now,
      sleep: clock.sleep,
      random,
    });
  }

  async run(signal: AbortSignal): Promise<void> {
    await this.#mirror.run(signal);
  }

  /** They were read, or cannot be. */
  get settled(): boolean {
    return this.#mirror.synced || this.#failed;
  }

  /** What others say by them is heard here. */
  get heard(): boolean {
    return this.#mirror.synced;
  }

  /** Unix seconds; 0: there is none. */
  lastSeen(node: string): number {
    return this.#mirror.items.get(PREFIX + node) ?? 0;
  }

  /** The own heart-beat, in Unix seconds. The Lease goes with the Node, whose `uid` it needs for that. */
  async renew(now: number, uid: string, signal: AbortSignal): Promise<void> {
    const { client, hostname } = this.#options;
    const name = PREFIX + hostname;
    const spec = {
      holderIdentity: hostname,
      leaseDurationSeconds: NODE_LIFETIME_SECONDS,
      renewTime: new Date(now * 1000).toISOString().replace('Z', '000Z'),
    };
    try {
      await client.patch(LEASES, name, { spec }, NAMESPACE, signal);
    } catch (error) {
      if (!isKubernetesError(error, 'ERR_KUBERNETES_NOT_FOUND')) throw error;
      const ownerReferences = uid === '' ? [] : [{ apiVersion: 'v1', kind: 'Node', name: hostname, uid }];
      const metadata = { name, namespace: NAMESPACE, labels: LABELS, ownerReferences };
      await client.create(LEASES, { metadata, spec }, NAMESPACE, signal);
    }
  }
}

const secondsOf = (text: string | undefined): number => {
  const at = Date.parse(text ?? '');
  return Number.isFinite(at) ? Math.floor(at / 1000) : 0;
};

/** Whether everybody in the mesh reads them. */
export const allRead = ({ segments, self }: Topology): boolean =>
  segments.every(({ members }) =>
    members.every((member) => member === self || member.abilities?.has('leases') === true),
  );

/** Node → Unix seconds. */
export type LeaseTimes = ReadonlyMap<string, number>;

/** Whether a node may say by Lease that it lives. */
const speaksByLease = ({ metadata }: NodeResource): boolean =>
  (metadata.annotations?.[ABILITIES] ?? '').split(' ').includes('leases');

/** For who reads the cluster once. Who may not read them sees nodes as agents of Kilo do. */
export const readLeases = async (
  client: Pick<KubernetesClient, 'list'>,
  nodes: readonly NodeResource[],
  signal?: AbortSignal,
): Promise<LeaseTimes> => {
  if (!nodes.some(speaksByLease)) return new Map();
  try {
    const { items } = await client.list(LEASES, SELECTION, signal);
    return new Map(
      items.map(({ metadata, spec }) => [metadata.name.slice(PREFIX.length), secondsOf(spec?.renewTime)]),
    );
  } catch (error) {
    if (isKubernetesError(error, 'ERR_KUBERNETES_FORBIDDEN', 'ERR_KUBERNETES_NOT_FOUND')) return new Map();
    throw error;
  }
};

/** For who follows the cluster: nothing is read before a node speaks by Lease. */
export class LeaseCopy {
  readonly #mirror: Mirror<LeaseResource, number>;
  #began = false;
  #failed = false;

  constructor(
    options: Pick<LeasesOptions, 'onError'> & { client: Pick<KubernetesClient, 'list' | 'watch'> },
  ) {
    this.#mirror = new Mirror({
      client: options.client,
      type: LEASES,
      selection: SELECTION,
      keep: ({ spec }) => secondsOf(spec?.renewTime),
      onChange: () => {},
      onError: (error) => {
        if (!this.#failed) options.onError(error);
        this.#failed = true;
      },
    });
  }

  /** Null: they are still to be read. */
  timesFor(nodes: Iterable<NodeResource>, signal: AbortSignal): LeaseTimes | null {
    if (!this.#began && [...nodes].some(speaksByLease)) {
      this.#began = true;
      void this.#mirror.run(signal);
    }
    if (this.#began && !this.#mirror.synced && !this.#failed) return null;
    return new Map([...this.#mirror.items].map(([name, at]) => [name.slice(PREFIX.length), at]));
  }
}
