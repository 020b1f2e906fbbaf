/**
 * Asks agents for another key, one node after the other, and waits until each has it.
 * Source: the annotations of src/agent/own-annotations.ts; src/agent/key-rotation.ts for what the agents do.
 * @module
 */
import { KEY, nodeRecord } from '../agent/annotations.ts';
import type { KubernetesClient } from '../agent/kubernetes/client.ts';
import { NODES, type NodeResource } from '../agent/kubernetes/resources.ts';
import { KEY_ROTATED, ROTATE_KEY } from '../agent/own-annotations.ts';
import { AdminError } from './admin-error.ts';

export interface Rotated {
  readonly node: string;
  /** Base64, public. */
  readonly before: string;
  /** Base64, public. */
  readonly after: string;
  readonly seconds: number;
}

export interface RotationOptions {
  readonly client: Pick<KubernetesClient, 'get' | 'patch'>;
  /** Text that was never asked with before. */
  readonly request: string;
  readonly patienceMs: number;
  /** Milliseconds that never go back. */
  readonly now: () => number;
  readonly sleep: (ms: number) => Promise<void>;
}

const LOOK_MS = 250;

/** @throws AdminError when no agent of ours runs there, or it does not come to an end in time. */
export const rotateKey = async (node: string, options: RotationOptions): Promise<Rotated> => {
  const { client, request, patienceMs, now, sleep } = options;
  const keyOf = ({ metadata }: NodeResource): string => metadata.annotations?.[KEY] ?? '';
  const asked = await client.get(NODES, node);
  if (nodeRecord(asked).node.abilities?.has('kilowire') !== true) {
    throw new AdminError(
      'ERR_ADMIN_NO_AGENT',
      `On node "${node}" runs no agent that can change its key. One of Kilo takes a new key when /var/lib/kilo/key is deleted and it is started again, with an outage of its tunnels.`,
    );
  }
  const began = now();
  await client.patch(NODES, node, { metadata: { annotations: { [ROTATE_KEY]: request } } });
  for (;;) {
    const current = await client.get(NODES, node);
    if (current.metadata.annotations?.[KEY_ROTATED] === request) {
      const seconds = (now() - began) / 1000;
      return { node, before: keyOf(asked), after: keyOf(current), seconds };
    }
    if (now() - began > patienceMs) {
      throw new AdminError(
        'ERR_ADMIN_TIMEOUT',
        `Node "${node}" has not changed its key in ${Math.round(patienceMs / 1000)} s; it goes on trying. See the log of its agent, and kilowire status.`,
      );
    }
    await sleep(LOOK_MS);
  }
};
