/**
 * Where everything stands in the picture of a mesh: clouds on an ellipse, their nodes in columns, Peers in
 * rows beneath. Plain geometry; y grows downwards.
 * @module
 */

import { formatAddress, formatCidr } from '../noise/ip.ts';
import { podCIDROf, type ReadyNode } from './node.ts';
import type { MeshPeer, Segment, Topology } from './topology.ts';

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Box extends Point {
  readonly width: number;
  readonly height: number;
}

export interface NodeCard {
  readonly node: ReadyNode;
  readonly segment: Segment;
  readonly leads: boolean;
  readonly box: Box;
}

export interface Cloud {
  readonly name: string;
  readonly box: Box;
  readonly cards: readonly NodeCard[];
  /** Cards whose nodes reach each other without a tunnel, column by column. */
  readonly columns: readonly (readonly NodeCard[])[];
}

export interface PeerCard {
  readonly peer: MeshPeer;
  readonly box: Box;
}

export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly centre: Point;
  readonly clouds: readonly Cloud[];
  /** The card of each segment's leader, segments in order. */
  readonly leaders: readonly NodeCard[];
  readonly peers: readonly PeerCard[];
}

export const NAME_LIMIT = 30;
export const HEADER = 46;
const TITLE = 84;
const LEGEND = 64;
const MARGIN = 48;
const CARD_HEIGHT = 72;
const CARD_GAP = 14;
/** Room beside the cards for the lines that join them. */
const SIDE = 34;
const CLOUD_GAP = 110;
const PEER_WIDTH = 190;
const PEER_HEIGHT = 56;
/** Pictures are wider than high, as screens are. */
const STRETCH = 1.35;
/** Advance of a 13 px monospaced and a 15 px bold character, rounded up: nothing here can measure text. */
const MONO = 7.9;
const BOLD = 9.2;

export const layOut = (topology: Topology): Picture => {
  const cardWidth = widthOfCards(topology);
  const groups = cloudsOf(topology).map((group) => ({
    ...group,
    size: sizeOf(group.members.length, cardWidth),
  }));
  const places = ring(groups.map((group) => group.size));
  const left = Math.min(...places.map((place, i) => place.x - (groups[i]?.size.width ?? 0) / 2));
  const right = Math.max(...places.map((place, i) => place.x + (groups[i]?.size.width ?? 0) / 2));
  const top = Math.min(...places.map((place, i) => place.y - (groups[i]?.size.height ?? 0) / 2));
  const bottom = Math.max(...places.map((place, i) => place.y + (groups[i]?.size.height ?? 0) / 2));
  const width = Math.max(right - left, 720) + 2 * MARGIN;
  const shift = { x: width / 2 - (left + right) / 2, y: TITLE + MARGIN - top };
  const clouds = groups.map((group, i) => {
    const place = places[i] ?? { x: 0, y: 0 };
    const x = place.x + shift.x - group.size.width / 2;
    const y = place.y + shift.y - group.size.height / 2;
    return cloudAt(group, { x, y, ...group.size }, cardWidth, topology.granularity !== 'full');
  });
  const meshBottom = bottom + shift.y;
  const peers = peerRows(topology.peers, width, meshBottom + CLOUD_GAP);
  const peersBottom = Math.max(meshBottom, ...peers.map(({ box }) => box.y + box.height));
  const bySegment = new Map<Segment, NodeCard>();
  for (const card of clouds.flatMap((cloud) => cloud.cards))
    if (card.leads) bySegment.set(card.segment, card);
  return {
    width,
    height: peersBottom + MARGIN + LEGEND,
    centre: shift,
    clouds,
    leaders: topology.segments.flatMap((segment) => bySegment.get(segment) ?? []),
    peers,
  };
};

interface Group {
  readonly name: string;
  readonly members: { readonly node: ReadyNode; readonly segment: Segment }[];
}

interface Size {
  readonly width: number;
  readonly height: number;
  readonly columns: number;
  readonly rows: number;
}

/** Nodes are drawn where they stand, whatever the granularity; those that name no location stand alone. */
const cloudsOf = (topology: Topology): Group[] => {
  const groups = new Map<string, Group>();
  for (const segment of topology.segments) {
    for (const node of segment.members) {
      const alone = node.location === '' && topology.granularity !== 'location';
      const key = alone ? `node:${node.name}` : `location:${node.location}`;
      const name = alone ? node.name : node.location === '' ? 'no location' : node.location;
      const group = groups.get(key);
      if (group === undefined) groups.set(key, { name, members: [{ node, segment }] });
      else group.members.push({ node, segment });
    }
  }
  return [...groups.values()];
};

const widthOfCards = (topology: Topology): number => {
  let width = 204;
  for (const segment of topology.segments) {
    for (const node of segment.members) {
      const name = Math.min(node.name.length, NAME_LIMIT) * BOLD + 92;
      const address = Math.max(formatAddress(segment.wireguardIP).length, formatCidr(podCIDROf(node)).length);
      width = Math.max(width, name, address * MONO + 78);
    }
  }
  return Math.ceil(width);
};

const sizeOf = (count: number, cardWidth: number): Size => {
  const columns = Math.max(1, Math.round(Math.sqrt(count / 2.5)));
  const rows = Math.ceil(count / columns);
  return {
    columns,
    rows,
    width: columns * (cardWidth + SIDE) + SIDE,
    height: HEADER + rows * (CARD_HEIGHT + CARD_GAP) + 8,
  };
};

/** Centres on an ellipse around (0, 0), wide enough that neighbours keep apart. */
const ring = (sizes: readonly Size[]): Point[] => {
  if (sizes.length === 1) return [{ x: 0, y: 0 }];
  // An even number stands symmetric to both axes, an odd one has its first at the top.
  const start = -Math.PI / 2 - (sizes.length % 2 === 0 ? Math.PI / sizes.length : 0);
  const angles = sizes.map((_, i) => start + (2 * Math.PI * i) / sizes.length);
  let radius = 150;
  for (;;) {
    const places = angles.map((angle) => ({
      x: Math.cos(angle) * radius * STRETCH,
      y: Math.sin(angle) * radius,
    }));
    if (areApart(places, sizes)) return places;
    radius *= 1.06;
  }
};

const areApart = (places: readonly Point[], sizes: readonly Size[]): boolean =>
  places.every((a, i) =>
    // On an ellipse whoever comes too near is a neighbour, or the neighbour's.
    [1, 2].every((step) => {
      const j = (i + step) % places.length;
      const b = places[j];
      const sizeA = sizes[i];
      const sizeB = sizes[j];
      if (j === i || b === undefined || sizeA === undefined || sizeB === undefined) return true;
      const gapX = Math.abs(a.x - b.x) - (sizeA.width + sizeB.width) / 2;
      const gapY = Math.abs(a.y - b.y) - (sizeA.height + sizeB.height) / 2;
      return Math.max(gapX, gapY) >= CLOUD_GAP;
    }),
  );

const cloudAt = (
  group: Group & { readonly size: Size },
  box: Box,
  cardWidth: number,
  joined: boolean,
): Cloud => {
  const { rows } = group.size;
  const cards = group.members.map(({ node, segment }, i): NodeCard => {
    const column = Math.floor(i / rows);
    const x = box.x + SIDE + column * (cardWidth + SIDE);
    const y = box.y + HEADER + (i % rows) * (CARD_HEIGHT + CARD_GAP);
    return {
      node,
      segment,
      leads: segment.leader === node,
      box: { x, y, width: cardWidth, height: CARD_HEIGHT },
    };
  });
  const columns: NodeCard[][] = [];
  for (const [i, card] of cards.entries()) {
    if (!joined || card.node.internalIP === undefined) continue;
    const column = Math.floor(i / rows);
    columns[column] = [...(columns[column] ?? []), card];
  }
  return { name: group.name, box, cards, columns: columns.filter((column) => column !== undefined) };
};

const peerRows = (peers: readonly MeshPeer[], width: number, top: number): PeerCard[] => {
  const perRow = Math.max(1, Math.floor((width - 2 * MARGIN) / (PEER_WIDTH + CARD_GAP)));
  return peers.map((peer, i) => {
    const row = Math.floor(i / perRow);
    const inRow = Math.min(perRow, peers.length - row * perRow);
    const rowWidth = inRow * (PEER_WIDTH + CARD_GAP) - CARD_GAP;
    const x = (width - rowWidth) / 2 + (i % perRow) * (PEER_WIDTH + CARD_GAP);
    const y = top + row * (PEER_HEIGHT + CARD_GAP);
    return { peer, box: { x, y, width: PEER_WIDTH, height: PEER_HEIGHT } };
  });
};
