/**
 * What may be set in the manifests: name, default and meaning of each, once for `kilowire manifests --set`, for the Helm
 * chart's values and for their schema.
 * @module
 */
import { DeployError } from './deploy-error.ts';

export type Scalar = string | number | boolean;
export type SettingValue = Scalar | readonly string[] | Readonly<Record<string, unknown>>;

export interface Setting {
  readonly default: SettingValue;
  readonly description: string;
  /** The only words it may be. */
  readonly oneOf?: readonly string[];
  /** What a text must look like. */
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
}

const RESOURCES = (cpu: string, memory: string, limit: string): SettingValue => ({
  requests: { cpu, memory },
  limits: { memory: limit },
});

/** A dot in a name is one level of the chart's values. */
export const SETTINGS: Readonly<Record<string, Setting>> = {
  namespace: {
    default: 'kube-system',
    description: 'Namespace of everything that has one; it must admit privileged pods.',
    pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
  },
  image: {
    default: 'kilowire:0.1.0',
    description: 'The OCI image; k3s takes it from /var/lib/rancher/k3s/agent/images or from a registry.',
    pattern: '^\\S+$',
  },
  imagePullPolicy: {
    default: 'IfNotPresent',
    description: 'When the kubelet fetches the image.',
    oneOf: ['IfNotPresent', 'Always', 'Never'],
  },
  priorityClassName: {
    default: 'system-node-critical',
    description: 'A node without its network is no node.',
  },
  meshGranularity: {
    default: 'location',
    description: 'Who has tunnels: one leader a location, every node, or every node to every other location.',
    oneOf: ['location', 'full', 'cross'],
  },
  encapsulate: {
    default: 'crosssubnet',
    description: 'When packets inside a location are wrapped in IPIP (Kilo: always).',
    oneOf: ['never', 'crosssubnet', 'always'],
  },
  subnet: {
    default: '10.4.0.0/16',
    description: 'Pool of the WireGuard addresses; it must overlap neither pods, services nor networks.',
    pattern: '^[0-9a-fA-F.:]+/[0-9]+$',
  },
  serviceCIDR: {
    default: ['10.43.0.0/16'],
    description: 'Ranges of the Services, which are not masqueraded.',
  },
  interface: {
    default: 'kilo0',
    description: 'Name of the WireGuard interface.',
    pattern: '^[^\\s/]{1,15}$',
  },
  port: {
    default: 51820,
    description: 'UDP port that nodes and peers dial; open it between the nodes.',
    minimum: 1,
    maximum: 65535,
  },
  mtu: {
    default: 'auto',
    description: 'MTU of the WireGuard interface; auto: that of the default route less 80.',
    pattern: '^(auto|[0-9]+)$',
  },
  topologyLabel: {
    default: 'topology.kubernetes.io/region',
    description: 'Node label that names the location.',
  },
  'apiServer.host': {
    default: '127.0.0.1',
    description:
      'Where the agent finds the API: on a k3s node its own load balancer, which needs no kube-proxy; empty: the Service.',
  },
  'apiServer.port': {
    default: 6444,
    description: 'Port of that.',
    minimum: 1,
    maximum: 65535,
  },
  'cni.enabled': {
    default: true,
    description: 'Serve the pods of the node; false beside another network plugin.',
  },
  'cni.binDir': {
    default: '/opt/cni/bin',
    description: 'Where the container runtime looks for CNI executables.',
    pattern: '^/',
  },
  'cni.confDir': {
    default: '/etc/cni/net.d',
    description: 'Where the container runtime looks for network configurations.',
    pattern: '^/',
  },
  compatibility: {
    default: '',
    description: 'The other network plugin, if there is one.',
    oneOf: ['', 'flannel', 'cilium'],
  },
  local: {
    default: true,
    description: 'Route between the nodes of a location; false where another plugin does.',
  },
  'agent.cleanUp': {
    default: false,
    description: 'Take routes, rules and annotations away whenever an agent ends, also for an upgrade.',
  },
  'agent.logLevel': {
    default: 'info',
    description: 'How much the agent says.',
    oneOf: ['all', 'debug', 'info', 'warn', 'error', 'none'],
  },
  'agent.leaseHeartbeat': {
    default: false,
    description:
      'Say by a Lease in kube-node-lease that a node lives, once all agents do; kubectl-like tools of Kilo do not read it. Its role covers the leases of kubelets too.',
  },
  'agent.extraArgs': {
    default: [],
    description: 'More flags of kilowire agent.',
  },
  'agent.resources': {
    default: RESOURCES('20m', '96Mi', '256Mi'),
    description: 'Resources of the agent.',
  },
  'device.updateStrategy': {
    default: 'OnDelete',
    description:
      'When a device is replaced after a change: when its pod is deleted, or by a new pod that takes over without a pause.',
    oneOf: ['OnDelete', 'RollingUpdate'],
  },
  'device.logLevel': {
    default: 'error',
    description: 'How much the device says.',
    oneOf: ['verbose', 'error', 'silent'],
  },
  'device.resources': {
    default: RESOURCES('50m', '96Mi', '192Mi'),
    description: 'Resources of the device; its memory is bounded.',
  },
  'ui.listen': {
    default: '',
    description:
      'Where every agent serves the page that shows the mesh: 127.0.0.1:8107, for kubectl port-forward; empty: nowhere. Any other address needs a token.',
    pattern: '^(|\\S*:[0-9]{1,5})$',
  },
  'ui.tokenSecret': {
    default: '',
    description: 'Secret in the same namespace, whose key "token" is what the page then asks everybody for.',
    pattern: '^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$',
  },
  'dns.enabled': {
    default: false,
    description: 'A CoreDNS of these manifests: for a cluster that has none, or beside the one it has.',
  },
  'dns.service': {
    default: 'kube-dns',
    description:
      'Name of its Service: kube-dns in kube-system is where kilowire connect and client look; beside a CoreDNS that is there it needs another.',
    pattern: '^[a-z]([-a-z0-9]*[a-z0-9])?$',
  },
  'dns.address': {
    default: '10.43.0.10',
    description: 'Fixed address of its Service, in the range of services; k3s gives pods the default one.',
    pattern: '^[0-9a-fA-F.:]+$',
  },
  'dns.domain': {
    default: 'cluster.local',
    description: 'The domain of the cluster.',
    pattern: '^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$',
  },
  'dns.image': {
    default: 'docker.io/coredns/coredns:1.15.0',
    description: 'The image of CoreDNS.',
    pattern: '^\\S+$',
  },
  'dns.replicas': {
    default: 2,
    description: 'How many of it, spread over the locations.',
    minimum: 1,
    maximum: 1000,
  },
  'dns.resources': {
    default: RESOURCES('20m', '48Mi', '170Mi'),
    description: 'Resources of each.',
  },
  admissionPolicy: {
    default: true,
    description: 'Let an agent change its own Node only (ValidatingAdmissionPolicy, Kubernetes 1.30).',
  },
  podMonitor: {
    default: false,
    description: "A PodMonitor for Prometheus' operator.",
  },
};

/** Addresses of the page at which nobody but the node itself reaches it: elsewhere it needs a token. */
export const PAGE_AT_HOME = '^(|127\\.[0-9.]+:.*|\\[::1\\]:.*|localhost:.*)$';

export type Values = Readonly<Record<string, SettingValue>>;

/** The defaults, and what is given over them; each is checked. */
export const valuesWith = (given: Values): Values => {
  for (const [name, value] of Object.entries(given)) check(name, value);
  const defaults = Object.entries(SETTINGS).map(([name, setting]) => [name, setting.default] as const);
  const values: Values = { ...Object.fromEntries(defaults), ...given };
  if (values['ui.tokenSecret'] === '' && !new RegExp(PAGE_AT_HOME).test(String(values['ui.listen'])))
    throw new DeployError(
      'ERR_DEPLOY_VALUE',
      `ui.listen: others than the node reach ${values['ui.listen']}: name a Secret with a token in ui.tokenSecret.`,
    );
  return values;
};

const check = (name: string, value: SettingValue): void => {
  const setting = SETTINGS[name];
  if (setting === undefined)
    throw new DeployError(
      'ERR_DEPLOY_SETTING',
      `There is no setting "${name}"; there are: ${Object.keys(SETTINGS).join(', ')}.`,
    );
  const wrong = (what: string): DeployError =>
    new DeployError('ERR_DEPLOY_VALUE', `${name}: "${String(value)}" is not ${what}.`);
  const kind = Array.isArray(setting.default) ? 'list' : typeof setting.default;
  if ((Array.isArray(value) ? 'list' : typeof value) !== kind) throw wrong(`a ${kind}`);
  if (setting.oneOf !== undefined && !setting.oneOf.includes(String(value)))
    throw wrong(`one of ${setting.oneOf.map((word) => `"${word}"`).join(', ')}`);
  if (setting.pattern !== undefined && !new RegExp(setting.pattern).test(String(value)))
    throw wrong(`what ${setting.pattern} describes`);
  if (typeof value !== 'number') return;
  const { minimum = -Infinity, maximum = Infinity } = setting;
  if (!Number.isInteger(value) || value < minimum || value > maximum)
    throw wrong(`a number from ${minimum} to ${maximum}`);
};

/** "name=value" as a person writes it: lists with commas, trees as JSON. */
export const parseSetting = (text: string): readonly [string, SettingValue] => {
  const at = text.indexOf('=');
  const [name, value] = [text.slice(0, Math.max(0, at)), text.slice(at + 1)];
  const setting = SETTINGS[name];
  if (at < 1) throw new DeployError('ERR_DEPLOY_SETTING', `"${text}" is not NAME=VALUE.`);
  if (setting === undefined) return [name, value];
  if (Array.isArray(setting.default)) return [name, value === '' ? [] : value.split(',')];
  if (typeof setting.default === 'number') return [name, /^\d+$/.test(value) ? Number(value) : value];
  if (typeof setting.default === 'boolean')
    return [name, value === 'true' ? true : value === 'false' ? false : value];
  return typeof setting.default === 'object' ? [name, treeOf(name, value)] : [name, value];
};

const treeOf = (name: string, text: string): Readonly<Record<string, unknown>> => {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  } catch {
    // Said below.
  }
  throw new DeployError('ERR_DEPLOY_VALUE', `${name}: "${text}" is not a JSON object.`);
};
