/**
 * A Kubernetes Node as the mesh reads it: Kilo's annotations and the location label, one by one, a bad one costing only
 * itself.
 * Source: Kilo's annotations (docs/annotations.md) and how its agent translates them.
 * @module
 */
import {
  type Address,
  type Cidr,
  formatAddress,
  formatCidr,
  isIpv6,
  network,
  parseAddress,
  parseCidr,
} from '../noise/ip.ts';
import { isKey } from '../routing/key-text.ts';
import { formatMeshEndpoint, type Granularity, type MeshEndpoint, type Node } from '../routing/node.ts';
import { compareText } from '../routing/text-order.ts';
import { parseIp, parseMeshEndpoint } from './endpoint-text.ts';
import { jsonObject } from './json-object.ts';
import type { NodeResource } from './kubernetes/resources.ts';
import {
  ABILITIES,
  FAILING_LEADERS,
  KEY_ROTATED,
  KNOWN_KEYS,
  LEADS,
  NEXT_KEY,
  ownPart,
  PSK_KEY,
  RELAY,
  ROTATE_KEY,
  STABLE_ADDRESS,
  UNREACHED,
} from './own-annotations.ts';

const PREFIX = 'kilo.squat.ai/';

/** Written by the user. */
export const FORCE_ENDPOINT = `${PREFIX}force-endpoint`;
export const FORCE_INTERNAL_IP = `${PREFIX}force-internal-ip`;
export const LEADER = `${PREFIX}leader`;
export const LOCATION = `${PREFIX}location`;
export const PERSISTENT_KEEPALIVE = `${PREFIX}persistent-keepalive`;
export const ALLOWED_LOCATION_IPS = `${PREFIX}allowed-location-ips`;
/** Written by the agent of the node. */
export const ENDPOINT = `${PREFIX}endpoint`;
export const INTERNAL_IP = `${PREFIX}internal-ip`;
export const KEY = `${PREFIX}key`;
export const LAST_SEEN = `${PREFIX}last-seen`;
export const WIREGUARD_IP = `${PREFIX}wireguard-ip`;
export const DISCOVERED_ENDPOINTS = `${PREFIX}discovered-endpoints`;
export const GRANULARITY = `${PREFIX}granularity`;
export const CNI_COMPATIBILITY_IP = `${PREFIX}cni-compatibility-ip`;
/** The endpoint this program found by itself: one that it may replace when the host's address changes. */
export const DETECTED_ENDPOINT = 'kilowire.dev/detected-endpoint';
/** Where neighbours hand the pods' IPv6, beside a private address of IPv4. */
export const INTERNAL_IPV6 = 'kilowire.dev/internal-ipv6';

export const DEFAULT_TOPOLOGY_LABEL = 'topology.kubernetes.io/region';

const LONGEST_KEEPALIVE = 0xffff;
const NO_INTERNAL_IP = ['', '-'];

export interface NodeRecord {
  readonly node: Node;
  /** The user says that there is no private address, so none is looked for. */
  readonly noInternalIP: boolean;
  /** What was written but could not be read, as sentences. */
  readonly faults: readonly string[];
}

export const nodeRecord = (resource: NodeResource, topologyLabel = DEFAULT_TOPOLOGY_LABEL): NodeRecord => {
  const { name, annotations = {}, labels = {} } = resource.metadata;
  const reader = new Reader(annotations);
  const endpoint = reader.endpoint(FORCE_ENDPOINT) ?? reader.endpoint(ENDPOINT);
  const forced = annotations[FORCE_INTERNAL_IP];
  const noInternalIP = forced !== undefined && NO_INTERNAL_IP.includes(forced);
  const internalIP = noInternalIP ? undefined : (reader.cidr(FORCE_INTERNAL_IP) ?? reader.cidr(INTERNAL_IP));
  const internalIPv6 = internalIP?.address.length === 4 ? reader.ipv6(INTERNAL_IPV6) : undefined;
  const wireguardIP = reader.cidr(WIREGUARD_IP);
  const cniCompatibilityIP = reader.cidr(CNI_COMPATIBILITY_IP);
  const granularity = granularityOf(annotations[GRANULARITY]);
  reader.permission(RELAY);
  const node: Node = {
    name,
    location: annotations[LOCATION] ?? labels[topologyLabel] ?? '',
    key: keyOf(annotations[KEY]),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(internalIP === undefined ? {} : { internalIP }),
    ...(internalIPv6 === undefined ? {} : { internalIPv6 }),
    podCIDRs: podCIDRsOf(resource),
    leader: annotations[LEADER] !== undefined,
    persistentKeepalive: reader.keepalive(PERSISTENT_KEEPALIVE),
    ...(wireguardIP === undefined ? {} : { wireguardIP }),
    allowedLocationIPs: reader.cidrs(ALLOWED_LOCATION_IPS),
    discoveredEndpoints: reader.discovered(DISCOVERED_ENDPOINTS),
    lastSeen: lastSeenOf(annotations),
    ...(granularity === undefined ? {} : { granularity }),
    ...(cniCompatibilityIP === undefined ? {} : { cniCompatibilityIP }),
    ...ownPart(annotations, annotations[LAST_SEEN] ?? ''),
    ...createdAt(resource),
  };
  return { node, noInternalIP, faults: reader.faults };
};

/** Reads annotations, and remembers those that made no sense. */
class Reader {
  readonly faults: string[] = [];
  readonly #annotations: Readonly<Record<string, string>>;

  constructor(annotations: Readonly<Record<string, string>>) {
    this.#annotations = annotations;
  }

  endpoint(name: string): MeshEndpoint | undefined {
    const text = this.#annotations[name] ?? '';
    if (text === '') return undefined;
    return parseMeshEndpoint(text) ?? this.#fault(name, text, 'a host and port');
  }

  /** Host bits are kept; an address without prefix length is none. */
  cidr(name: string): Cidr | undefined {
    const text = this.#annotations[name] ?? '';
    if (text === '') return undefined;
    return parseCidr(text) ?? this.#fault(name, text, 'an address with its prefix length');
  }

  ipv6(name: string): Address | undefined {
    const text = this.#annotations[name] ?? '';
    if (text === '') return undefined;
    const address = parseAddress(text);
    return address !== null && isIpv6(address) ? address : this.#fault(name, text, 'an IPv6 address');
  }

  /** Spaces are not taken off: a range with one is none, as for every other agent. */
  cidrs(name: string): Cidr[] {
    const text = this.#annotations[name] ?? '';
    if (text === '') return [];
    return text.split(',').flatMap((part) => parseCidr(part) ?? this.#fault(name, part, 'a range') ?? []);
  }

  keepalive(name: string): number {
    const text = this.#annotations[name];
    if (text === undefined) return 0;
    const seconds = /^\+?\d{1,9}$/.test(text) ? Number(text) : -1;
    if (seconds >= 0 && seconds <= LONGEST_KEEPALIVE) return seconds;
    this.#fault(name, text, `a number of seconds up to ${LONGEST_KEEPALIVE}`);
    return 0;
  }

  /** What is no permission forbids: traffic costs money. */
  permission(name: string): void {
    const text = this.#annotations[name] ?? 'true';
    if (text === 'true' || text === 'false') return;
    this.faults.push(`The annotation ${name} is taken for "false": "${shortened(text)}" is not "true".`);
  }

  discovered(name: string): ReadonlyMap<string, MeshEndpoint> {
    const text = this.#annotations[name] ?? '';
    if (text === '') return new Map();
    const endpoints = parseDiscovered(text);
    if (endpoints !== null) return endpoints;
    this.#fault(name, text, 'a JSON object of endpoints');
    return new Map();
  }

  #fault(name: string, text: string, wanted: string): undefined {
    this.faults.push(`The annotation ${name} is ignored: "${shortened(text)}" is not ${wanted}.`);
    return undefined;
  }
}

const shortened = (text: string): string => (text.length > 60 ? `${text.slice(0, 60)}…` : text);

const parseDiscovered = (text: string): Map<string, MeshEndpoint> | null => {
  const written = jsonObject(text);
  if (written === null) return null;
  const endpoints = new Map<string, MeshEndpoint>();
  for (const [key, value] of Object.entries(written)) {
    const { IP: ip, Port: port } = (value ?? {}) as { IP?: unknown; Port?: unknown };
    const address = typeof ip === 'string' ? parseIp(ip) : null;
    if (address === null || typeof port !== 'number' || !isKey(key)) continue;
    if (Number.isInteger(port) && port > 0 && port <= 0xffff) endpoints.set(key, { address, port });
  }
  return endpoints;
};

/** As Kilo writes it, keys sorted so that the same endpoints are the same text. */
export const formatDiscovered = (endpoints: ReadonlyMap<string, MeshEndpoint>): string =>
  JSON.stringify(
    Object.fromEntries(
      [...endpoints]
        .toSorted(([a], [b]) => compareText(a, b))
        .flatMap(([key, { address, port }]) =>
          address === undefined ? [] : [[key, { IP: formatAddress(address), Port: port, Zone: '' }]],
        ),
    ),
  );

const createdAt = ({ metadata }: NodeResource): Pick<Node, 'createdAt'> => {
  const at = Date.parse(metadata.creationTimestamp ?? '') / 1000;
  return Number.isFinite(at) ? { createdAt: at } : {};
};

const keyOf = (text = ''): string => (isKey(text) ? text : '');

/** Unix seconds; 0: never. */
export const lastSeenOf = ({ [LAST_SEEN]: text = '' }: Readonly<Record<string, string>>): number =>
  /^\d{1,15}$/.test(text) ? Number(text) : 0;

const granularityOf = (text: string | undefined): Granularity | undefined =>
  text === 'location' || text === 'full' || text === 'cross' ? text : undefined;

/** `spec.podCIDR` first: it is the one other agents know. Host bits are cleared. */
const podCIDRsOf = ({ spec }: NodeResource): Cidr[] => {
  const texts = new Set([spec?.podCIDR ?? '', ...(spec?.podCIDRs ?? [])]);
  return [...texts].flatMap((text) => {
    const cidr = parseCidr(text);
    return cidr === null ? [] : [network(cidr)];
  });
};

/** What an agent says of its own node. */
export interface OwnRecord {
  readonly endpoint: MeshEndpoint;
  readonly detectedEndpoint: MeshEndpoint | null;
  readonly internalIP: Cidr | null;
  readonly internalIPv6: Address | null;
  readonly key: string;
  readonly lastSeen: number;
  readonly wireguardIP: Cidr | null;
  readonly discoveredEndpoints: ReadonlyMap<string, MeshEndpoint>;
  readonly granularity: Granularity;
  readonly cniCompatibilityIP: Cidr | null;
}

export const annotationsOf = (record: OwnRecord): Readonly<Record<string, string>> => ({
  [ENDPOINT]: formatMeshEndpoint(record.endpoint),
  [INTERNAL_IP]: optional(record.internalIP),
  [KEY]: record.key,
  [LAST_SEEN]: String(record.lastSeen),
  [WIREGUARD_IP]: optional(record.wireguardIP),
  [DISCOVERED_ENDPOINTS]: formatDiscovered(record.discoveredEndpoints),
  [GRANULARITY]: record.granularity,
  [CNI_COMPATIBILITY_IP]: optional(record.cniCompatibilityIP),
  ...(record.detectedEndpoint === null
    ? {}
    : { [DETECTED_ENDPOINT]: formatMeshEndpoint(record.detectedEndpoint) }),
  ...(record.internalIPv6 === null ? {} : { [INTERNAL_IPV6]: formatAddress(record.internalIPv6) }),
});

/** Everything an agent wrote, for its clean-up. */
export const AGENT_ANNOTATIONS: readonly string[] = [
  ENDPOINT,
  INTERNAL_IP,
  KEY,
  LAST_SEEN,
  WIREGUARD_IP,
  DISCOVERED_ENDPOINTS,
  GRANULARITY,
  CNI_COMPATIBILITY_IP,
  DETECTED_ENDPOINT,
  ABILITIES,
  STABLE_ADDRESS,
  NEXT_KEY,
  KNOWN_KEYS,
  PSK_KEY,
  ROTATE_KEY,
  KEY_ROTATED,
  LEADS,
  FAILING_LEADERS,
  UNREACHED,
  INTERNAL_IPV6,
];

const optional = (cidr: Cidr | null): string => (cidr === null ? '' : formatCidr(cidr));
