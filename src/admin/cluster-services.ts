/**
 * Where a cluster's services are, and who resolves their names: what a device outside needs besides the mesh itself.
 * Source: networking.k8s.io/v1 ServiceCIDR "kubernetes" (Kubernetes 1.33); the Service kube-system/kube-dns, which k3s, kubeadm
 * and CoreDNS' own manifests name so; Service default/kubernetes, which has the first address of the range.
 * @module
 */
import type { KubernetesClient } from '../agent/kubernetes/client.ts';
import { isKubernetesError } from '../agent/kubernetes/kubernetes-error.ts';
import { type KubernetesObject, type ResourceType, SERVICES } from '../agent/kubernetes/resources.ts';
import { type Address, type Cidr, network, parseAddress, parseCidr } from '../noise/ip.ts';

export const CLUSTER_DOMAIN = 'cluster.local';

interface ServiceCidr extends KubernetesObject {
  readonly spec?: { readonly cidrs?: readonly string[] };
}

const SERVICE_CIDRS: ResourceType<ServiceCidr> = {
  group: 'networking.k8s.io',
  version: 'v1',
  plural: 'servicecidrs',
  kind: 'ServiceCIDR',
  namespaced: false,
};

export interface ClusterServices {
  /** Empty when nothing could be learned. */
  readonly ranges: readonly Cidr[];
  /** The range was not read but guessed from an address in it. */
  readonly guessed: boolean;
  readonly dns: readonly Address[];
}

type Reader = Pick<KubernetesClient, 'get'>;

/** What the account may not read is not there. @throws KubernetesError when the API does not answer. */
export const readServices = async (client: Reader): Promise<ClusterServices> => {
  const [told, first, dns] = await Promise.all([
    optional(client.get(SERVICE_CIDRS, 'kubernetes')),
    optional(client.get(SERVICES, 'kubernetes', 'default')),
    optional(client.get(SERVICES, 'kube-dns', 'kube-system')),
  ]);
  const ranges = (told?.spec?.cidrs ?? []).flatMap((text) => parseCidr(text) ?? []);
  const guess = addressesOf(first?.spec).map((address) =>
    network({ address, prefix: address.length === 4 ? 16 : 112 }),
  );
  return {
    ranges: ranges.length > 0 ? ranges : guess,
    guessed: ranges.length === 0 && guess.length > 0,
    dns: addressesOf(dns?.spec),
  };
};

const optional = async <Item>(work: Promise<Item>): Promise<Item | null> => {
  try {
    return await work;
  } catch (error) {
    if (isKubernetesError(error, 'ERR_KUBERNETES_NOT_FOUND', 'ERR_KUBERNETES_FORBIDDEN')) return null;
    throw error;
  }
};

const addressesOf = (
  spec: { readonly clusterIP?: string; readonly clusterIPs?: readonly string[] } | undefined,
): Address[] =>
  [...new Set([spec?.clusterIP ?? '', ...(spec?.clusterIPs ?? [])])].flatMap(
    (text) => parseAddress(text) ?? [],
  );
