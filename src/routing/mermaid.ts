/**
 * The mesh as a Mermaid flow chart: what Markdown on GitHub, GitLab and in wikis draws by itself.
 * Source: mermaid.js.org, "Flowcharts" (subgraphs, shapes, links); its entity codes (`#quot;`) for quoting.
 * @module
 */

import { formatAddress, formatCidr } from '../noise/ip.ts';
import { tunnelPairs } from './mesh-json.ts';
import { formatMeshEndpoint, podCIDROf, type ReadyNode } from './node.ts';
import { areCoLocated, type Segment, type Topology } from './topology.ts';

export const toMermaid = (topology: Topology): string => {
  const { segments, peers } = topology;
  // Names of any script: ids are numbers.
  const ids = new Map<ReadyNode, string>();
  for (const { members } of segments) for (const member of members) ids.set(member, `n${ids.size}`);
  const idOf = (node: ReadyNode): string => ids.get(node) ?? '';
  const lines = ['flowchart LR'];
  const boxes = [...Map.groupBy(segments, ({ nodeLocation }) => nodeLocation)];
  for (const [index, [location, group]] of boxes.entries()) {
    lines.push(`  subgraph g${index}["${escaped(location)}"]`);
    for (const segment of group)
      for (const member of segment.members) lines.push(`    ${idOf(member)}${card(segment, member)}`);
    lines.push('  end');
  }
  for (const [index, peer] of peers.entries()) {
    const networks = peer.allowedIPs.map(formatCidr).join(', ');
    lines.push(`  p${index}(["${escaped(peer.name)}<br>${escaped(networks)}"])`);
  }
  for (const { leader, members } of segments)
    for (const member of members) if (member !== leader) lines.push(`  ${idOf(leader)} -.- ${idOf(member)}`);
  for (const [index, a] of segments.entries())
    for (const b of segments.slice(index + 1))
      if (areCoLocated(a, b)) lines.push(`  ${idOf(a.leader)} -.- ${idOf(b.leader)}`);
  for (const [a, b] of tunnelPairs(topology)) lines.push(`  ${idOf(a.leader)} === ${idOf(b.leader)}`);
  for (const { ends, relay } of topology.apart) {
    const [a, b] = ends.map(({ leader }) => idOf(leader));
    if (relay !== null) lines.push(`  ${a} -. "through ${escaped(relay.leader.name)}" .- ${b}`);
  }
  for (const { leader } of segments)
    for (const index of peers.keys()) lines.push(`  ${idOf(leader)} --- p${index}`);
  return `${lines.join('\n')}\n`;
};

/** A leader is drawn with a double edge. */
const card = (segment: Segment, member: ReadyNode): string => {
  const leads = member === segment.leader;
  const text = [
    member.name,
    formatCidr(podCIDROf(member)),
    ...(member.internalIP === undefined ? [] : [formatAddress(member.internalIP.address)]),
    ...(leads ? [formatAddress(segment.wireguardIP), formatMeshEndpoint(segment.endpointInForce)] : []),
  ]
    .map(escaped)
    .join('<br>');
  return leads ? `[["${text}"]]` : `["${text}"]`;
};

const escaped = (text: string): string =>
  text.replace(/\s+/g, ' ').replace(/[#"<>&;`]/g, (character) => `#${character.codePointAt(0)};`);
