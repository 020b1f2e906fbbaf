/**
 * How packets get from one end to another and back, as values for people and programs.
 * @module
 */
import { formatAddress, formatCidr } from '../noise/ip.ts';
import { formatMeshEndpoint } from '../routing/node.ts';
import { type PacketPath, type PathOptions, tracePacket } from '../routing/packet-path.ts';
import { routeWords, ruleWords } from '../routing/route-words.ts';
import type { Topology } from '../routing/topology.ts';
import type { EndPoint } from './end-point.ts';
import { type Mesh, topologyFrom } from './mesh.ts';

export interface Explanation {
  readonly from: string;
  readonly to: string;
  readonly there: Way;
  readonly back: Way;
}

export interface Way {
  readonly delivered: boolean;
  readonly hops: readonly {
    readonly at: string;
    readonly to: string;
    readonly by: 'tunnel' | 'wrapped' | 'plain';
    readonly encrypted: boolean;
    readonly device: string;
    readonly rule: string | null;
    readonly route: string | null;
    readonly publicKey: string | null;
    readonly endpoint: string | null;
    readonly allowedIP: string | null;
    readonly source: string;
    readonly masqueradedAs: string | null;
    readonly mtu: number;
  }[];
  readonly end: string;
  readonly mtu: number;
}

export const explain = (mesh: Mesh, from: EndPoint, to: EndPoint, options: PathOptions): Explanation => {
  const seen = new Map<string, Topology>();
  const view = (name: string): Topology => {
    const known = seen.get(name) ?? topologyFrom(mesh, name);
    seen.set(name, known);
    return known;
  };
  const way = (source: EndPoint, target: EndPoint): Way => {
    if (source.origin === null)
      return {
        delivered: false,
        hops: [],
        end: `${source.words} is no part of the mesh: what it sends is not the mesh's to carry`,
        mtu: options.underlayMtu,
      };
    const packet = { source: source.address, destination: target.address };
    return wayOf(tracePacket(view, topologyFrom(mesh), source.origin, packet, options));
  };
  return { from: from.words, to: to.words, there: way(from, to), back: way(to, from) };
};

const wayOf = ({ hops, end, mtu }: PacketPath): Way => ({
  delivered: !['dropped', 'outside'].includes(end.kind),
  hops: hops.map((hop) => ({
    at: hop.at,
    to: hop.to,
    by: hop.by,
    encrypted: hop.by === 'tunnel',
    device: hop.device,
    rule: hop.rule === undefined ? null : ruleWords(hop.rule),
    route: hop.route === undefined ? null : routeWords(hop.route),
    publicKey: hop.key ?? null,
    endpoint: hop.endpoint === undefined ? null : formatMeshEndpoint(hop.endpoint),
    allowedIP: hop.allowedIP === undefined ? null : formatCidr(hop.allowedIP),
    source: formatAddress(hop.packet.source),
    masqueradedAs: hop.masqueradedAs === undefined ? null : formatAddress(hop.masqueradedAs),
    mtu: hop.mtu,
  })),
  end: endWords(end, hops.length),
  mtu,
});

const endWords = (end: PacketPath['end'], hops: number): string => {
  switch (end.kind) {
    case 'pod':
      return hops === 0
        ? `stays on ${end.at}, over ${end.device}`
        : `reaches the pod on ${end.at}, over ${end.device}`;
    case 'host':
      return hops === 0 ? `stays on ${end.at}` : `reaches ${end.at} itself`;
    case 'peer':
      return `reaches peer ${end.at}`;
    case 'location':
      return `leaves ${end.at} to ${end.device}`;
    case 'outside': {
      const source = end.masquerades ? 'with its address as source' : 'as it is';
      return `leaves ${end.at} by a route that is none of the mesh's, ${source} and not encrypted by it`;
    }
    case 'dropped':
      return `is dropped on ${end.at}: ${end.why}`;
  }
};
