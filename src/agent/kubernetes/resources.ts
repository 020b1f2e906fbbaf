/**
 * The few kinds of Kubernetes objects a mesh agent meets, with the few fields it reads, and where they live.
 * Source: Kubernetes API reference (core/v1 Node and Event, coordination.k8s.io/v1 Lease, apiextensions.k8s.io/v1
 * CustomResourceDefinition); Kilo's Peer (kilo.squat.ai/v1alpha1).
 * @module
 */

export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly {
    readonly apiVersion: string;
    readonly kind: string;
    readonly name: string;
    readonly uid: string;
  }[];
}

export interface KubernetesObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
}

export interface NodeResource extends KubernetesObject {
  readonly spec?: { readonly podCIDR?: string; readonly podCIDRs?: readonly string[] };
  readonly status?: { readonly addresses?: readonly { readonly type: string; readonly address: string }[] };
}

export interface PodResource extends KubernetesObject {
  readonly spec?: { readonly nodeName?: string; readonly hostNetwork?: boolean };
  readonly status?: {
    readonly podIP?: string;
    readonly podIPs?: readonly { readonly ip: string }[];
    readonly phase?: string;
  };
}

export interface ServiceResource extends KubernetesObject {
  readonly spec?: { readonly clusterIP?: string; readonly clusterIPs?: readonly string[] };
}

export interface PeerSpec {
  readonly allowedIPs?: readonly string[] | null;
  readonly endpoint?: {
    readonly dnsOrIP?: { readonly dns?: string; readonly ip?: string };
    readonly port?: number;
  };
  readonly persistentKeepalive?: number;
  readonly presharedKey?: string;
  readonly publicKey?: string;
}

export interface PeerResource extends KubernetesObject {
  readonly spec?: PeerSpec;
}

export interface EventResource extends KubernetesObject {
  readonly involvedObject: {
    readonly apiVersion: string;
    readonly kind: string;
    readonly name: string;
    readonly uid?: string;
  };
  readonly reason: string;
  readonly message: string;
  readonly type: 'Normal' | 'Warning';
  readonly count?: number;
  readonly firstTimestamp?: string;
  readonly lastTimestamp?: string;
  readonly source?: { readonly component: string; readonly host?: string };
}

export interface LeaseResource extends KubernetesObject {
  readonly spec?: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly acquireTime?: string;
    /** RFC 3339 with microseconds. */
    readonly renewTime?: string;
    readonly leaseTransitions?: number;
  };
}

export interface CustomResourceDefinition extends KubernetesObject {
  readonly spec: {
    readonly group: string;
    readonly names: { readonly kind: string; readonly plural: string; readonly singular?: string };
    readonly scope: 'Cluster' | 'Namespaced';
    readonly versions: readonly {
      readonly name: string;
      readonly served: boolean;
      readonly storage: boolean;
      readonly schema?: unknown;
    }[];
  };
  readonly status?: {
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

/** Where a kind lives; `Object` is its shape. */
export interface ResourceType<Item extends KubernetesObject> {
  /** '' is the core group. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
  /** Carries the type; never set. */
  readonly shape?: Item;
}

export const NODES: ResourceType<NodeResource> = {
  group: '',
  version: 'v1',
  plural: 'nodes',
  kind: 'Node',
  namespaced: false,
};
export const PODS: ResourceType<PodResource> = {
  group: '',
  version: 'v1',
  plural: 'pods',
  kind: 'Pod',
  namespaced: true,
};
export const SERVICES: ResourceType<ServiceResource> = {
  group: '',
  version: 'v1',
  plural: 'services',
  kind: 'Service',
  namespaced: true,
};
export const EVENTS: ResourceType<EventResource> = {
  group: '',
  version: 'v1',
  plural: 'events',
  kind: 'Event',
  namespaced: true,
};
export const LEASES: ResourceType<LeaseResource> = {
  group: 'coordination.k8s.io',
  version: 'v1',
  plural: 'leases',
  kind: 'Lease',
  namespaced: true,
};
export const CUSTOM_RESOURCE_DEFINITIONS: ResourceType<CustomResourceDefinition> = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
  kind: 'CustomResourceDefinition',
  namespaced: false,
};
export const PEERS: ResourceType<PeerResource> = {
  group: 'kilo.squat.ai',
  version: 'v1alpha1',
  plural: 'peers',
  kind: 'Peer',
  namespaced: false,
};

export const apiVersionOf = ({
  group,
  version,
}: Pick<ResourceType<KubernetesObject>, 'group' | 'version'>) =>
  group === '' ? version : `${group}/${version}`;

/** `/api/v1/nodes/n1`, `/apis/coordination.k8s.io/v1/namespaces/kube-system/leases` */
export const pathOf = (
  { group, version, plural }: Pick<ResourceType<KubernetesObject>, 'group' | 'version' | 'plural'>,
  name?: string,
  namespace?: string,
): string => {
  const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
  const scope = namespace === undefined ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
  return `${root}${scope}/${plural}${name === undefined ? '' : `/${encodeURIComponent(name)}`}`;
};
