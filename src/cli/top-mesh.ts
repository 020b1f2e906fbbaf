/**
 * `kilowire top` without an interface: the mesh, node by node, live in a terminal; one look and done where there is none.
 * @module
 */
import { once } from 'node:events';
import { hostname } from 'node:os';
import type { MeshSnapshot } from '../ui/mesh-snapshot.ts';
import { agentReach, type ReachFlags } from './agent-reach.ts';
import { type ClusterFlags, openClient } from './cluster-options.ts';
import { liveScreen } from './live-screen.ts';
import { print, printJson } from './output.ts';
import { meshScreen, meshTopView } from './top-mesh-view.ts';

export interface TopMeshFlags extends ClusterFlags, ReachFlags {
  readonly json?: boolean;
  /** Seconds. */
  readonly interval: number;
  readonly agent: string;
}

const HISTORY = 30;
const PATIENCE_MS = 15_000;

export const topMesh = async (flags: TopMeshFlags): Promise<void> => {
  const { MeshFeed } = await import('../ui/mesh-feed.ts');
  const client = await openClient(flags);
  const feed = new MeshFeed({
    client,
    topologyLabel: flags.topologyLabel,
    granularity: flags.meshGranularity,
    asking: {
      interfaceName: 'kilo0',
      agent: flags.agent,
      reach: await agentReach(client, flags),
      hostname: hostname(),
      environment: process.env,
    },
  });
  const end = new AbortController();
  const running = feed.run(end.signal);
  const snapshots = new Snapshots();
  const leave = feed.subscribe((snapshot) => snapshots.take(snapshot));
  try {
    if (flags.json === true || !process.stdout.isTTY) {
      // Rates need two.
      await snapshots.atLeast(2);
      const view = meshTopView(snapshots.last);
      if (view.granularity === '') throw new Error(view.trouble ?? 'The cluster cannot be read.');
      if (flags.json === true) printJson(view);
      else print(meshScreen(view, new Map(), Number.POSITIVE_INFINITY).join('\n'));
    } else {
      await snapshots.atLeast(1);
      await liveScreen({
        interval: flags.interval * 1000,
        lines: (rows) => meshScreen(meshTopView(snapshots.last), snapshots.history, rows),
      });
    }
  } finally {
    leave();
    end.abort();
    await running;
    client.close();
  }
};

/** The last one, how many there were, and each node's rates of late. */
class Snapshots {
  readonly history = new Map<string, readonly number[]>();
  readonly #events = new EventTarget();
  #last: MeshSnapshot | undefined;
  #count = 0;

  take(snapshot: MeshSnapshot): void {
    this.#last = snapshot;
    this.#count++;
    for (const { name, receivedPerSecond, sentPerSecond } of meshTopView(snapshot).nodes)
      this.history.set(
        name,
        [...(this.history.get(name) ?? []), receivedPerSecond + sentPerSecond].slice(-HISTORY),
      );
    this.#events.dispatchEvent(new Event('snapshot'));
  }

  get last(): MeshSnapshot {
    if (this.#last === undefined) throw new Error('The cluster has not been read yet.');
    return this.#last;
  }

  async atLeast(count: number): Promise<void> {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    while (this.#count < count) {
      try {
        await once(this.#events, 'snapshot', { signal });
      } catch (cause) {
        throw new Error(`The cluster has not answered for ${PATIENCE_MS / 1000} s.`, { cause });
      }
    }
  }
}
