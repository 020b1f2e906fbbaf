/**
 * This host as a Peer resource: made when it is missing, known again by its key, deleted by who made it.
 * Source: `kgctl connect`, which takes a Peer of the same name for its own whatever its key, and then has a dead tunnel.
 * @module
 */
import type { KubernetesClient } from '../../agent/kubernetes/client.ts';
import { isKubernetesError } from '../../agent/kubernetes/kubernetes-error.ts';
import { PEERS, type PeerResource } from '../../agent/kubernetes/resources.ts';
import { type Cidr, formatCidr } from '../../noise/ip.ts';
import { AdminError } from '../admin-error.ts';

export interface OwnPeer {
  readonly name: string;
  readonly publicKey: string;
  readonly allowedIP: Cidr;
  /** Seconds. */
  readonly persistentKeepalive: number;
}

/** Null when there is none. */
export const findPeer = async (client: KubernetesClient, name: string): Promise<PeerResource | null> => {
  try {
    return await client.get(PEERS, name);
  } catch (error) {
    if (isKubernetesError(error, 'ERR_KUBERNETES_NOT_FOUND')) return null;
    throw error;
  }
};

/** @throws AdminError when somebody else has the name. */
export const checkPeer = (found: PeerResource, { name, publicKey, allowedIP }: OwnPeer): void => {
  if (found.spec?.publicKey !== publicKey) {
    throw new AdminError(
      'ERR_ADMIN_CONNECT',
      `There is a Peer "${name}" with another key: give its private key (--private-key FILE), another name, or delete it (kubectl delete peer ${name}).`,
    );
  }
  if (!(found.spec.allowedIPs ?? []).includes(formatCidr(allowedIP))) {
    throw new AdminError(
      'ERR_ADMIN_CONNECT',
      `The Peer "${name}" may not send from ${formatCidr(allowedIP)}: give one of its allowedIPs with --allowed-ip (${(found.spec.allowedIPs ?? []).join(', ')}).`,
    );
  }
};

export const createPeer = async (client: KubernetesClient, peer: OwnPeer): Promise<void> => {
  await client.create(PEERS, {
    metadata: { name: peer.name },
    spec: {
      allowedIPs: [formatCidr(peer.allowedIP)],
      persistentKeepalive: peer.persistentKeepalive,
      publicKey: peer.publicKey,
    },
  });
};

/** Deletes the Peer if it still is the one with this key; gone or another's is as good. */
export const deletePeer = async (
  client: KubernetesClient,
  { name, publicKey }: { readonly name: string; readonly publicKey: string },
): Promise<void> => {
  const found = await findPeer(client, name);
  if (found?.spec?.publicKey !== publicKey) return;
  try {
    await client.delete(PEERS, name);
  } catch (error) {
    if (!isKubernetesError(error, 'ERR_KUBERNETES_NOT_FOUND')) throw error;
  }
};
