/**
 * What a proposal would change: who leads, which addresses move, and on which node which peer, route and rule.
 * Pure: two meshes in, differences out.
 * @module
 */
import { formatAddress } from '../noise/ip.ts';
import type { PathOptions } from '../routing/packet-path.ts';
import { RoutingError } from '../routing/routing-error.ts';
import type { Topology } from '../routing/topology.ts';
import { type HostState, hostState, type Part } from './host-state.ts';
import { type Mesh, topologyFrom } from './mesh.ts';
import { problem, type StatusProblem, statusReport } from './status-report.ts';

export interface StateChange {
  readonly part: Part;
  readonly before: string | null;
  readonly after: string | null;
}

export interface MeshPlan {
  /** Of the mesh as a whole, in sentences. */
  readonly mesh: readonly string[];
  /** Nodes with something to change, and what. */
  readonly nodes: readonly { readonly name: string; readonly changes: readonly StateChange[] }[];
  /** What would be wrong that is not now. */
  readonly problems: readonly StatusProblem[];
}

export const planOf = (
  before: Mesh,
  after: Mesh,
  options: PathOptions,
  only: readonly string[],
): MeshPlan => {
  const names = new Set([...before.view.nodes, ...after.view.nodes].map(({ name }) => name));
  const wanted = [...names].filter((name) => only.length === 0 || only.includes(name)).toSorted();
  return {
    mesh: meshChanges(firstTopology(before), firstTopology(after)),
    nodes: wanted.flatMap((name) => {
      const changes = changesBetween(stateOf(before, name, options), stateOf(after, name, options));
      return changes.length === 0 ? [] : [{ name, changes }];
    }),
    problems: newProblems(before, after),
  };
};

const firstTopology = (mesh: Mesh): Topology | null => unlessOut(() => topologyFrom(mesh));

const stateOf = (mesh: Mesh, name: string, options: PathOptions): HostState => {
  const topology = unlessOut(() => topologyFrom(mesh, name));
  return topology === null ? new Map() : hostState(topology, options);
};

/** Null for a node that takes no part, or a mesh without any. */
const unlessOut = (make: () => Topology): Topology | null => {
  try {
    return make();
  } catch (error) {
    if (error instanceof RoutingError) return null;
    throw error;
  }
};

const changesBetween = (before: HostState, after: HostState): StateChange[] => {
  const changes: StateChange[] = [];
  for (const [key, line] of after) {
    const had = before.get(key);
    if (had?.text !== line.text)
      changes.push({ part: line.part, before: had?.text ?? null, after: line.text });
  }
  for (const [key, line] of before)
    if (!after.has(key)) changes.push({ part: line.part, before: line.text, after: null });
  return changes;
};

const meshChanges = (before: Topology | null, after: Topology | null): string[] => {
  const was = new Map((before?.segments ?? []).map((segment) => [segment.location, segment]));
  const is = new Map((after?.segments ?? []).map((segment) => [segment.location, segment]));
  const sentences: string[] = [];
  for (const [location, segment] of is) {
    const old = was.get(location);
    const address = formatAddress(segment.wireguardIP);
    if (old === undefined) {
      sentences.push(`"${location}" joins: ${segment.leader.name} leads it at ${address}.`);
      continue;
    }
    if (old.leader.name !== segment.leader.name)
      sentences.push(`"${location}" is led by ${segment.leader.name} in place of ${old.leader.name}.`);
    const had = formatAddress(old.wireguardIP);
    if (had !== address)
      sentences.push(
        `The mesh address of "${location}" becomes ${address} in place of ${had}: connections bound to it break.`,
      );
  }
  for (const location of was.keys()) if (!is.has(location)) sentences.push(`"${location}" leaves.`);
  return [...sentences, ...relayChanges(before, after)];
};

const relayChanges = (before: Topology | null, after: Topology | null): string[] => {
  const relaysIn = (topology: Topology | null) =>
    new Map(
      (topology?.apart ?? []).map(({ ends: [a, b], relay }) => [
        `"${a.location}" and "${b.location}"`,
        relay?.location ?? null,
      ]),
    );
  const [was, is] = [relaysIn(before), relaysIn(after)];
  const sentences: string[] = [];
  for (const [pair, relay] of is) {
    const old = was.get(pair);
    if (relay === old) continue;
    sentences.push(
      relay === null
        ? `What ${pair} send each other is passed on by nobody any more.`
        : `What ${pair} send each other is passed on by "${relay}"${old == null ? '' : ` in place of "${old}"`}.`,
    );
  }
  return sentences;
};

const newProblems = (before: Mesh, after: Mesh): StatusProblem[] => {
  const problemsOf = (mesh: Mesh): readonly StatusProblem[] => {
    const topology = firstTopology(mesh);
    if (topology === null)
      return [problem('node-not-ready', 'cluster', '', 'No node would be left in the mesh.')];
    return statusReport({ mesh, topology, tunnels: [], found: [] }).problems;
  };
  const known = new Set(problemsOf(before).map(({ what }) => what));
  // What agents say of themselves follows from what is planned.
  return problemsOf(after).filter(
    ({ what, code }) => !known.has(what) && code !== 'address-differs' && code !== 'granularity-differs',
  );
};
