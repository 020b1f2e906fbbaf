/**
 * Nodes and Peers of the cluster, kept up to date while a connection lasts. While the API is away the copy stays as it
 * was, and time stands still with it: nobody is taken for dead because nobody tells of him.
 * @module
 */
import type { KubernetesClient } from '../../agent/kubernetes/client.ts';
import { Mirror } from '../../agent/kubernetes/mirror.ts';
import { NODES, type NodeResource, PEERS, type PeerResource } from '../../agent/kubernetes/resources.ts';
import { LeaseCopy } from '../../agent/leases.ts';
import { type ClusterSnapshot, snapshotOf } from '../cluster-snapshot.ts';

export interface ClusterCopyOptions {
  readonly client: KubernetesClient;
  readonly topologyLabel: string;
  readonly onChange: () => void;
  readonly onError: (error: unknown) => void;
}

const unixSeconds = (): number => Math.floor(Date.now() / 1000);

export class ClusterCopy {
  readonly #options: ClusterCopyOptions;
  readonly #nodes: Mirror<NodeResource, NodeResource>;
  readonly #peers: Mirror<PeerResource, PeerResource>;
  readonly #leases: LeaseCopy;
  #signal: AbortSignal = AbortSignal.abort();
  /** How far this host's clock is ahead of the API's. */
  #ahead = 0;
  #contactAt = unixSeconds();

  constructor(options: ClusterCopyOptions) {
    this.#options = options;
    const { client, onError, onChange } = options;
    this.#nodes = new Mirror({
      client,
      type: NODES,
      keep: (resource) => resource,
      // A heart-beat alone changes nothing; whoever appears or falls silent is seen at the next look.
      onChange: (names) => {
        if (names === null) this.#setClock();
        onChange();
      },
      onContact: () => {
        this.#contactAt = unixSeconds();
      },
      onError,
    });
    this.#leases = new LeaseCopy({ client, onError });
    this.#peers = new Mirror({ client, type: PEERS, keep: (resource) => resource, onChange, onError });
  }

  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    await Promise.all([this.#nodes.run(signal), this.#peers.run(signal)]);
  }

  /** Null before both have been read. */
  get snapshot(): ClusterSnapshot | null {
    if (!this.#nodes.synced || !this.#peers.synced) return null;
    const leases = this.#leases.timesFor(this.#nodes.items.values(), this.#signal);
    if (leases === null) return null;
    return snapshotOf({
      leases,
      nodes: [...this.#nodes.items.values()],
      peers: [...this.#peers.items.values()],
      now: this.#contactAt - this.#ahead,
      topologyLabel: this.#options.topologyLabel,
    });
  }

  /** A listing has just been answered. */
  #setClock(): void {
    const { serverTime } = this.#options.client;
    if (serverTime !== undefined) this.#ahead = unixSeconds() - serverTime;
  }
}
