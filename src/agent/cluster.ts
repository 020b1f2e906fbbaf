/**
 * The cluster as the API tells it: nodes and Peers, read once and kept as the mesh's own records.
 * Source: Kilo's watch of Nodes and Peers, and its rule of which changes matter (a heart-beat alone does not).
 * @module
 */
import { isFresh, isReadyNode, NODE_LIFETIME_SECONDS, type Node } from '../routing/node.ts';
import type { Peer } from '../routing/peer.ts';
import {
  GRANULARITY,
  LAST_SEEN,
  lastSeenOf,
  type NodeRecord,
  nodeRecord,
  WIREGUARD_IP,
} from './annotations.ts';
import type { Clock } from './clock.ts';
import type { Fault } from './faults.ts';
import type { KubernetesClient } from './kubernetes/client.ts';
import { Mirror } from './kubernetes/mirror.ts';
import { NODES, type NodeResource, PEERS, type PeerResource } from './kubernetes/resources.ts';
import { isMeshAnnotation, type NodeWords, sameWords, wordsOf } from './node-words.ts';
import { ownFingerprint } from './own-annotations.ts';
import { peerOf, whyPeerInvalid } from './peer-resource.ts';
import { isInForce, type PeerTerms, peerTerms } from './peer-terms.ts';
import { ServiceAddresses } from './service-addresses.ts';

/** The node this agent runs on, as the API has it. */
export interface OwnNode {
  readonly record: NodeRecord;
  readonly uid: string;
  readonly annotations: Readonly<Record<string, string>>;
}

interface KeptNode {
  readonly record: NodeRecord;
  /** Of its last heart-beat, in Unix seconds; the one thing that is changed in place, since it changes all the time. */
  lastSeen: number;
  readonly words: NodeWords;
  /** Equal when nothing has changed that the mesh is made of. */
  readonly fingerprint: string;
  /** A heart-beat is all it may lack. */
  readonly complete: boolean;
  readonly own?: OwnNode;
}

interface KeptPeer {
  readonly peer: Peer;
  readonly invalid: string | null;
  readonly terms: PeerTerms;
}

export interface ClusterOptions {
  readonly client: Pick<KubernetesClient, 'list' | 'watch'>;
  readonly hostname: string;
  readonly topologyLabel: string;
  /** Something the mesh is made of may be different now. */
  readonly onChange: () => void;
  readonly onContact: () => void;
  readonly onError: (error: unknown) => void;
  /** Unix seconds of heart-beats that are told elsewhere; 0: none. */
  readonly lastSeen?: (node: string) => number;
  readonly clock?: Clock;
  readonly random?: () => number;
}

/** Written by every agent at each heart-beat, or of no meaning to others. */
const IMMATERIAL = [LAST_SEEN, WIREGUARD_IP, GRANULARITY];

export class Cluster {
  readonly #options: ClusterOptions;
  readonly #nodes: Mirror<NodeResource, KeptNode>;
  readonly #peers: Mirror<PeerResource, KeptPeer>;
  readonly #services: ServiceAddresses;
  readonly #fingerprints = new Map<string, string>();
  /** Nodes that took part in the last topology; null before there was one. */
  #ready: ReadonlySet<string> | null = null;
  /** Unix seconds: all have been heard lately enough until then, if only heart-beats come. */
  #nobodyLateBefore = 0;
  #answered: NodeResource | undefined;
  #wasThere = false;

  constructor(options: ClusterOptions) {
    this.#options = options;
    const { client, onError, onContact, onChange, clock, random } = options;
    const time = {
      ...(clock === undefined ? {} : { now: clock.now, sleep: clock.sleep }),
      ...(random === undefined ? {} : { random }),
    };
    this.#nodes = new Mirror({
      client,
      type: NODES,
      keep: (resource, before) => this.#keep(resource, before),
      onChange: (names) => this.#nodesChanged(names),
      onContact,
      onError,
      ...time,
    });
    this.#services = new ServiceAddresses({ client, onChange, onError });
    this.#peers = new Mirror({
      client,
      type: PEERS,
      keep: (resource) => ({
        peer: peerOf(resource),
        invalid: whyPeerInvalid(resource),
        terms: peerTerms(resource),
      }),
      onChange: () => {
        this.#wantServices();
        onChange();
      },
      onError,
      ...time,
    });
  }

  /** Follows the API until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#nodes.run(signal), this.#peers.run(signal)]);
    this.#services.want(new Set());
  }

  /** Whether both have been read once: before that, nothing is known and nothing may be changed. */
  get synced(): boolean {
    return this.#nodes.synced && this.#peers.synced && this.#services.settled;
  }

  get own(): OwnNode | undefined {
    const kept = this.#nodes.items.get(this.#options.hostname);
    return this.#answered === undefined ? kept?.own : this.#keep(this.#answered, kept).own;
  }

  /** The own Node was there and has been deleted: the API said so, it is not merely silent. */
  get departed(): boolean {
    const isThere = this.#nodes.items.has(this.#options.hostname);
    return this.#wasThere && this.#nodes.synced && !isThere;
  }

  get others(): readonly Node[] {
    const { hostname } = this.#options;
    const others: Node[] = [];
    for (const [name, kept] of this.#nodes.items) if (name !== hostname) others.push(this.#heard(kept));
    return others;
  }

  #heard(kept: KeptNode): Node {
    const { node } = kept.record;
    const lastSeen = this.#lastHeard(kept);
    return lastSeen === node.lastSeen ? node : { ...node, lastSeen };
  }

  #lastHeard({ lastSeen, record }: KeptNode): number {
    return Math.max(lastSeen, this.#options.lastSeen?.(record.node.name) ?? 0);
  }

  /** Others in the last topology whose heart-beat does not count any more; `now` in Unix seconds. */
  lateAt(now: number): readonly Node[] {
    if (now < this.#nobodyLateBefore) return [];
    let oldest = now;
    const late: Node[] = [];
    for (const [name, kept] of this.#nodes.items) {
      if (name === this.#options.hostname || !this.isIn(name)) continue;
      const lastSeen = this.#lastHeard(kept);
      if (!isFresh(lastSeen, now)) late.push(this.#heard(kept));
      else if (lastSeen < oldest) oldest = lastSeen;
    }
    this.#nobodyLateBefore = late.length > 0 ? 0 : oldest + NODE_LIFETIME_SECONDS;
    return late;
  }

  /** Whether it was heard in time for the last topology. */
  isIn(node: string): boolean {
    return this.#ready === null || this.#ready.has(node);
  }

  /** Those that keep to the rules and take part at this moment, in Unix seconds. */
  peersAt(now: number): readonly Peer[] {
    return [...this.#peers.items.values()].flatMap(({ peer, invalid, terms }) =>
      invalid === null && isInForce(terms, now) ? [this.#onTerms(peer, terms)] : [],
    );
  }

  #onTerms(peer: Peer, { expires, allow }: PeerTerms): Peer {
    if (expires === null && allow === null) return peer;
    const ranges = allow?.flatMap((each) =>
      'range' in each ? [each.range] : this.#services.of(each.service),
    );
    return {
      ...peer,
      ...(expires === null ? {} : { expires }),
      ...(ranges === undefined ? {} : { allow: ranges }),
    };
  }

  #unreachable(service: string): string[] {
    const why = this.#services.why(service);
    return why === null ? [] : [`nothing is allowed by ${service}: ${why}.`];
  }

  #wantServices(): void {
    const names = [...this.#peers.items.values()].flatMap(({ terms }) => servicesOf(terms));
    this.#services.want(new Set(names));
  }

  get faults(): readonly Fault[] {
    const nodes = [...this.#nodes.items].flatMap(([name, { record }]) =>
      record.faults.map(
        (message): Fault => ({
          code: 'annotation-ignored',
          subject: { kind: 'node', name },
          message: `Node "${name}": ${message}`,
        }),
      ),
    );
    const peers = [...this.#peers.items].flatMap(([name, { invalid }]): Fault[] =>
      invalid === null
        ? []
        : [
            {
              code: 'peer-invalid',
              subject: { kind: 'peer', name },
              message: `Peer "${name}" is left out: ${invalid}`,
            },
          ],
    );
    const terms = [...this.#peers.items].flatMap(([name, kept]) =>
      [...kept.terms.faults, ...servicesOf(kept.terms).flatMap((service) => this.#unreachable(service))].map(
        (what): Fault => ({
          code: 'peer-terms',
          subject: { kind: 'peer', name },
          message: `Peer "${name}": ${what}`,
        }),
      ),
    );
    return [...nodes, ...peers, ...terms];
  }

  /** The API's answer to a patch of the own node: newer than what the watch has told so far. */
  answered(own: NodeResource): void {
    this.#answered = own;
  }

  /** A heart-beat of one of these only matters when it had none before. */
  tookPart(names: ReadonlySet<string>): void {
    this.#ready = names;
    this.#nobodyLateBefore = 0;
  }

  #keep(resource: NodeResource, before?: KeptNode): KeptNode {
    const { hostname, topologyLabel } = this.#options;
    const { annotations = {}, labels = {} } = resource.metadata;
    const words = wordsOf(resource, topologyLabel);
    if (before !== undefined && sameWords(before.words, words)) {
      const lastSeen = lastSeenOf(annotations);
      // A clock was put right, say.
      if (lastSeen < before.lastSeen) this.#nobodyLateBefore = 0;
      before.lastSeen = lastSeen;
      if (resource.metadata.name !== hostname) return before;
      const record = { ...before.record, node: { ...before.record.node, lastSeen } };
      return { ...before, record, ...this.#own(resource, record) };
    }
    const record = nodeRecord(resource, topologyLabel);
    const material = Object.entries(annotations)
      .filter(([key]) => key.startsWith('kilo.squat.ai/') && !IMMATERIAL.includes(key))
      .toSorted(([a], [b]) => (a < b ? -1 : 1));
    const spec = [resource.spec?.podCIDR, resource.spec?.podCIDRs, labels[topologyLabel]];
    const fingerprint = JSON.stringify([material, spec, ownFingerprint(annotations, record.node)]);
    const complete = isReadyNode(record.node, record.node.lastSeen);
    const { lastSeen } = record.node;
    return { record, lastSeen, words, fingerprint, complete, ...this.#own(resource, record) };
  }

  #own({ metadata }: NodeResource, record: NodeRecord): Pick<KeptNode, 'own'> {
    const { name, uid = '', annotations = {} } = metadata;
    if (name !== this.#options.hostname) return {};
    const mine = Object.entries(annotations).filter(([key]) => isMeshAnnotation(key));
    return { own: { record, uid, annotations: Object.fromEntries(mine) } };
  }

  #nodesChanged(names: ReadonlySet<string> | null): void {
    const { items } = this.#nodes;
    this.#wasThere ||= items.has(this.#options.hostname);
    let matters = names === null;
    if (names === null) this.#answered = undefined;
    for (const name of names ?? items.keys()) {
      const fingerprint = items.get(name)?.fingerprint;
      if (name === this.#options.hostname) this.#answered = undefined;
      const returns = items.get(name)?.complete === true && this.#ready?.has(name) === false;
      if (this.#fingerprints.get(name) !== fingerprint || returns) matters = true;
      if (fingerprint === undefined) this.#fingerprints.delete(name);
      else this.#fingerprints.set(name, fingerprint);
    }
    if (matters) this.#options.onChange();
  }
}

const servicesOf = ({ allow }: PeerTerms): string[] =>
  (allow ?? []).flatMap((each) => ('service' in each ? [each.service] : []));
