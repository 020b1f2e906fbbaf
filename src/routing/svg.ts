/**
 * The mesh as a picture: clouds, nodes, who leads, tunnels, private networks, Peers.
 * Source: SVG 2 (w3.org/TR/SVG2); XML 1.0 §2.2 and §2.4 for what text may hold. Colours follow the reader's
 * light or dark scheme; plain fills only, so that programs other than browsers show it too.
 * @module
 */

import { formatAddress, formatCidr } from '../noise/ip.ts';
import { formatMeshEndpoint, podCIDROf } from './node.ts';
import { relayBetween } from './relays.ts';
import {
  type Box,
  type Cloud,
  HEADER,
  layOut,
  NAME_LIMIT,
  type NodeCard,
  type PeerCard,
  type Picture,
  type Point,
} from './svg-layout.ts';
import { STYLE } from './svg-style.ts';
import { areCoLocated, type Topology } from './topology.ts';

/** Beyond this many lines each leader is joined to one hub instead: a picture of all of them shows none. */
const MOST_LINES = 600;
const ACCENTS = 8;

export const toSvg = (topology: Topology, title = 'Kilowire mesh'): string => {
  const picture = layOut(topology);
  const width = Math.round(picture.width);
  const height = Math.round(picture.height);
  const tunnels = tunnelsOf(topology, picture);
  const nodes = topology.segments.reduce((sum, segment) => sum + segment.members.length, 0);
  const facts = [
    formatCidr(topology.subnet),
    `${topology.granularity} mesh`,
    count(nodes, 'node'),
    count(tunnels.total, 'tunnel'),
    count(topology.peers.length, 'peer'),
  ].join('  ·  ');
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="mesh-title mesh-facts">`,
    `<title id="mesh-title">${escaped(title)}</title>`,
    `<desc id="mesh-facts">${escaped(facts)}</desc>`,
    `<style>${STYLE}</style>`,
    `<rect class="ground" width="${width}" height="${height}"/>`,
    text(48, 52, 'title', title),
    text(48, 78, 'facts', facts),
    ...picture.clouds.map((cloud, i) => cloudPanel(cloud, i)),
    ...peerLines(picture),
    ...tunnels.lines,
    ...picture.clouds.map((cloud, i) => cloudName(cloud, i)),
    ...picture.clouds.flatMap((cloud, i) => cloud.cards.map((card) => nodeCard(card, i))),
    ...picture.peers.map(peerCard),
    legend(picture, topology),
    '</svg>',
    '',
  ].join('\n');
};

const tunnelsOf = (topology: Topology, picture: Picture): { lines: string[]; total: number } => {
  const { leaders } = picture;
  const placeOf = new Map(
    picture.clouds.flatMap((cloud) => cloud.cards.map((card) => [card, cloud] as const)),
  );
  const inCross = topology.granularity === 'cross';
  const mates = new Map<string, number>();
  if (inCross)
    for (const { segment } of leaders)
      if (segment.leader.internalIP !== undefined)
        mates.set(segment.nodeLocation, (mates.get(segment.nodeLocation) ?? 0) + 1);
  const pairs = (n: number): number => (n * (n - 1)) / 2;
  const relayed = topology.apart.filter(({ relay }) => relay !== null).length;
  const total = [...mates.values()].reduce((rest, n) => rest - pairs(n), pairs(leaders.length)) - relayed;
  if (total > MOST_LINES) {
    const spokes = leaders.map(({ box }) =>
      line('tunnel', `M${point(edgeTowards(box, picture.centre))} L${point(picture.centre)}`),
    );
    const { x, y } = picture.centre;
    const hub = `<circle class="hub" cx="${round(x)}" cy="${round(y)}" r="54"/>`;
    return {
      total,
      lines: [
        ...spokes,
        hub,
        text(x, y - 2, 'hub-count', String(total)),
        text(x, y + 18, 'hub-word', 'tunnels'),
      ],
    };
  }
  const between = relayBetween(topology.apart);
  const lines: string[] = [];
  for (const [i, a] of leaders.entries()) {
    for (const b of leaders.slice(i + 1)) {
      if (areCoLocated(a.segment, b.segment)) continue;
      const relay = between(a.segment, b.segment);
      const label = `${a.node.name} ↔ ${b.node.name}${relay ? ` through ${relay.leader.name}` : ''}`;
      const sameColumn = placeOf.get(a) === placeOf.get(b) && a.box.x === b.box.x;
      const path = sameColumn ? bracket(a.box, b.box) : curve(a.box, b.box, picture.centre);
      lines.push(line(relay ? 'relayed' : 'tunnel', path, label));
    }
  }
  return { total, lines };
};

/** From edge to edge, bent towards the middle of the mesh so that neighbours' lines do not hide each other. */
const curve = (a: Box, b: Box, centre: Point): string => {
  const from = middle(a);
  const to = middle(b);
  const bend = {
    x: (from.x + to.x) * 0.5 * 0.62 + centre.x * 0.38,
    y: (from.y + to.y) * 0.5 * 0.62 + centre.y * 0.38,
  };
  return `M${point(edgeTowards(a, bend))} Q${point(bend)} ${point(edgeTowards(b, bend))}`;
};

/** Between two cards of one column, along their right side. */
const bracket = (a: Box, b: Box): string => {
  const x = a.x + a.width;
  const [from, to] = [a.y + a.height / 2, b.y + b.height / 2];
  const out = x + 16 + Math.min(14, Math.abs(to - from) / 20);
  return `M${point({ x, y: from })} C${point({ x: out, y: from })} ${point({ x: out, y: to })} ${point({ x, y: to })}`;
};

const peerLines = (picture: Picture): string[] => {
  const many = picture.peers.length * picture.leaders.length > MOST_LINES;
  return picture.peers.flatMap(({ peer, box }) => {
    const from = { x: box.x + box.width / 2, y: box.y };
    if (many) return [line('peer-tunnel', `M${point(from)} L${point({ x: from.x, y: from.y - 60 })}`)];
    return picture.leaders.map((leader) => {
      // Ends upright on the card's lower edge, as near as the edge allows.
      const { x, y, width, height } = leader.box;
      const to = { x: Math.min(Math.max(from.x, x + 40), x + width - 40), y: y + height };
      const path = `M${point(from)} C${point({ x: from.x, y: from.y - 90 })} ${point({ x: to.x, y: to.y + 90 })} ${point(to)}`;
      return line('peer-tunnel', path, `${peer.name} ↔ ${leader.node.name}`);
    });
  });
};

const cloudPanel = (cloud: Cloud, index: number): string => {
  const { x, y, width, height } = cloud.box;
  return [
    `<g class="accent${index % ACCENTS}">`,
    `<rect class="cloud" x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${round(height)}" rx="22"/>`,
    ...privateNetwork(cloud),
    '</g>',
  ].join('');
};

/** Over the lines that pass behind it. */
const cloudName = (cloud: Cloud, index: number): string => {
  const { x, y } = cloud.box;
  const glyph = `M${round(x + 27)} ${round(y + 32)}h17a6.5 6.5 0 0 0 1-12.9 9.5 9.5 0 0 0-18.3-2.1 7.6 7.6 0 0 0 .3 15z`;
  return [
    `<g class="accent${index % ACCENTS}"><path class="glyph" d="${glyph}"/>`,
    text(x + 60, y + 31, 'cloud-name', shortened(cloud.name)),
    '</g>',
  ].join('');
};

/** One line along the cards that share a private network, with a stub to each. */
const privateNetwork = (cloud: Cloud): string[] => {
  const cards = cloud.columns.flat();
  if (cards.length < 2) return [];
  const rail = cloud.box.y + HEADER - 7;
  const runs = cloud.columns.map((column) => {
    const x = (column[0]?.box.x ?? 0) - 14;
    const ends = column.map(({ box }) => box.y + box.height / 2);
    const top = cloud.columns.length > 1 ? rail : Math.min(...ends);
    const stubs = ends.map((end) => `M${point({ x, y: end })} h14`).join(' ');
    return `M${point({ x, y: top })} V${round(Math.max(...ends))} ${stubs}`;
  });
  const xs = cloud.columns.map((column) => (column[0]?.box.x ?? 0) - 14);
  const across =
    cloud.columns.length > 1 ? ` M${point({ x: Math.min(...xs), y: rail })} H${round(Math.max(...xs))}` : '';
  return [line('private', `${runs.join(' ')}${across}`)];
};

const nodeCard = ({ node, segment, leads, box }: NodeCard, cloudIndex: number): string => {
  const { x, y, width, height } = box;
  const grouped = segment.members.length > 1;
  const kilo0 = formatAddress(segment.wireguardIP);
  const details = [
    node.name,
    `pods ${formatCidr(podCIDROf(node))}`,
    leads ? `kilo0 ${kilo0}` : `by way of ${segment.leader.name}`,
    ...(node.internalIP === undefined ? [] : [`private ${formatAddress(node.internalIP.address)}`]),
    `endpoint ${formatMeshEndpoint(node.endpoint)}`,
  ];
  return [
    `<g class="accent${cloudIndex % ACCENTS}"><title>${escaped(details.join('\n'))}</title>`,
    `<rect class="card${leads ? ' leads' : ''}" x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${round(height)}" rx="12"/>`,
    `<circle class="${leads ? 'dot' : 'ring'}" cx="${round(x + 20)}" cy="${round(y + 20)}" r="5"/>`,
    text(x + 34, y + 25, 'name', shortened(node.name)),
    ...(leads && grouped ? [text(x + width - 14, y + 24, 'badge', 'leader')] : []),
    text(x + 16, y + 46, 'key', 'kilo0'),
    text(x + 62, y + 46, leads ? 'value' : 'value faint', leads ? kilo0 : `via ${kilo0}`),
    text(x + 16, y + 63, 'key', 'pods'),
    text(x + 62, y + 63, 'value', formatCidr(podCIDROf(node))),
    '</g>',
  ].join('');
};

const peerCard = ({ peer, box }: PeerCard): string => {
  const { x, y, width, height } = box;
  const [first, ...more] = peer.allowedIPs.map(formatCidr);
  const networks =
    first === undefined ? 'no allowed IPs' : more.length === 0 ? first : `${first} +${more.length}`;
  return [
    `<g><title>${escaped([peer.name, ...peer.allowedIPs.map(formatCidr)].join('\n'))}</title>`,
    `<rect class="peer" x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${round(height)}" rx="${round(height / 2)}"/>`,
    text(x + width / 2, y + 24, 'name centred', shortened(peer.name, 18)),
    text(x + width / 2, y + 42, 'value centred', shortened(networks, 21)),
    '</g>',
  ].join('');
};

const legend = (picture: Picture, { apart }: Topology): string => {
  const y = picture.height - 40;
  const entries: [string, string, boolean][] = [
    ['tunnel', 'WireGuard tunnel', true],
    ['relayed', 'through a relay', apart.some(({ relay }) => relay !== null)],
    [
      'private',
      'private network, no tunnel',
      picture.clouds.some((cloud) => cloud.columns.flat().length > 1),
    ],
    ['peer-tunnel', 'tunnel of a peer', picture.peers.length > 0],
  ];
  let x = 48;
  const parts: string[] = [];
  for (const [kind, words, shown] of entries) {
    if (!shown) continue;
    parts.push(line(kind, `M${point({ x, y })} h36`), text(x + 46, y + 4, 'legend', words));
    x += 46 + words.length * 7 + 34;
  }
  return `<g class="accent1">${parts.join('')}</g>`;
};

/** Where the line from a box's middle to a point leaves the box. */
const edgeTowards = (box: Box, target: Point): Point => {
  const { x, y } = middle(box);
  const dx = target.x - x;
  const dy = target.y - y;
  const reach = Math.max(Math.abs(dx) / (box.width / 2), Math.abs(dy) / (box.height / 2));
  return reach <= 1 ? { x, y } : { x: x + dx / reach, y: y + dy / reach };
};

const middle = (box: Box): Point => ({ x: box.x + box.width / 2, y: box.y + box.height / 2 });

const line = (kind: string, path: string, title?: string): string =>
  title === undefined
    ? `<path class="${kind}" d="${path}"/>`
    : `<path class="${kind}" d="${path}"><title>${escaped(title)}</title></path>`;

const text = (x: number, y: number, kind: string, content: string): string =>
  `<text class="${kind}" x="${round(x)}" y="${round(y)}">${escaped(content)}</text>`;

const round = (value: number): number => Math.round(value * 10) / 10;
const point = ({ x, y }: Point): string => `${round(x)} ${round(y)}`;

const count = (n: number, word: string): string => `${n} ${word}${n === 1 ? '' : 's'}`;

/** Cut between characters, not inside one. */
const shortened = (content: string, limit: number = NAME_LIMIT): string => {
  const characters = [...content];
  return characters.length <= limit ? content : `${characters.slice(0, limit - 1).join('')}…`;
};

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/** XML has no way to write most control characters, so they are shown as the replacement character. */
const escaped = (content: string): string =>
  content
    .toWellFormed()
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '\ufffd')
    .replace(/[&<>"]/g, (character) => ENTITIES[character] ?? character);
