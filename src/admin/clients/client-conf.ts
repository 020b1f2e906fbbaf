/**
 * The file a client loads: for wg-quick, and for WireGuard's applications on phones and desktops.
 * Source: wg-quick(8), wg(8) CONFIGURATION FILE FORMAT; the sections are those `kgctl showconf peer` prints, less what
 * wg-quick would make a wrong route of: a range with a tunnel's own end in it, and Peers that nobody can dial.
 * @module
 */
import { type Address, type Cidr, contains, formatAddress, formatCidr } from '../../noise/ip.ts';
import { formatMeshEndpoint } from '../../routing/node.ts';
import type { MeshPeer, Segment, Topology } from '../../routing/topology.ts';
import { AdminError } from '../admin-error.ts';
import { type Mesh, topologyFrom, withRanges } from '../mesh.ts';

/** Stands in the file where the private key belongs, for whoever has the key and puts it there. */
export const PRIVATE_KEY_PLACEHOLDER = 'PRIVATE_KEY';

export interface ClientDns {
  readonly servers: readonly Address[];
  /** Of the cluster, such as cluster.local; names of services are short ones below svc. */
  readonly domain: string;
  /** Only names of the cluster go to the servers, by systemd-resolved; otherwise all names do. */
  readonly split: boolean;
}

export interface ClientConfOptions {
  /** Base64; without it the placeholder. */
  readonly privateKey?: string;
  /** Ranges behind the cluster as a whole, such as its services: the first node by name gets them. */
  readonly ranges?: readonly Cidr[];
  readonly dns?: ClientDns | null;
  /** Default 1420. */
  readonly mtu?: number;
}

export interface ClientConf {
  readonly text: string;
  /** Ranges that are not in it, with why, as sentences. */
  readonly leftOut: readonly string[];
}

const MTU = 1420;

/** Also for one that is disabled or has expired: its file is what it will be. @throws AdminError when there is none. */
export const clientConf = (mesh: Mesh, name: string, options: ClientConfOptions = {}): ClientConf => {
  const entry = mesh.snapshot.peers.find(({ peer }) => peer.name === name);
  if (entry === undefined)
    throw new AdminError(
      'ERR_ADMIN_UNKNOWN',
      `There is no client "${name}": kilowire client list shows all.`,
    );
  const { peer, invalid } = entry;
  if (invalid !== null)
    throw new AdminError('ERR_ADMIN_CLIENT', `The client "${name}" takes no part: ${invalid}.`);
  const peers = [...mesh.view.peers.filter((each) => each.name !== name), peer];
  const whole = withRanges({ ...mesh, view: { ...mesh.view, peers } }, options.ranges ?? []);
  const topology = topologyFrom(whole);
  const { claims } = topology;
  const self = topology.peers.find((each) => each.name === name);
  const segments = topology.segments.filter((segment) => claims.ownsKey(segment));
  const others = topology.peers.filter(
    (each) => each !== self && claims.ownsKey(each) && each.endpointInForce !== undefined,
  );
  const ends = [...segments, ...others].flatMap(({ endpointInForce }) => endpointInForce?.address ?? []);
  const leftOut: string[] = [];
  const sections = [...segments, ...others].map((claimant) =>
    section(claimant, routable(topology, claimant, ends, leftOut), {
      persistentKeepalive: peer.persistentKeepalive,
      ...(peer.presharedKey === undefined ? {} : { presharedKey: peer.presharedKey }),
    }),
  );
  const head = [
    `# ${name}, in the mesh ${formatCidr(topology.subnet)}`,
    '[Interface]',
    `PrivateKey = ${options.privateKey ?? PRIVATE_KEY_PLACEHOLDER}`,
    `Address = ${peer.allowedIPs.map(formatCidr).join(', ')}`,
    `MTU = ${options.mtu ?? MTU}`,
    ...dnsLines(options.dns ?? null),
  ];
  return { text: `${[head.join('\n'), ...sections].join('\n\n')}\n`, leftOut };
};

const dnsLines = (dns: ClientDns | null): readonly string[] => {
  if (dns === null || dns.servers.length === 0) return [];
  const servers = dns.servers.map(formatAddress);
  const search = `svc.${dns.domain}`;
  if (!dns.split) return [`DNS = ${[...servers, search].join(', ')}`];
  return [`PostUp = resolvectl dns %i ${servers.join(' ')}; resolvectl domain %i ~${dns.domain} ${search}`];
};

/** wg-quick makes a route of every range: the way to a tunnel's end must not lead through the tunnel. */
const routable = (
  { claims }: Topology,
  claimant: Segment | MeshPeer,
  ends: readonly Address[],
  leftOut: string[],
): readonly Cidr[] =>
  claims.networksOf(claimant).filter((range) => {
    if (range.prefix === 0) {
      leftOut.push(`${formatCidr(range)} is not in the file: it would be the way to everything.`);
      return false;
    }
    const isEnd = ends.some((end) => contains(range, end));
    // One host that is a tunnel's end is reached without the tunnel.
    if (isEnd && range.prefix < range.address.length * 8)
      leftOut.push(`${formatCidr(range)} is not in the file: the end of a tunnel lies in it.`);
    return !isEnd;
  });

const section = (
  claimant: Segment | MeshPeer,
  ranges: readonly Cidr[],
  own: { readonly persistentKeepalive: number; readonly presharedKey?: string },
): string => {
  const isSegment = 'leader' in claimant;
  const { endpointInForce: endpoint } = claimant;
  return [
    `# ${isSegment ? `${claimant.location}, led by ${claimant.leader.name}` : `peer ${claimant.name}`}`,
    '[Peer]',
    `PublicKey = ${isSegment ? claimant.leader.key : claimant.key}`,
    // A preshared key is between this client and the nodes.
    ...(isSegment && own.presharedKey !== undefined ? [`PresharedKey = ${own.presharedKey}`] : []),
    ...(ranges.length === 0 ? [] : [`AllowedIPs = ${ranges.map(formatCidr).join(', ')}`]),
    ...(endpoint === undefined ? [] : [`Endpoint = ${formatMeshEndpoint(endpoint)}`]),
    ...(own.persistentKeepalive === 0 ? [] : [`PersistentKeepalive = ${own.persistentKeepalive}`]),
  ].join('\n');
};
