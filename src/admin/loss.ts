/**
 * What would happen if nodes went, as by a power cut: who takes over and when, what is cut off until then, what stays away, and
 * what changes on which of the others.
 * Source: the agents' own times (heart-beats, probes) and their topology of those that stay.
 * @module
 */
import { HEARTBEAT_MS } from '../agent/heart-beat.ts';
import { type Cidr, formatAddress, formatCidr } from '../noise/ip.ts';
import { withoutFailover } from '../routing/leader.ts';
import { isReadyNode, NODE_LIFETIME_SECONDS, type ReadyNode } from '../routing/node.ts';
import type { PathOptions } from '../routing/packet-path.ts';
import { RoutingError } from '../routing/routing-error.ts';
import type { Segment, Topology } from '../routing/topology.ts';
import { AdminError } from './admin-error.ts';
import { type Mesh, topologyFrom } from './mesh.ts';
import { type MeshPlan, planOf } from './plan.ts';

/** Agents look for late heart-beats this often, and Kilo's at their resync. */
const LOOK_SECONDS = 2;
const KILO_RESYNC_SECONDS = 30;
/** What probes promise at most. */
const PROBE_SECONDS = 5;

export interface Handover {
  readonly by: 'probes' | 'heart-beats';
  /** After they went. */
  readonly fromSeconds: number;
  readonly toSeconds: number;
  /** Nodes whose agents know no probes, which is why all go by heart-beats. */
  readonly because: readonly string[];
}

export interface CutOff {
  readonly segment: string;
  readonly leader: string;
  /** Null: nobody of it is left. */
  readonly next: string | null;
  /** Of the members that stay. */
  readonly nodes: readonly string[];
  readonly ranges: readonly string[];
}

export interface Unreachable {
  readonly range: string;
  readonly what: 'pods' | 'node' | 'network behind it';
  readonly of: string;
}

export interface Loss extends MeshPlan {
  readonly gone: readonly string[];
  /** When the others let go of them. */
  readonly forgotten: { readonly fromSeconds: number; readonly toSeconds: number };
  /** Null: no leader is among them that others could follow. */
  readonly handover: Handover | null;
  /** Reached by nobody of other segments until the handover. */
  readonly cutOff: readonly CutOff[];
  /** For as long as they are away. */
  readonly unreachable: readonly Unreachable[];
}

export interface Losing {
  readonly nodes: readonly string[];
  readonly locations: readonly string[];
}

/** The members of the mesh that are meant. @throws AdminError for names that are none. */
export const membersMeant = ({ view }: Mesh, { nodes, locations }: Losing): readonly ReadyNode[] => {
  const ready = view.nodes.filter((node): node is ReadyNode => isReadyNode(node, view.now));
  for (const name of nodes)
    if (!ready.some((node) => node.name === name))
      throw new AdminError(
        'ERR_ADMIN_UNKNOWN',
        `There is no node "${name}" in the mesh: see kilowire status.`,
      );
  for (const location of locations)
    if (!ready.some((node) => node.location === location))
      throw new AdminError(
        'ERR_ADMIN_UNKNOWN',
        `There is no location "${location}" in the mesh: see kilowire status.`,
      );
  return ready.filter(({ name, location }) => nodes.includes(name) || locations.includes(location));
};

export const lossOf = (before: Mesh, gone: readonly ReadyNode[], options: PathOptions): Loss => {
  const names = new Set(gone.map(({ name }) => name));
  const stays = before.view.nodes.filter(({ name }) => !names.has(name));
  const after: Mesh = {
    ...before,
    snapshot: {
      ...before.snapshot,
      nodes: before.snapshot.nodes.filter(({ node }) => !names.has(node.name)),
    },
    view: { ...before.view, nodes: stays },
  };
  const was = topologyFrom(before);
  const is = topologyUnlessEmpty(after);
  const plan = planOf(before, after, options, []);
  const cutOff = cutOffBy(was, is, names);
  return {
    gone: gone.map(({ name }) => name).toSorted(),
    forgotten: timesOf(before, names),
    handover: cutOff.some(({ next }) => next !== null) ? handoverOf(before, names) : null,
    cutOff,
    unreachable: unreachableWithout(was, is, gone),
    ...plan,
    nodes: plan.nodes.filter(({ name }) => !names.has(name)),
  };
};

const topologyUnlessEmpty = (mesh: Mesh): Topology | null => {
  try {
    return topologyFrom(mesh);
  } catch (error) {
    if (error instanceof RoutingError) return null;
    throw error;
  }
};

/** A heart-beat is up to 30 s old when its node goes. */
const timesOf = ({ view }: Mesh, gone: ReadonlySet<string>): Loss['forgotten'] => {
  const kilos = view.nodes.some(
    (node) => !gone.has(node.name) && isReadyNode(node, view.now) && node.abilities === undefined,
  );
  return {
    fromSeconds: NODE_LIFETIME_SECONDS - HEARTBEAT_MS / 1000,
    toSeconds: NODE_LIFETIME_SECONDS + (kilos ? KILO_RESYNC_SECONDS : LOOK_SECONDS),
  };
};

const handoverOf = (mesh: Mesh, gone: ReadonlySet<string>): Handover => {
  const ready = mesh.view.nodes.filter((node) => isReadyNode(node, mesh.view.now));
  const because = withoutFailover(ready);
  if (because.length > 0) return { by: 'heart-beats', ...timesOf(mesh, gone), because };
  return { by: 'probes', fromSeconds: 1, toSeconds: PROBE_SECONDS, because };
};

const cutOffBy = (was: Topology, is: Topology | null, gone: ReadonlySet<string>): CutOff[] =>
  was.segments
    .filter(({ leader, members }) => gone.has(leader.name) && members.length > 1)
    .map((segment) => {
      const stay = segment.members.filter(({ name }) => !gone.has(name));
      const next = is?.segments.find(({ location }) => location === segment.location);
      return {
        segment: segment.location,
        leader: segment.leader.name,
        next: next?.leader.name ?? null,
        nodes: stay.map(({ name }) => name),
        ranges: stay.flatMap(({ podCIDRs }) => podCIDRs.map(formatCidr)),
      };
    })
    .filter(({ nodes }) => nodes.length > 0);

const unreachableWithout = (
  was: Topology,
  is: Topology | null,
  gone: readonly ReadyNode[],
): Unreachable[] => {
  const offered = new Set(
    (is?.segments ?? []).flatMap(({ allowedLocationIPs }) => texts(allowedLocationIPs)),
  );
  const lost = ({ location, allowedLocationIPs }: Segment): Unreachable[] =>
    texts(allowedLocationIPs)
      .filter((range) => !offered.has(range))
      .map((range) => ({ range, what: 'network behind it', of: location }));
  return [
    ...gone.flatMap((node): Unreachable[] => [
      ...texts(node.podCIDRs).map((range) => ({ range, what: 'pods', of: node.name }) as const),
      ...(node.internalIP === undefined
        ? []
        : [{ range: formatAddress(node.internalIP.address), what: 'node', of: node.name } as const]),
    ]),
    ...was.segments.flatMap(lost),
  ];
};

const texts = (ranges: readonly Cidr[]): string[] => ranges.map(formatCidr);
