/**
 * All that a node's agent puts on its host, as lines with a key each, so that two states can be compared.
 * @module
 */
import { formatCidr } from '../noise/ip.ts';
import { networkKey } from '../routing/ip-prefix.ts';
import { desiredFilter, iptablesArguments } from '../routing/nat.ts';
import { formatMeshEndpoint } from '../routing/node.ts';
import type { PathOptions } from '../routing/packet-path.ts';
import { routeWords, ruleWords } from '../routing/route-words.ts';
import { desiredRoutes } from '../routing/routes.ts';
import type { MeshPeer, Segment, Topology } from '../routing/topology.ts';
import { keepaliveWith, tunnelledSegments, tunnelNetworks } from '../routing/wireguard-config.ts';

export type Part = 'interface' | 'peer' | 'route' | 'rule' | 'filter';

export interface StateLine {
  readonly part: Part;
  readonly text: string;
}

/** Key → line; an empty map for a node that takes no part. */
export type HostState = ReadonlyMap<string, StateLine>;

export const hostState = (topology: Topology, options: PathOptions): HostState => {
  const lines = new Map<string, StateLine>();
  const put = (part: Part, key: string, text: string): void =>
    void lines.set(`${part} ${key}`, { part, text });
  const { wireguardCIDR, self, isLeader } = topology;
  const link = options.links.wireguard;
  put(
    'interface',
    link,
    wireguardCIDR === null
      ? `${link} down`
      : `${link} ${formatCidr(wireguardCIDR)}, UDP port ${self.endpoint.port}`,
  );
  if (isLeader) {
    const { claims } = topology;
    const owners = [...tunnelledSegments(topology), ...topology.peers].filter((each) => claims.ownsKey(each));
    for (const owner of owners) {
      const name = 'leader' in owner ? owner.leader.name : owner.name;
      put('peer', name, peerWords(topology, owner, name));
    }
  }
  const { routes, rules } = desiredRoutes(topology, options);
  for (const route of routes)
    put('route', `${route.table} ${networkKey(route.destination)}`, routeWords(route));
  for (const rule of rules) put('rule', ruleWords(rule), ruleWords(rule));
  const { append, prepend } = desiredFilter(topology, options);
  for (const item of [...append, ...prepend]) {
    const program = item.family === 4 ? 'iptables' : 'ip6tables';
    const text =
      item.kind === 'chain'
        ? `${program} -t ${item.table} -N ${item.chain}`
        : `${program} -t ${item.table} -A ${iptablesArguments(item).map(quoted).join(' ')}`;
    put('filter', text, text);
  }
  return lines;
};

const peerWords = (topology: Topology, owner: Segment | MeshPeer, name: string): string => {
  const isSegment = 'leader' in owner;
  const { endpointInForce } = owner;
  const keepalive = keepaliveWith(topology, owner);
  return [
    `${isSegment ? 'node' : 'peer'} ${name}`,
    endpointInForce === undefined ? 'endpoint unknown' : `endpoint ${formatMeshEndpoint(endpointInForce)}`,
    `allowed ${tunnelNetworks(topology, owner).map(formatCidr).join(', ') || 'nothing'}`,
    ...(keepalive === 0 ? [] : [`keepalive ${keepalive} s`]),
    // Whether there is one, and which key it is with; never the secret.
    `key ${isSegment ? owner.leader.key : owner.key}`,
    ...(!isSegment && owner.presharedKey !== undefined ? ['with a preshared key'] : []),
  ].join('; ');
};

const quoted = (word: string): string => (/^[\w./:-]+$/.test(word) ? word : `"${word}"`);
