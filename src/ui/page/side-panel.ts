/**
 * Beside the map: what is wrong and what to do; or all that is known of who was chosen, in words.
 * @module
 */
import { type ComponentChild, type ComponentChildren, h } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { MapProblem, MapTunnel, MeshSnapshot } from '../mesh-snapshot.ts';
import type { InterfaceClient } from './interface-client.ts';
import {
  ageText,
  gradeOf,
  handshakeText,
  locationText,
  lossText,
  nodeText,
  peerText,
  rateText,
  roundTripText,
  worstLoss,
} from './words.ts';

export interface PanelProps {
  readonly snapshot: MeshSnapshot;
  readonly chosen: string | null;
  readonly client: InterfaceClient;
  /** What is shown is of now. */
  readonly isLive: boolean;
  readonly onChoose: (id: string | null) => void;
}

interface StateLine {
  readonly part: string;
  readonly text: string;
}

const MOST_ROWS = 40;

export const SidePanel = (props: PanelProps): ComponentChild => {
  const { snapshot, chosen, onChoose } = props;
  const title =
    chosen === null ? 'What is wrong' : chosen.replace(/[|\n]/g, ' and ').replaceAll('cloud ', '');
  return h(
    'aside',
    { class: 'panel', 'aria-label': 'Details' },
    h(
      'header',
      null,
      h('h2', null, title),
      chosen === null
        ? null
        : h('button', { class: 'plain', onClick: () => onChoose(null), 'aria-label': 'Close details' }, '✕'),
    ),
    chosen === null
      ? h(Problems, { problems: snapshot.problems, onChoose })
      : snapshot.nodes[chosen] !== undefined
        ? h(NodeDetails, { ...props, chosen })
        : snapshot.peers[chosen] !== undefined
          ? h(PeerDetails, { ...props, chosen })
          : h(TunnelDetails, { ...props, chosen }),
  );
};

const Problems = ({
  problems,
  onChoose,
}: {
  readonly problems: readonly MapProblem[];
  readonly onChoose?: PanelProps['onChoose'];
}): ComponentChild =>
  problems.length === 0
    ? h('p', { class: 'good' }, 'Nothing is wrong.')
    : h(
        'ul',
        { class: 'problems' },
        problems.map(({ code, severity, subject, what, remedy }) =>
          h(
            'li',
            { key: `${code} ${subject} ${what}`, class: severity },
            h('strong', null, severity === 'fault' ? 'Fault: ' : 'Notice: '),
            what,
            h('p', { class: 'remedy' }, remedy),
            onChoose === undefined || !/^(?:node|peer) /.test(subject)
              ? null
              : h(
                  'button',
                  { class: 'plain link', onClick: () => onChoose(subject.replace(/^\w+ /, '')) },
                  `Show ${subject.replace(/^\w+ /, '')}`,
                ),
          ),
        ),
      );

const facts = (pairs: readonly (readonly [string, ComponentChildren])[]): ComponentChild =>
  h(
    'dl',
    null,
    pairs.flatMap(([name, value]) =>
      value === null || value === ''
        ? []
        : [h('dt', { key: name }, name), h('dd', { key: `${name}=` }, value)],
    ),
  );

const about = ({ problems }: MeshSnapshot, name: string): readonly MapProblem[] =>
  problems.filter(({ subject }) => subject.replace(/^\w+ /, '') === name);

const NodeDetails = ({
  snapshot,
  chosen,
  client,
  isLive,
  onChoose,
}: PanelProps & { chosen: string }): ComponentChild => {
  const node = snapshot.nodes[chosen];
  if (node === undefined) return h('p', null, 'It was not there then.');
  const { at } = snapshot;
  const problems = about(snapshot, chosen);
  return h(
    'div',
    null,
    h('p', { class: 'lead' }, `${nodeText(chosen, node, at)}.`),
    problems.length === 0 ? null : h(Problems, { problems }),
    facts([
      ['Cloud', locationText(node.location)],
      ['Mesh address', node.meshAddress],
      ['Private address', node.internalIP],
      [
        'Endpoint',
        node.endpoint === null ? null : `${node.endpoint}${node.discovered ? ' (discovered)' : ''}`,
      ],
      ['Pods', node.podCIDRs.join(', ')],
      ['Keepalive', node.keepalive === 0 ? 'off' : `${node.keepalive} s`],
      ['Heart-beat', node.lastSeen === null ? 'never' : `${ageText(at / 1000 - node.lastSeen)} ago`],
    ]),
    h(Tunnels, { snapshot, name: chosen, onChoose }),
    isLive ? h(HostState, { client, name: chosen }) : null,
  );
};

const PeerDetails = ({ snapshot, chosen, onChoose }: PanelProps & { chosen: string }): ComponentChild => {
  const peer = snapshot.peers[chosen];
  if (peer === undefined) return h('p', null, 'It was not there then.');
  const problems = about(snapshot, chosen);
  return h(
    'div',
    null,
    h('p', { class: 'lead' }, `${peerText(chosen, peer)}.`),
    problems.length === 0 ? null : h(Problems, { problems }),
    facts([
      ['Endpoint', peer.endpoint],
      ['Keepalive', peer.keepalive === 0 ? 'off' : `${peer.keepalive} s`],
    ]),
    h(Tunnels, { snapshot, name: chosen, onChoose }),
  );
};

const TunnelDetails = ({ snapshot, chosen, onChoose }: PanelProps & { chosen: string }): ComponentChild => {
  const tunnel = snapshot.tunnels[chosen];
  if (tunnel !== undefined) return oneTunnel(tunnel, snapshot);
  const places = chosen.split('\n').map((place) => place.slice(place.indexOf(' ') + 1));
  const between = Object.values(snapshot.tunnels).filter(({ a, b }) => {
    const ends = [snapshot.nodes[a]?.location ?? a, snapshot.nodes[b]?.location ?? b];
    return places.every((place) => ends.includes(place)) && ends.every((end) => places.includes(end));
  });
  return h('div', null, tunnelTable(between, snapshot, null, onChoose));
};

const oneTunnel = (tunnel: MapTunnel, snapshot: MeshSnapshot): ComponentChild =>
  facts([
    ...(tunnel.relay === null ? [] : [['Through', tunnel.relay] as const]),
    ['Last handshake', handshakeText(tunnel, snapshot.at)],
    [`${tunnel.a} → ${tunnel.b}`, rateText(tunnel.rateAB)],
    [`${tunnel.b} → ${tunnel.a}`, rateText(tunnel.rateBA)],
    ['Round trip', roundTripText(tunnel.roundTripMs)],
    ['Loss there', lossText(tunnel.lossAB)],
    ['Loss back', lossText(tunnel.lossBA)],
    ['Path MTU', tunnel.mtu === null ? '–' : String(tunnel.mtu)],
    [`${tunnel.a} is dialled at`, tunnel.endpointA],
    [`${tunnel.b} is dialled at`, tunnel.endpointB],
  ]);

const Tunnels = ({
  snapshot,
  name,
  onChoose,
}: {
  readonly snapshot: MeshSnapshot;
  readonly name: string;
  readonly onChoose: PanelProps['onChoose'];
}): ComponentChild | null => {
  const own = Object.values(snapshot.tunnels).filter(({ a, b }) => a === name || b === name);
  if (own.length === 0) return null;
  return h(
    'section',
    null,
    h('h3', null, `${own.length} tunnels`),
    tunnelTable(own, snapshot, name, onChoose),
  );
};

const tunnelTable = (
  tunnels: readonly MapTunnel[],
  snapshot: MeshSnapshot,
  seenFrom: string | null,
  onChoose: PanelProps['onChoose'],
): ComponentChild => {
  const busiest = tunnels.toSorted((a, b) => b.rateAB + b.rateBA - a.rateAB - a.rateBA).slice(0, MOST_ROWS);
  return h(
    'div',
    { class: 'scroll' },
    h(
      'table',
      null,
      h(
        'thead',
        null,
        h(
          'tr',
          null,
          ['With', 'Handshake', 'RTT', 'Rate', 'Loss'].map((text) =>
            h('th', { key: text, scope: 'col' }, text),
          ),
        ),
      ),
      h(
        'tbody',
        null,
        busiest.map((tunnel) => {
          const { a, b } = tunnel;
          const other = seenFrom === null ? `${a} – ${b}` : a === seenFrom ? b : a;
          return h(
            'tr',
            { key: `${a}|${b}` },
            h(
              'th',
              { scope: 'row' },
              h('span', { class: `dot ${gradeOf(tunnel, snapshot)}`, 'aria-hidden': 'true' }),
              h('button', { class: 'plain link', onClick: () => onChoose(`${a}|${b}`) }, other),
            ),
            h('td', null, handshakeText(tunnel, snapshot.at)),
            h('td', null, roundTripText(tunnel.roundTripMs)),
            h('td', null, rateText(tunnel.rateAB + tunnel.rateBA)),
            h('td', null, lossText(worstLoss(tunnel))),
          );
        }),
      ),
    ),
    tunnels.length > busiest.length ? h('p', null, `… and ${tunnels.length - busiest.length} more`) : null,
  );
};

const PARTS: readonly (readonly [string, string])[] = [
  ['interface', 'Interface'],
  ['peer', 'WireGuard peers'],
  ['route', 'Routes'],
  ['rule', 'Rules'],
  ['filter', 'Packet filter'],
];

/** What its agent puts on the host, asked for when somebody wants to see it. */
const HostState = ({
  client,
  name,
}: {
  readonly client: InterfaceClient;
  readonly name: string;
}): ComponentChild => {
  const [lines, setLines] = useState<readonly StateLine[] | string | null>(null);
  const [isOpen, setOpen] = useState(false);
  useEffect(() => {
    if (!isOpen) return;
    setLines(null);
    client
      .ask<{ state: readonly StateLine[] }>(`/mesh/nodes/${encodeURIComponent(name)}`)
      .then(({ state }) => setLines(state))
      .catch((error: Error) => setLines(error.message));
  }, [name, isOpen]);
  return h(
    'details',
    {
      open: isOpen,
      onToggle: (event: Event) => setOpen((event.currentTarget as HTMLDetailsElement).open),
    },
    h('summary', null, 'Peers and routes on this host'),
    lines === null
      ? h('p', null, 'Asking …')
      : typeof lines === 'string'
        ? h('p', null, lines)
        : PARTS.flatMap(([part, title]) => {
            const some = lines.filter((line) => line.part === part);
            return some.length === 0
              ? []
              : [
                  h('h3', { key: part }, title),
                  h(
                    'ul',
                    { key: `${part} lines`, class: 'lines' },
                    some.map(({ text }) => h('li', { key: text }, text)),
                  ),
                ];
          }),
  );
};
