/**
 * The mesh as it is now and was in the last hour: Nodes and Peers by watch, members by asking them again and again, one
 * snapshot after the other to whoever listens.
 * @module
 */
import { setTimeout as delay } from 'node:timers/promises';
import { snapshotOf } from '../admin/cluster-snapshot.ts';
import { type GranularityFlag, type Mesh, meshOf, topologyFrom } from '../admin/mesh.ts';
import { gatherStatus, type StatusOptions } from '../admin/status.ts';
import { HostNames } from '../agent/host-names.ts';
import type { KubernetesClient } from '../agent/kubernetes/client.ts';
import { Mirror } from '../agent/kubernetes/mirror.ts';
import { NODES, type NodeResource, PEERS, type PeerResource } from '../agent/kubernetes/resources.ts';
import { LeaseCopy } from '../agent/leases.ts';
import type { Topology } from '../routing/topology.ts';
import type { MeshSnapshot } from './mesh-snapshot.ts';
import { type RingOptions, SampleRing } from './sample-ring.ts';
import { SnapshotBuilder } from './snapshot-builder.ts';

export type FeedClient = Pick<KubernetesClient, 'list' | 'watch'> &
  Partial<Pick<KubernetesClient, 'serverTime'>>;

export interface FeedOptions {
  readonly client: FeedClient;
  readonly topologyLabel: string;
  readonly granularity: GranularityFlag;
  /** How members are asked. */
  readonly asking: Omit<StatusOptions, 'now'>;
  /** How much of the past is kept. */
  readonly history?: RingOptions;
}

/** What the page is served from. */
export interface MeshSource {
  readonly current: MeshSnapshot | null;
  readonly ring: SampleRing;
  /** The mesh behind the snapshot. */
  readonly mesh: Mesh | null;
  /** Called with every new snapshot until the returned function is. */
  subscribe(listener: (snapshot: MeshSnapshot) => void): () => void;
}

/** Watched, and looked at once in a while where nobody watches. */
const PAUSE_MS = 1000;
const IDLE_PAUSE_MS = 5000;
/** A full mesh of n nodes has n² answers to read; so many of them a second at most. */
const TUNNELS_A_SECOND = 20_000;
const AGENTS_A_SECOND = 200;
/** The API server has other work. */
const BY_API_A_SECOND = 20;
/** Changes that come together are one. */
const GATHER_MS = 50;

const EMPTY: MeshSnapshot = {
  at: 0,
  trouble: null,
  granularity: '',
  subnet: '',
  nodes: {},
  peers: {},
  tunnels: {},
  problems: [],
};

export class MeshFeed implements MeshSource {
  readonly ring: SampleRing;
  readonly #options: FeedOptions;
  readonly #nodes: Mirror<NodeResource, NodeResource>;
  readonly #peers: Mirror<PeerResource, PeerResource>;
  readonly #leases: LeaseCopy;
  #signal: AbortSignal = AbortSignal.abort();
  readonly #names = new HostNames(() => this.#want());
  readonly #builder = new SnapshotBuilder();
  readonly #listeners = new Set<(snapshot: MeshSnapshot) => void>();
  #definesPeers = true;
  #apiTrouble: string | null = null;
  /** Of the API's clock to ours, in seconds; taken whenever it has said something new. */
  #skew = 0;
  #apiTime: number | undefined;
  #wanted = Promise.withResolvers<void>();
  #mesh: Mesh | null = null;
  #current: MeshSnapshot | null = null;

  constructor(options: FeedOptions) {
    this.#options = options;
    this.ring = new SampleRing(options.history);
    const { client } = options;
    const common = {
      client,
      onChange: () => this.#want(),
      onContact: () => this.#contact(),
      onError: (error: unknown) => {
        this.#apiTrouble = error instanceof Error ? error.message : String(error);
        this.#want();
      },
    };
    this.#leases = new LeaseCopy({ client, onError: common.onError });
    this.#nodes = new Mirror({ ...common, type: NODES, keep: (item) => item });
    this.#peers = new Mirror({
      ...common,
      type: PEERS,
      keep: (item) => item,
      onContact: () => {
        this.#definesPeers = true;
        this.#contact();
      },
      onError: (error) => {
        if (isUnknownKind(error)) this.#definesPeers = false;
        else common.onError(error);
      },
    });
  }

  get current(): MeshSnapshot | null {
    return this.#current;
  }

  get mesh(): Mesh | null {
    return this.#mesh;
  }

  subscribe(listener: (snapshot: MeshSnapshot) => void): () => void {
    this.#listeners.add(listener);
    this.#want();
    return () => void this.#listeners.delete(listener);
  }

  /** Until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    await Promise.all([this.#nodes.run(signal), this.#peers.run(signal), this.#rounds(signal)]);
  }

  #want(): void {
    this.#wanted.resolve();
  }

  #contact(): void {
    this.#apiTrouble = null;
    const { serverTime } = this.#options.client;
    if (serverTime === undefined || serverTime === this.#apiTime) return;
    this.#apiTime = serverTime;
    this.#skew = Math.round(serverTime - Date.now() / 1000);
  }

  async #rounds(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#round();
      await Promise.race([this.#wanted.promise, rest(this.#pause(), signal)]);
      this.#wanted = Promise.withResolvers();
      await rest(GATHER_MS, signal);
    }
  }

  #pause(): number {
    if (this.#listeners.size === 0) return IDLE_PAUSE_MS;
    const { reach } = this.#options.asking;
    const agents = Object.keys(this.#current?.nodes ?? {}).length;
    const leaders = Object.values(this.#current?.nodes ?? {}).filter(({ role }) => role === 'leader').length;
    return Math.max(
      PAUSE_MS,
      (leaders ** 2 / TUNNELS_A_SECOND) * 1000,
      (agents / (reach?.isByApi === true ? BY_API_A_SECOND : AGENTS_A_SECOND)) * 1000,
    );
  }

  async #round(): Promise<void> {
    if (!this.#nodes.synced || !this.#peers.synced) {
      if (this.#apiTrouble !== null) this.#tell({ ...EMPTY, at: Date.now(), trouble: this.#apiTrouble });
      return;
    }
    try {
      const { mesh, topology } = await this.#compute();
      const askedAt = Date.now();
      const status = await gatherStatus(mesh, { ...this.#options.asking, now: Math.floor(askedAt / 1000) });
      this.#mesh = mesh;
      const built = this.#builder.build({ mesh, topology, status, askedAt, at: Date.now() });
      this.#tell({ ...built, trouble: this.#apiTrouble });
    } catch (error) {
      // No Node has an agent yet, or none is ready: there is no mesh to show, and that is what is told.
      const trouble = error instanceof Error ? error.message : String(error);
      this.#mesh = null;
      this.#tell({ ...EMPTY, at: Date.now(), trouble });
    }
  }

  async #compute(): Promise<{ mesh: Mesh; topology: Topology }> {
    const { topologyLabel, granularity } = this.#options;
    const leases = this.#leases.timesFor(this.#nodes.items.values(), this.#signal);
    if (leases === null) throw new Error('The heart-beats of the nodes are being read.');
    const snapshot = snapshotOf({
      leases,
      nodes: [...this.#nodes.items.values()],
      peers: this.#definesPeers ? [...this.#peers.items.values()] : null,
      now: Math.floor(Date.now() / 1000) + this.#skew,
      topologyLabel,
    });
    const mesh = await meshOf(snapshot, { granularity, names: this.#names });
    return { mesh, topology: topologyFrom(mesh) };
  }

  #tell(snapshot: MeshSnapshot): void {
    this.#current = snapshot;
    if (snapshot.granularity !== '') this.ring.offer(snapshot);
    for (const listener of this.#listeners) listener(snapshot);
  }
}

const isUnknownKind = (error: unknown): boolean =>
  error instanceof Error && (error as { code?: unknown }).code === 'ERR_KUBERNETES_NOT_FOUND';

const rest = async (ms: number, signal: AbortSignal): Promise<void> => {
  await delay(ms, undefined, { signal }).catch(() => undefined);
};
