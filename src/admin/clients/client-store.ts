/**
 * Clients in the cluster: made, changed, taken away. Two that are made at the same time may choose one address; who comes
 * later in the API's order takes another.
 * @module
 */
import type { KubernetesClient } from '../../agent/kubernetes/client.ts';
import { isKubernetesError } from '../../agent/kubernetes/kubernetes-error.ts';
import { CUSTOM_RESOURCE_DEFINITIONS, PEERS, type PeerResource } from '../../agent/kubernetes/resources.ts';
import { type Cidr, formatCidr, hostCidr, parseCidr } from '../../noise/ip.ts';
import { compareText } from '../../routing/text-order.ts';
import { AdminError } from '../admin-error.ts';
import { type ClusterSnapshot, readCluster } from '../cluster-snapshot.ts';
import { CLIENT_POOL, defaultPools, freeAddress, parsePools } from './address-pool.ts';
import { type ClientChange, type ClientRequest, clientPatch, composeClient } from './client.ts';

const MOST_TRIES = 8;

/** The pools of this cluster: what the CRD's annotation says, else the default. @throws AdminError */
export const readPools = async (client: Pick<KubernetesClient, 'get'>): Promise<readonly Cidr[]> => {
  try {
    const { metadata } = await client.get(CUSTOM_RESOURCE_DEFINITIONS, 'peers.kilo.squat.ai');
    const said = metadata.annotations?.[CLIENT_POOL];
    return said === undefined ? defaultPools() : parsePools(said);
  } catch (error) {
    if (isKubernetesError(error, 'ERR_KUBERNETES_NOT_FOUND', 'ERR_KUBERNETES_FORBIDDEN'))
      return defaultPools();
    throw error;
  }
};

/** Answers the cluster with the new client in it. @throws AdminError, KubernetesError */
export const addClient = async (
  client: KubernetesClient,
  request: ClientRequest,
  topologyLabel: string,
): Promise<ClusterSnapshot> => {
  const before = await readCluster(client, topologyLabel);
  if (!before.definesPeers)
    throw new AdminError(
      'ERR_ADMIN_CLIENT',
      'This cluster does not know the kind Peer: install Kilowire in it first (kilowire manifests | kubectl apply -f -).',
    );
  await client.create(PEERS, composeClient(request, before));
  for (let attempt = 0; attempt < MOST_TRIES; attempt++) {
    const snapshot = await readCluster(client, topologyLabel);
    if (request.addresses !== undefined || !mustMove(snapshot, request.name)) return snapshot;
    const taken = snapshot.peers.flatMap(({ peer }) => peer.allowedIPs);
    const allowedIPs = request.pools.flatMap((pool) => {
      const address = freeAddress(pool, taken);
      return address === null ? [] : [formatCidr(hostCidr(address))];
    });
    await client.patch(PEERS, request.name, { spec: { allowedIPs } });
  }
  throw new AdminError(
    'ERR_ADMIN_CLIENT',
    `No address of its own was found for "${request.name}" in ${MOST_TRIES} attempts: others are adding clients at this moment. Look at kilowire client list.`,
  );
};

/** Somebody who was there before has one of its addresses. */
const mustMove = ({ peers }: ClusterSnapshot, name: string): boolean => {
  const own = peers.find(({ peer }) => peer.name === name);
  if (own === undefined) return false;
  const texts = new Set((own.resource.spec?.allowedIPs ?? []).map(canonical));
  return peers.some(
    ({ resource }) =>
      resource !== own.resource &&
      (resource.spec?.allowedIPs ?? []).some((text) => texts.has(canonical(text))) &&
      isBefore(resource, own.resource),
  );
};

const canonical = (text: string): string => {
  const cidr = parseCidr(text);
  return cidr === null ? text : formatCidr(cidr);
};

const isBefore = ({ metadata: a }: PeerResource, { metadata: b }: PeerResource): boolean =>
  (compareText(a.creationTimestamp ?? '', b.creationTimestamp ?? '') || compareText(a.name, b.name)) < 0;

/** @throws AdminError when there is none of the name. */
export const changeClient = async (
  client: KubernetesClient,
  name: string,
  change: ClientChange,
): Promise<PeerResource> => await known(name, client.patch(PEERS, name, clientPatch(change)));

/** @throws AdminError when there is none of the name. */
export const removeClient = async (client: KubernetesClient, name: string): Promise<void> => {
  await known(name, client.delete(PEERS, name));
};

const known = async <Answer>(name: string, work: Promise<Answer>): Promise<Answer> => {
  try {
    return await work;
  } catch (cause) {
    if (!isKubernetesError(cause, 'ERR_KUBERNETES_NOT_FOUND')) throw cause;
    throw new AdminError(
      'ERR_ADMIN_UNKNOWN',
      `There is no client "${name}": kilowire client list shows all.`,
      {
        cause,
      },
    );
  }
};
