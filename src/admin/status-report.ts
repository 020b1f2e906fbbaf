/**
 * The state of a mesh for people and programs: who leads and why, what each member says, what is wrong and what to do.
 * Pure: from a snapshot, and from what agents and devices said of their tunnels.
 * @module
 */
import { formatAddress, formatCidr } from '../noise/ip.ts';
import { isPublic } from '../routing/ip-prefix.ts';
import { whyLeads, withoutFailover } from '../routing/leader.ts';
import { type MeshJson, relayedPairs } from '../routing/mesh-json.ts';
import { formatMeshEndpoint, isReadyNode, whyNotReady } from '../routing/node.ts';
import { knowsRelays, unreachedBy } from '../routing/relays.ts';
import type { Segment, Topology } from '../routing/topology.ts';
import type { Mesh } from './mesh.ts';
import { remedyFor } from './remedies.ts';
import type { Tunnel } from './tunnels.ts';

export interface StatusProblem {
  readonly code: string;
  /** A notice may be as it should be. */
  readonly severity: 'fault' | 'notice';
  /** The member, as `node aws-1`. */
  readonly subject: string;
  readonly what: string;
  readonly remedy: string;
}

export interface StatusReport {
  readonly mesh: {
    readonly granularity: string;
    readonly subnet: string;
    readonly nodes: { readonly ready: number; readonly all: number };
    readonly peers: { readonly ready: number; readonly all: number };
    /** Whether leaders that fail are replaced; otherwise Kilo's rule decides alone. */
    readonly leaderFailover: boolean;
  };
  readonly segments: readonly {
    readonly location: string;
    readonly leader: string;
    readonly why: string;
    readonly wireguardIP: string;
    readonly endpoint: string;
    /** The endpoint is where the leader was last heard from, not what it says. */
    readonly discovered: boolean;
    readonly members: readonly string[];
  }[];
  /** Leaders without a tunnel of their own, and who passes on what they send each other. */
  readonly relayed: MeshJson['relayed'];
  readonly nodes: readonly {
    readonly name: string;
    readonly location: string;
    readonly role: 'leader' | 'member' | 'out';
    readonly endpoint: string | null;
    readonly internalIP: string | null;
    readonly podCIDRs: readonly string[];
    readonly persistentKeepalive: number;
    /** Of the last heart-beat; null: there was none. */
    readonly ageSeconds: number | null;
  }[];
  readonly peers: readonly {
    readonly name: string;
    readonly ready: boolean;
    readonly allowedIPs: readonly string[];
    readonly endpoint: string | null;
    readonly persistentKeepalive: number;
  }[];
  readonly tunnels: readonly Tunnel[];
  readonly problems: readonly StatusProblem[];
}

export interface StatusParts {
  readonly mesh: Mesh;
  readonly topology: Topology;
  readonly tunnels: readonly Tunnel[];
  /** Found elsewhere: by agents, on this host. */
  readonly found: readonly StatusProblem[];
}

export const statusReport = ({ mesh, topology, tunnels, found }: StatusParts): StatusReport => {
  const { snapshot } = mesh;
  const { now } = snapshot;
  const places = new Map<string, Segment>();
  for (const segment of topology.segments) for (const { name } of segment.members) places.set(name, segment);
  const inMesh = new Set(topology.peers.map(({ name }) => name));
  return {
    mesh: {
      granularity: mesh.granularity,
      subnet: formatCidr(topology.subnet),
      nodes: { ready: places.size, all: snapshot.nodes.length },
      peers: { ready: topology.peers.length, all: snapshot.peers.length },
      leaderFailover: topology.claimsCount,
    },
    segments: topology.segments.map((segment) => ({
      location: segment.location,
      leader: segment.leader.name,
      why: whyLeads(segment.leader, segment.members, segment.claim),
      wireguardIP: formatAddress(segment.wireguardIP),
      endpoint: formatMeshEndpoint(segment.endpointInForce),
      discovered: segment.endpointInForce !== segment.leader.endpoint,
      members: segment.members.map(({ name }) => name),
    })),
    relayed: relayedPairs(topology),
    nodes: snapshot.nodes.map(({ node }) => ({
      name: node.name,
      location: node.location,
      role: roleOf(node.name, places.get(node.name)),
      endpoint: node.endpoint === undefined ? null : formatMeshEndpoint(node.endpoint),
      internalIP: node.internalIP === undefined ? null : formatCidr(node.internalIP),
      podCIDRs: node.podCIDRs.map(formatCidr),
      persistentKeepalive: node.persistentKeepalive,
      ageSeconds: node.lastSeen === 0 ? null : Math.max(0, now - node.lastSeen),
    })),
    peers: snapshot.peers.map(({ peer }) => ({
      name: peer.name,
      ready: inMesh.has(peer.name),
      allowedIPs: peer.allowedIPs.map(formatCidr),
      endpoint: peer.endpoint === undefined ? null : formatMeshEndpoint(peer.endpoint),
      persistentKeepalive: peer.persistentKeepalive,
    })),
    tunnels,
    problems: unique([...problemsOf(mesh, topology), ...undialable(topology, tunnels), ...found]),
  };
};

const roleOf = (name: string, segment: Segment | undefined): 'leader' | 'member' | 'out' =>
  segment === undefined ? 'out' : segment.leader.name === name ? 'leader' : 'member';

const NOTICES = new Set([
  'agents-unasked',
  'leader-failover-off',
  'leader-failing',
  'not-dialable',
  'range-has-host-bits',
  'peer-ip-is-default-route',
  'relay-off',
  'relayed',
]);

export const problem = (code: string, kind: string, name: string, what: string): StatusProblem => ({
  code,
  severity: NOTICES.has(code) ? 'notice' : 'fault',
  subject: `${kind} ${name}`,
  what,
  remedy: remedyFor(code, name),
});

/** An agent may tell what the snapshot shows too. */
const unique = (problems: readonly StatusProblem[]): StatusProblem[] => [
  ...new Map(
    problems.map((each) => [`${each.code} ${each.subject} ${each.what.replace(/\d+/g, '')}`, each]),
  ).values(),
];

const problemsOf = (mesh: Mesh, topology: Topology): StatusProblem[] => {
  const { snapshot, unresolved } = mesh;
  const problems = topology.problems
    // Most Nodes of a cluster that has no agents yet are simply no members.
    .filter(({ code, subject }) => code !== 'node-not-ready' || isMember(mesh, subject.name))
    .map(({ code, subject, message }) => problem(code, subject.kind, subject.name, message));
  for (const { node, faults } of snapshot.nodes)
    for (const fault of faults) problems.push(problem('annotation-ignored', 'node', node.name, fault));
  for (const { peer, invalid } of snapshot.peers)
    if (invalid !== null)
      problems.push(
        problem('peer-invalid', 'peer', peer.name, `Peer "${peer.name}" is left out: ${invalid}.`),
      );
  for (const [name, why] of unresolved)
    problems.push(
      problem('endpoint-unresolved', 'endpoint', name, `The endpoint ${name} does not resolve here: ${why}.`),
    );
  if (!snapshot.definesPeers)
    problems.push(problem('peers-undefined', 'cluster', '', 'This cluster does not know the kind Peer.'));
  return [...problems, ...aboutLeaders(topology), ...aboutRelays(topology), ...disagreements(mesh, topology)];
};

/** Whom others find failing, and why nobody would take over. */
const aboutLeaders = ({ segments, granularity, claimsCount }: Topology): StatusProblem[] => {
  const members = segments.flatMap((segment) => segment.members);
  const unable = withoutFailover(members);
  if (granularity === 'location' && unable.length > 0 && unable.length < members.length) {
    const some = unable.length > 3 ? `${unable.slice(0, 3).join(', ')} …` : unable.join(', ');
    const what = `Leaders follow Kilo's rule, and one that fails is not replaced: the agents of ${unable.length} nodes know no other (${some}).`;
    return [problem('leader-failover-off', 'node', unable[0] ?? '', what)];
  }
  if (!claimsCount) return [];
  return segments.flatMap(({ location, leader: { name } }) => {
    const by = members.filter(({ failingLeaders }) => failingLeaders?.has(name)).map((node) => node.name);
    if (by.length === 0) return [];
    const what = `"${name}", which leads "${location}", does not answer or passes nothing on, say ${by.join(', ')}.`;
    return [problem('leader-failing', 'node', name, what)];
  });
};

/** Pairs that stay apart because one of the two has another agent. */
const aboutRelays = ({ segments }: Topology): StatusProblem[] => {
  const unable = new Map(
    segments
      .filter(({ leader }) => !knowsRelays(leader))
      .map(({ location, leader }) => [location, leader.name]),
  );
  return segments.flatMap((segment) =>
    [...unreachedBy(segment).keys()].flatMap((location) => {
      const other = unable.get(location);
      if (other === undefined) return [];
      const { name } = segment.leader;
      const what = `"${name}" does not reach "${other}", and no relay is used: the agent of "${other}" knows none.`;
      return [problem('relay-off', 'node', other, what)];
    }),
  );
};

/** One that has an agent, or had one. */
const isMember = ({ snapshot }: Mesh, name: string): boolean => {
  const entry = snapshot.nodes.find(({ node }) => node.name === name);
  return entry !== undefined && (entry.node.key !== '' || entry.node.lastSeen > 0);
};

/** What nodes say of themselves that others compute otherwise. */
const disagreements = ({ snapshot, granularity }: Mesh, topology: Topology): StatusProblem[] => {
  const problems: StatusProblem[] = [];
  for (const segment of topology.segments) {
    for (const member of segment.members) {
      const said = member.granularity;
      if (said !== undefined && said !== granularity) {
        const what = `Node "${member.name}" says its mesh is ${said}, most say ${granularity}.`;
        problems.push(problem('granularity-differs', 'node', member.name, what));
      }
      if (member.wireguardIP === undefined && member !== segment.leader) continue;
      const has = member.wireguardIP === undefined ? 'none' : formatAddress(member.wireguardIP.address);
      const wanted = member === segment.leader ? formatAddress(segment.wireguardIP) : 'none';
      if (has === wanted) continue;
      const what = `Node "${member.name}" says its mesh address is ${has}, it should be ${wanted}.`;
      problems.push(problem('address-differs', 'node', member.name, what));
    }
  }
  for (const { node } of snapshot.nodes) {
    const ahead = node.lastSeen - snapshot.now;
    if (ahead > 30) {
      const what = `The clock of node "${node.name}" is ${Math.round(ahead)} s ahead of the API's.`;
      problems.push(problem('clock-differs', 'node', node.name, what));
    }
  }
  return problems;
};

/** A leader at a private address may be out of reach for other places, unless it calls them or somebody has a session. */
const undialable = ({ segments }: Topology, tunnels: readonly Tunnel[]): StatusProblem[] => {
  const locations = new Set(segments.map(({ leader }) => leader.location));
  if (locations.size < 2) return [];
  const met = new Set(tunnels.flatMap(({ to, handshakeAge }) => (handshakeAge === null ? [] : [to])));
  const isOpen = ({ endpointInForce: { address } }: Segment): boolean =>
    address === undefined || isPublic(address);
  return segments
    .filter((segment) => !isOpen(segment))
    .filter(({ leader }) => leader.persistentKeepalive === 0 && !met.has(leader.name))
    .map((segment) => {
      const { name } = segment.leader;
      const at = formatMeshEndpoint(segment.endpointInForce);
      const what = `"${name}" is dialled at the private address ${at}, which other locations may not reach.`;
      return problem('not-dialable', 'node', name, what);
    });
};

/** Why a node takes no part; null when it does. */
export const whyOut = ({ snapshot }: Mesh, name: string): string | null => {
  const entry = snapshot.nodes.find(({ node }) => node.name === name);
  if (entry === undefined || isReadyNode(entry.node, snapshot.now)) return null;
  return whyNotReady(entry.node, snapshot.now);
};
