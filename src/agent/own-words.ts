/**
 * What the agent writes on its own Node: everything when there is news, else that it lives, by annotation or by Lease; and the
 * taking back of all of it.
 * Source: Kilo's check-in and clean-up, by merge patches.
 * @module
 */
import type { Ability } from '../routing/node.ts';
import { AGENT_ANNOTATIONS, LAST_SEEN } from './annotations.ts';
import type { Cluster } from './cluster.ts';
import { NODES } from './kubernetes/resources.ts';
import type { Leases } from './leases.ts';
import { ABILITIES, abilitiesText, abilitiesWithout, STABLE_ADDRESS } from './own-annotations.ts';
import { changedAnnotations } from './own-node.ts';
import type { AgentClient } from './surroundings.ts';

const CLEAN_UP_PATIENCE_MS = 10_000;

export interface OwnWordsOptions {
  readonly client: AgentClient;
  readonly cluster: Cluster;
  readonly hostname: string;
  readonly abilities: ReadonlySet<Ability>;
  readonly leases: Leases | null;
}

export class OwnWords {
  readonly #options: OwnWordsOptions;

  constructor(options: OwnWordsOptions) {
    this.#options = options;
  }

  /** Whether the Node says something else; a heart-beat alone is no news. */
  hasNews(annotations: Readonly<Record<string, string>>): boolean {
    const said = this.#options.cluster.own?.annotations ?? {};
    return Object.keys(changedAnnotations(said, annotations, [LAST_SEEN, ABILITIES])).length > 0;
  }

  /** `now` in Unix seconds; `byLease`: a heart-beat alone needs no annotation. */
  async say(
    annotations: Readonly<Record<string, string>>,
    now: number,
    byLease: boolean,
    signal: AbortSignal,
  ): Promise<void> {
    const { client, cluster, hostname, leases } = this.#options;
    const abilities = new Set(this.#options.abilities);
    // Who cannot read them shall not be taken for one that can.
    if (leases?.heard === true) abilities.add('leases');
    const text = abilitiesText(now, abilities);
    const want = { ...annotations, [LAST_SEEN]: String(now), [ABILITIES]: text };
    const said = cluster.own?.annotations ?? {};
    const isNews =
      this.hasNews(annotations) || abilitiesWithout(said[ABILITIES] ?? '') !== abilitiesWithout(text);
    if (byLease && !isNews) {
      await leases?.renew(now, cluster.own?.uid ?? '', signal);
      return;
    }
    const patch = { metadata: { annotations: changedAnnotations(said, want) } };
    cluster.answered(await client.patch(NODES, hostname, patch, undefined, signal));
  }

  /** `keepsAddress`: a node that comes back shall find it. */
  async takeBack(keepsAddress: boolean): Promise<void> {
    const { client, hostname } = this.#options;
    const ours = AGENT_ANNOTATIONS.filter((name) => !keepsAddress || name !== STABLE_ADDRESS);
    const annotations = Object.fromEntries(ours.map((name) => [name, null]));
    const patience = AbortSignal.timeout(CLEAN_UP_PATIENCE_MS);
    await client.patch(NODES, hostname, { metadata: { annotations } }, undefined, patience);
  }
}
