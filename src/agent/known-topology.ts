/**
 * The mesh as it was computed last, for as long as it is made of the same: a heart-beat changes nothing but when a node was last
 * heard. Half a minute of a calm cluster then costs a comparison, and whoever builds upon the mesh sees the very same value.
 * @module
 */
import { isDeepStrictEqual } from 'node:util';
import { isFresh, type Node } from '../routing/node.ts';
import type { Problem } from '../routing/problem.ts';
import {
  buildTopology,
  type ClusterView,
  nodeNotReady,
  type Topology,
  type TopologyOptions,
} from '../routing/topology.ts';

export class KnownTopology {
  readonly #options: TopologyOptions;
  #known: { readonly view: ClusterView; readonly topology: Topology } | null = null;

  constructor(options: TopologyOptions) {
    this.#options = options;
  }

  /** @throws RoutingError as `buildTopology` */
  of(view: ClusterView): Topology {
    const known = this.#known;
    const topology =
      known !== null && isSameMesh(known.view, view) ? known.topology : buildTopology(view, this.#options);
    this.#known = { view, topology };
    return topology;
  }
}

/** What is wrong, as of the view's own moment: the topology may be of an earlier one. */
export const problemsAt = ({ nodes, now }: ClusterView, { problems }: Topology): readonly Problem[] =>
  problems.map((problem) => {
    const { code, subject } = problem;
    const node = code === 'node-not-ready' ? nodes.find(({ name }) => name === subject.name) : undefined;
    return node === undefined ? problem : nodeNotReady(node, now);
  });

/** Whether the same nodes take part, and say the same. */
const isSameMesh = (a: ClusterView, b: ClusterView): boolean =>
  a.nodes.length === b.nodes.length &&
  a.nodes.every((node, at) => {
    const other = b.nodes[at];
    if (other === undefined || !isSameNode(node, other)) return false;
    return isFresh(node.lastSeen, a.now) === isFresh(other.lastSeen, b.now);
  }) &&
  isDeepStrictEqual(a.peers, b.peers);

const isSameNode = (a: Node, b: Node): boolean => {
  if (a === b) return true;
  let fields = 0;
  for (const name in a) {
    fields++;
    const [one, other] = [a[name as keyof Node], b[name as keyof Node]];
    if (one !== other && name !== 'lastSeen' && !isDeepStrictEqual(one, other)) return false;
  }
  for (const _ in b) fields--;
  return fields === 0;
};
