/**
 * Looks at what the device counts of its peers, after each pass and more often when somebody is missing, and says when this node has something new to publish of whom it
 * does not reach. What is decided stands in routing/reachability.ts and routing/relays.ts; here are time and the device.
 * @module
 */
import type { DeviceStatus, PeerStatus } from '../noise/device-config.ts';
import { keyText } from '../routing/key-text.ts';
import { Reachability, type TunnelCounters } from '../routing/reachability.ts';
import type { Topology } from '../routing/topology.ts';
import { type Cancel, type Clock, unixSeconds } from './clock.ts';
import type { Cluster } from './cluster.ts';
import { observed } from './metrics-text.ts';
import type { MeshDevice } from './surroundings.ts';

export interface RelayWatchOptions {
  readonly clock: Clock;
  readonly device: MeshDevice;
  readonly cluster: Pick<Cluster, 'others'>;
  readonly onNews: () => void;
}

export class RelayWatch {
  readonly #options: RelayWatchOptions;
  readonly #reachability = new Reachability();
  #cancel: Cancel | undefined;
  #ended = false;

  constructor(options: RelayWatchOptions) {
    this.#options = options;
  }

  /** Segments that this node does not reach, each since when in Unix seconds. */
  get unreached(): ReadonlyMap<string, number> {
    return this.#reachability.unreached;
  }

  /** After each pass: the mesh is now so, and so was the device. */
  after(topology: Topology, device: DeviceStatus | null): void {
    this.#reachability.follow(topology);
    if (device !== null) this.#judge(device);
    this.#wait();
  }

  end(): void {
    this.#ended = true;
    this.#cancel?.();
  }

  #wait(): void {
    this.#cancel?.();
    const { pauseMs } = this.#reachability;
    if (pauseMs !== null && !this.#ended)
      this.#cancel = this.#options.clock.after(pauseMs, () => void this.#look());
  }

  async #look(): Promise<void> {
    const device = await observed(this.#options.device).catch(() => null); // what does not answer is the next pass's matter
    if (this.#ended) return;
    if (device !== null) this.#judge(device);
    this.#wait();
  }

  #judge(device: DeviceStatus): void {
    const { clock, cluster, onNews } = this.#options;
    const heartBeats = () => new Map(cluster.others.map(({ name, lastSeen }) => [name, lastSeen]));
    const look = { tunnels: countersOf(device), heartBeats, ms: clock.monotonic(), unix: unixSeconds(clock) };
    if (this.#reachability.look(look)) onNews();
  }
}

/** Of peers that have done nothing since the last reading the very same values come again. */
const known = new WeakMap<PeerStatus, readonly [key: string, TunnelCounters]>();

const countersOf = ({ peers }: DeviceStatus): ReadonlyMap<string, TunnelCounters> =>
  new Map(
    peers.map((peer) => {
      const before = known.get(peer);
      if (before !== undefined) return before;
      const { publicKey, txBytes, rxBytes, lastHandshake, endpoint } = peer;
      const counters = {
        sentBytes: txBytes,
        receivedBytes: rxBytes,
        lastHandshake: lastHandshake.seconds,
        hasEndpoint: endpoint !== undefined,
      };
      const entry = [keyText(publicKey), counters] as const;
      known.set(peer, entry);
      return entry;
    }),
  );
