/**
 * When a node that was asked for another key may turn to it. A tunnel is known by its key, and its ranges are with one key at a
 * time, so the others get to know the next one first, without ranges, and move the ranges when they hear from it:
 *
 *   1. kilowire.dev/rotate-key asks; the agent makes a key and publishes its public half (next-key).
 *   2. Leaders with a tunnel to the node give their device a peer of that key, and say so (known-keys).
 *   3. When all have, or a minute has passed, the agent turns to the key and calls everybody.
 *   4. Who hears the next key of a node takes it for the node's, whatever the API still says.
 *
 * Agents of Kilo know no next keys and are not waited for: they learn of the change from the key annotation, as always.
 * @module
 */

import type { DeviceStatus } from '../noise/device-config.ts';
import { keyText } from '../routing/key-text.ts';
import type { Node } from '../routing/node.ts';
import type { Topology } from '../routing/topology.ts';
import { tunnelledSegments } from '../routing/wireguard-config.ts';
import type { OwnNode } from './cluster.ts';
import type { NodeKey } from './key-file.ts';
import { KEY_ROTATED, KNOWN_KEYS, NEXT_KEY, ROTATE_KEY } from './own-annotations.ts';

const PATIENCE_MS = 60_000;
/** What one node says that it knows; the others come when these have turned. */
const MOST_KNOWN = 64;

export interface RotationContext {
  readonly key: NodeKey;
  /** Milliseconds that never go back. */
  readonly now: () => number;
  readonly onTurn: (unheard: readonly string[]) => void;
}

export class OwnRotation {
  readonly #context: RotationContext;
  /** The request that is being served, and since when. */
  #serving: { readonly request: string; readonly since: number } | null = null;
  #next = '';
  /** The last request that was served here. */
  #done = '';

  constructor(context: RotationContext) {
    this.#context = context;
  }

  /** The next key is published and not in force. */
  get isUnderWay(): boolean {
    return this.#serving !== null;
  }

  /**
   * Before each pass; `topology` is that of the last one. Turns to the next key when it is time.
   * @throws AgentError when the key cannot be kept.
   */
  advance({ annotations }: OwnNode, others: readonly Node[], topology: Topology | null): void {
    const { key, now, onTurn } = this.#context;
    const request = annotations[ROTATE_KEY] ?? '';
    const done = request === '' || request === annotations[KEY_ROTATED] || request === this.#done;
    if (done || key.rotation === undefined) {
      this.#serving = null;
      this.#next = '';
      return;
    }
    if (this.#serving?.request !== request) {
      // Turned already, and ended before it could say so.
      if (annotations[NEXT_KEY] === key.publicKey) {
        this.#finish(request);
        return;
      }
      this.#next = key.rotation.announce();
      this.#serving = { request, since: now() };
      return;
    }
    if (topology === null || annotations[NEXT_KEY] !== this.#next) return;
    const unheard = unheardOf(this.#next, others, topology);
    if (unheard.length > 0 && now() - this.#serving.since < PATIENCE_MS) return;
    key.rotation.turn();
    this.#finish(request);
    onTurn(unheard);
  }

  #finish(request: string): void {
    this.#done = request;
    this.#serving = null;
    this.#next = '';
  }

  /** What the node says of its keys, as far as there is or was something to say. */
  annotations({ annotations }: OwnNode, known: readonly string[]): Readonly<Record<string, string>> {
    const all = {
      [NEXT_KEY]: this.#next,
      [KNOWN_KEYS]: known.slice(0, MOST_KNOWN).join(),
      ...(this.#done === '' ? {} : { [KEY_ROTATED]: this.#done }),
    };
    return Object.fromEntries(
      Object.entries(all).filter(([name, text]) => text !== '' || (annotations[name] ?? '') !== ''),
    );
  }
}

/** Leaders of ours with a tunnel to this node that do not have its next key yet. */
const unheardOf = (next: string, others: readonly Node[], topology: Topology): string[] => {
  if (!topology.isLeader) return [];
  const leaders = new Set(tunnelledSegments(topology).map(({ leader }) => leader.name));
  return others
    .filter(({ name, abilities }) => leaders.has(name) && abilities?.has('kilowire') === true)
    .filter(({ knownKeys = [] }) => !knownKeys.includes(next))
    .map(({ name }) => name);
};

/** Nodes with the key they use: who was heard with its next one has turned to it. */
export const withKeysInUse = (nodes: readonly Node[], device: DeviceStatus | null): readonly Node[] => {
  if (device === null || nodes.every(({ nextKey }) => nextKey === undefined)) return nodes;
  const heard = new Set(
    device.peers
      .filter(({ lastHandshake }) => lastHandshake.seconds > 0)
      .map(({ publicKey }) => keyText(publicKey)),
  );
  return nodes.map((node) =>
    node.nextKey !== undefined && heard.has(node.nextKey) ? { ...node, key: node.nextKey } : node,
  );
};

/** Next keys that this node's device shall know: of those it has tunnels with. */
export const awaitedKeys = (topology: Topology): readonly string[] =>
  topology.isLeader
    ? tunnelledSegments(topology).flatMap(({ leader: { key, nextKey } }) =>
        nextKey === undefined || nextKey === key ? [] : [nextKey],
      )
    : [];
