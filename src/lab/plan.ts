/**
 * The lab as a value, before anything is made: names and addresses of clouds, nodes, pods, the laptop and the services.
 * The cluster is the one of the article "How to Build a Multi-Cloud k3s Cluster with WireGuard and Kilo CNI"; the public
 * addresses are those set aside for documentation (RFC 5737), so that nothing outside can be meant by them.
 *
 *               kw-wan  203.0.113.0/24 · 198.51.100.0/24 · API 203.0.113.6:6443
 *        ┌───────────────┬───────────┴───┬───────────────┬──────────────┐
 *    kw-aws-rt      kw-azure-rt      kw-gcp-rt     kw-aliyun-rt     kw-laptop
 *   192.168.10.0/24 192.168.20.0/24 192.168.30.0/24 192.168.40.0/24  10.0.0.5
 *        │               │               │               │
 *    kw-aws-0 …      kw-azure-0 …     kw-gcp-0 …     kw-aliyun-0 …   kilo0 10.4.0.N/16
 *     │      │
 *   …-pod0 …-pod1                                                    kube-bridge 10.42.N.1/24
 *
 * @module
 */

export const CLOUDS = ['aws', 'azure', 'gcp', 'aliyun'] as const;
export type CloudName = (typeof CLOUDS)[number];
export type MeshGranularity = 'full' | 'location';

export const WAN_NETNS = 'kw-wan';
export const LAPTOP_NETNS = 'kw-laptop';
export const INTERFACE = 'kilo0';
export const BRIDGE = 'kube-bridge';
export const LISTEN_PORT = 51820;
/** 1500 of the clouds' Ethernet less 80 of WireGuard over IPv6, as Kilo computes it. */
export const MTU = 1420;
export const POD_CIDR = '10.42.0.0/16';
export const SERVICE_CIDR = '10.43.0.0/16';
export const WIREGUARD_CIDR = '10.4.0.0/16';
export const PODS_PER_NODE = 2;
/** Where the API server is: outside all clouds, as a server with a public address is to every node but its own. */
export const API = { ip: '203.0.113.6', port: 6443 } as const;
/** What a node behind source NAT, and the laptop, set so that their mapping stays open (kilo.md §4.6, §4.7). */
export const NAT_KEEPALIVE = 25;

export interface LabOptions {
  readonly nodesPerCloud: 1 | 2;
  readonly granularity: MeshGranularity;
}

export interface PodPlan {
  readonly name: string;
  readonly netns: string;
}

export interface NodePlan {
  readonly name: string;
  readonly netns: string;
  readonly cloud: CloudName;
  readonly privateIP: string;
  /** The public address the router maps to this node alone; null: it only has the router's source NAT. */
  readonly publicIP: string | null;
  readonly podCIDR: string;
  readonly podGateway: string;
  readonly keepalive: number;
  readonly pods: readonly PodPlan[];
}

export interface CloudPlan {
  readonly name: CloudName;
  readonly router: string;
  /** Address and prefix of the router towards the nodes, and the nodes' prefix. */
  readonly lan: { readonly gateway: string; readonly prefix: number; readonly cidr: string };
  /** The link between the router and the wan: the wan's end, the router's own (its source NAT), the prefix. */
  readonly wan: { readonly gateway: string; readonly router: string; readonly prefix: number };
  readonly nodes: readonly NodePlan[];
}

export interface LaptopPlan {
  readonly name: string;
  readonly netns: string;
  readonly ip: string;
  readonly publicIP: string;
  readonly gateway: string;
  readonly prefix: number;
}

export interface ServicePlan {
  readonly name: string;
  readonly ip: string;
  readonly port: number;
  readonly protocol: 'tcp' | 'udp';
  readonly dns: string;
  /** The pod behind it. */
  readonly pod: PodPlan;
  readonly node: NodePlan;
}

export interface LabPlan {
  readonly options: LabOptions;
  readonly clouds: readonly CloudPlan[];
  readonly laptop: LaptopPlan;
  readonly web: ServicePlan;
  readonly dns: ServicePlan;
}

const planNode = (cloud: CloudName, cloudIndex: number, index: number, perCloud: number): NodePlan => {
  const name = `${cloud}-${index}`;
  const number = cloudIndex * perCloud + index;
  return {
    name,
    netns: `kw-${name}`,
    cloud,
    privateIP: `192.168.${10 * (cloudIndex + 1)}.${10 + index}`,
    publicIP: index === 0 ? `203.0.113.${32 * (cloudIndex + 1) + 10}` : null,
    podCIDR: `10.42.${number}.0/24`,
    podGateway: `10.42.${number}.1`,
    keepalive: index === 0 ? 0 : NAT_KEEPALIVE,
    pods: Array.from({ length: PODS_PER_NODE }, (_, pod) => ({
      name: `${name}-pod${pod}`,
      netns: `kw-${name}-pod${pod}`,
    })),
  };
};

const planCloud = (name: CloudName, index: number, perCloud: number): CloudPlan => {
  const lan = `192.168.${10 * (index + 1)}`;
  const wanBase = 32 * (index + 1);
  return {
    name,
    router: `kw-${name}-rt`,
    lan: { gateway: `${lan}.1`, prefix: 24, cidr: `${lan}.0/24` },
    wan: { gateway: `203.0.113.${wanBase + 1}`, router: `203.0.113.${wanBase + 2}`, prefix: 27 },
    nodes: Array.from({ length: perCloud }, (_, node) => planNode(name, index, node, perCloud)),
  };
};

export function planLab(options: LabOptions): LabPlan {
  const clouds = CLOUDS.map((name, index) => planCloud(name, index, options.nodesPerCloud));
  const behind = (cloud: CloudName, pod: number): { node: NodePlan; pod: PodPlan } => {
    const node = clouds.find(({ name }) => name === cloud)?.nodes[0];
    const found = node?.pods[pod];
    if (node === undefined || found === undefined)
      throw new RangeError(`the plan has no pod ${pod} in ${cloud}`);
    return { node, pod: found };
  };
  return {
    options,
    clouds,
    laptop: {
      name: 'laptop',
      netns: LAPTOP_NETNS,
      ip: '10.0.0.5',
      publicIP: '198.51.100.5',
      gateway: '198.51.100.1',
      prefix: 24,
    },
    // Both lie in other clouds than aws, through which the laptop enters: a request to them crosses the mesh too.
    web: {
      name: 'web',
      ip: '10.43.0.10',
      port: 80,
      protocol: 'tcp',
      dns: 'web.default.svc.cluster.local',
      ...behind('azure', 0),
    },
    dns: {
      name: 'dns',
      ip: '10.43.0.53',
      port: 53,
      protocol: 'udp',
      dns: 'dns.kube-system.svc.cluster.local',
      ...behind('gcp', 0),
    },
  };
}

export const nodesOf = (plan: LabPlan): readonly NodePlan[] => plan.clouds.flatMap(({ nodes }) => nodes);

/** Every namespace of the plan, outermost first. */
export const namespacesOf = (plan: LabPlan): readonly string[] => [
  WAN_NETNS,
  ...plan.clouds.map(({ router }) => router),
  ...nodesOf(plan).map(({ netns }) => netns),
  ...nodesOf(plan).flatMap(({ pods }) => pods.map(({ netns }) => netns)),
  plan.laptop.netns,
];

const OWN_NAME = new RegExp(`^kw-(wan|laptop|(${CLOUDS.join('|')})-(rt|[0-9](-pod[0-9])?))$`);

/** Whether a namespace name is one that some lab makes: what is removed when no record tells. */
export const isLabNamespace = (name: string): boolean => OWN_NAME.test(name);
