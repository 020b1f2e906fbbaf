/**
 * The mesh as a Graphviz graph, in the very text `kgctl graph` prints.
 * Source: Kilo's graph output (layout and order observed); the DOT language (graphviz.org/doc/info/lang.html)
 * for quoting: inside quotes only `"` needs an escape, but a `\` before it, or at the end, would swallow it.
 * @module
 */

import { formatAddress, formatCidr } from '../noise/ip.ts';
import { formatMeshEndpoint, podCIDROf, type ReadyNode } from './node.ts';
import { relayBetween } from './relays.ts';
import { areCoLocated, type Segment, type Topology } from './topology.ts';

export const toDot = (topology: Topology): string => {
  const { segments, peers, apart } = topology;
  const between = relayBetween(apart);
  const lines = [
    'digraph kilo {',
    `\tlabel=${quote(formatCidr(topology.subnet))};`,
    '\tlabelloc=t;',
    '\toutputorder=nodesfirst;',
    '\toverlap=false;',
  ];
  for (const segment of segments)
    for (const member of segment.members)
      if (member !== segment.leader) lines.push(edge(segment.leader.name, member.name, TUNNEL));
  // A full mesh has a line for every pair: the names are quoted once.
  const leaders = segments.map((segment) => ({ segment, name: quote(segment.leader.name) }));
  for (const [index, a] of leaders.entries())
    for (const b of leaders.slice(index + 1)) {
      const relay = between(a.segment, b.segment);
      const isNear = areCoLocated(a.segment, b.segment);
      const attributes = relay ? relayed(relay) : isNear ? NEIGHBOUR : TUNNEL;
      lines.push(`\t${a.name}->${b.name}[ ${attributes} ];`);
    }
  for (const segment of segments)
    for (const peer of peers) lines.push(edge(segment.leader.name, peer.name, PEER));
  for (const [location, group] of byNodeLocation(segments)) {
    const nodes = group.flatMap((segment) => segment.members.map((member) => nodeLine(segment, member)));
    lines.push(...cluster(`location_${location}`, location, nodes));
  }
  // The line break before the closing quote is Kilo's own.
  const peerLines = peers.map((peer) => {
    const endpoint = peer.endpoint === undefined ? '' : formatMeshEndpoint(peer.endpoint);
    return `\t${quote(peer.name)} [ label="${escaped(peer.name)}\\n${escaped(endpoint)}\n", shape=ellipse ];`;
  });
  lines.push(...cluster('peers', 'peers', peerLines), '', '}', '');
  return lines.join('\n');
};

const TUNNEL = 'dir=both';
const PEER = 'dir=both, style=dashed';
const NEIGHBOUR = 'arrowhead=none, arrowtail=none, dir=both, style=dotted';

/** kgctl knows no relays, and has no text for them. */
const relayed = ({ leader }: Segment): string =>
  `dir=both, style=dotted, label=${quote(`through ${leader.name}`)}`;

const edge = (from: string, to: string, attributes: string): string =>
  `\t${quote(from)}->${quote(to)}[ ${attributes} ];`;

/** A cluster's blank line and lone semicolon are part of Kilo's text. */
const cluster = (name: string, label: string, content: readonly string[]): string[] => [
  `\tsubgraph ${quote(`cluster_${name}`)} {`,
  `\tlabel=${quote(label)};`,
  '\tstyle="dashed,rounded";',
  ...content,
  '',
  '}',
  ';',
];

const nodeLine = (segment: Segment, member: ReadyNode): string => {
  const leads = member === segment.leader;
  const label = [
    segment.nodeLocation,
    member.name,
    formatCidr(podCIDROf(member)),
    ...(member.internalIP === undefined ? [] : [formatAddress(member.internalIP.address)]),
    ...(leads ? [formatAddress(segment.wireguardIP), formatMeshEndpoint(member.endpoint)] : []),
  ];
  const text = label.map(escaped).join('\\n');
  return `\t${quote(member.name)} [ label="${text}",${leads ? ' rank=1,' : ''} shape=ellipse ];`;
};

/** Segments that stand in one place are drawn in one box. */
const byNodeLocation = (segments: readonly Segment[]): Map<string, Segment[]> => {
  const groups = new Map<string, Segment[]>();
  for (const segment of segments) {
    const group = groups.get(segment.nodeLocation);
    if (group === undefined) groups.set(segment.nodeLocation, [segment]);
    else group.push(segment);
  }
  return groups;
};

const quote = (text: string): string => `"${escaped(text)}"`;

const escaped = (text: string): string => text.replace(/["\\]/g, '\\$&').replace(/\r?\n/g, '\\n');
