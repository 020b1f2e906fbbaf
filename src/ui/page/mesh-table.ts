/**
 * The mesh as tables: all that the map shows, for who reads rather than looks.
 * @module
 */
import { type ComponentChild, h } from 'preact';
import { useState } from 'preact/hooks';
import type { MeshSnapshot } from '../mesh-snapshot.ts';
import {
  ageText,
  GRADE_WORDS,
  gradeOf,
  handshakeText,
  locationText,
  lossText,
  rateText,
  roundTripText,
} from './words.ts';

const MOST_ROWS = 500;

const table = (
  caption: string,
  head: readonly string[],
  rows: readonly (readonly string[])[],
): ComponentChild =>
  h(
    'div',
    { class: 'scroll' },
    h(
      'table',
      null,
      h('caption', null, caption),
      h(
        'thead',
        null,
        h(
          'tr',
          null,
          head.map((text) => h('th', { key: text, scope: 'col' }, text)),
        ),
      ),
      h(
        'tbody',
        null,
        rows.slice(0, MOST_ROWS).map((cells) =>
          h(
            'tr',
            { key: cells.slice(0, 2).join('|') },
            cells.map((cell, index) =>
              index === 0 ? h('th', { key: 0, scope: 'row' }, cell) : h('td', { key: index }, cell),
            ),
          ),
        ),
      ),
    ),
    rows.length > MOST_ROWS
      ? h('p', null, `… and ${rows.length - MOST_ROWS} more: filter, or take the JSON.`)
      : null,
  );

const STATES = {
  well: 'answers',
  silent: 'does not answer',
  unknown: 'not asked',
  out: 'takes no part',
} as const;

export const MeshTable = ({ snapshot }: { readonly snapshot: MeshSnapshot }): ComponentChild => {
  const [filter, setFilter] = useState('');
  const { at } = snapshot;
  const matches = (cells: readonly string[]): boolean =>
    cells.some((cell) => cell.toLowerCase().includes(filter.toLowerCase()));
  const nodes = Object.entries(snapshot.nodes).map(([name, node]) => [
    name,
    locationText(node.location),
    node.role === 'leader' ? `leader (${node.why})` : node.role === 'out' ? `out: ${node.why}` : 'member',
    STATES[node.state],
    node.meshAddress ?? '–',
    node.internalIP ?? '–',
    node.endpoint ?? '–',
    node.podCIDRs.join(', '),
    node.lastSeen === null ? 'never' : `${ageText(at / 1000 - node.lastSeen)} ago`,
  ]);
  const tunnels = Object.values(snapshot.tunnels).map((tunnel) => [
    tunnel.a,
    tunnel.b,
    GRADE_WORDS[gradeOf(tunnel, snapshot)],
    handshakeText(tunnel, at),
    roundTripText(tunnel.roundTripMs),
    rateText(tunnel.rateAB),
    rateText(tunnel.rateBA),
    `${lossText(tunnel.lossAB)} / ${lossText(tunnel.lossBA)}`,
    tunnel.mtu === null ? '–' : String(tunnel.mtu),
  ]);
  const peers = Object.entries(snapshot.peers).map(([name, peer]) => [
    name,
    peer.ready ? 'in the mesh' : 'left out',
    peer.allowedIPs.join(', '),
    peer.endpoint ?? '–',
  ]);
  return h(
    'div',
    { class: 'tables' },
    h(
      'label',
      { class: 'filter' },
      'Filter ',
      h('input', {
        type: 'search',
        value: filter,
        onInput: (event: Event) => setFilter((event.currentTarget as HTMLInputElement).value),
      }),
    ),
    table(
      'Nodes',
      ['Node', 'Cloud', 'Role', 'State', 'Mesh address', 'Private', 'Endpoint', 'Pods', 'Heart-beat'],
      nodes.filter(matches),
    ),
    table(
      'Tunnels',
      ['From', 'To', 'State', 'Handshake', 'Round trip', 'There', 'Back', 'Loss', 'Path MTU'],
      tunnels.filter(matches),
    ),
    peers.length === 0
      ? null
      : table('Peers', ['Peer', 'State', 'Allowed IPs', 'Endpoint'], peers.filter(matches)),
  );
};
