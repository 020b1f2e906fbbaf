/**
 * Which lines the map draws: every tunnel while they can be told apart, else one for all between two clouds. A chosen
 * member's tunnels are always drawn one by one.
 * @module
 */
import type { MapTunnel, MeshSnapshot } from '../mesh-snapshot.ts';
import type { MapLayout, Spot } from './map-layout.ts';
import {
  bundleGrade,
  type Grade,
  gradeOf,
  lossText,
  rateText,
  roundTripText,
  tunnelText,
  worstLoss,
} from './words.ts';

export interface MapLine {
  readonly id: string;
  readonly path: string;
  readonly middle: Spot;
  readonly grade: Grade;
  readonly width: number;
  /** Bytes per second, both ways. */
  readonly rate: number;
  /** Beside the line. */
  readonly label: string;
  readonly words: string;
  /** How many tunnels it stands for. */
  readonly count: number;
}

/** More lines than this are a carpet. */
export const MOST_LINES = 240;

export const linesOf = (snapshot: MeshSnapshot, layout: MapLayout, chosen: string | null): MapLine[] => {
  const tunnels = Object.values(snapshot.tunnels).filter(isShown);
  const own = tunnels.filter(({ a, b }) => a === chosen || b === chosen);
  if (tunnels.length <= MOST_LINES) return tunnels.flatMap((tunnel) => lineOf(tunnel, snapshot, layout));
  const others = chosen === null ? tunnels : tunnels.filter((tunnel) => !own.includes(tunnel));
  const bundles = Map.groupBy(others, ({ a, b }) =>
    [placeOf(snapshot, a), placeOf(snapshot, b)].sort().join('\n'),
  );
  return [
    ...[...bundles].flatMap(([key, bundle]) => bundleOf(key, bundle, snapshot, layout)),
    ...own.flatMap((tunnel) => lineOf(tunnel, snapshot, layout)),
  ];
};

/** Every leader has every Peer; most of these tunnels are never used. */
const isShown = ({ toPeer, lastHandshake }: MapTunnel): boolean => !toPeer || lastHandshake !== null;

const placeOf = ({ nodes }: MeshSnapshot, name: string): string => {
  const node = nodes[name];
  return node === undefined ? `peer ${name}` : `cloud ${node.location}`;
};

/** Thin where nothing goes; twice as thick for every power of ten or so. */
export const widthOf = (bytesPerSecond: number): number =>
  bytesPerSecond < 1 ? 1.5 : Math.min(9, 1.5 + 1.1 * Math.log10(1 + bytesPerSecond / 100));

const lineOf = (tunnel: MapTunnel, snapshot: MeshSnapshot, layout: MapLayout): MapLine[] => {
  const from = layout.nodes.get(tunnel.a);
  const to = layout.nodes.get(tunnel.b) ?? layout.peers.get(tunnel.b);
  if (from === undefined || to === undefined) return [];
  const { path, middle } = curve(from, to, layout.nodeRadius + 3, layout.nodeRadius + 3);
  const rate = tunnel.rateAB + tunnel.rateBA;
  const loss = worstLoss(tunnel) ?? 0;
  const label = [
    ...(tunnel.roundTripMs === null ? [] : [roundTripText(tunnel.roundTripMs)]),
    ...(loss > 0 ? [`${lossText(loss)} lost`] : []),
  ].join(' · ');
  return [
    {
      id: `${tunnel.a}|${tunnel.b}`,
      path,
      middle,
      grade: gradeOf(tunnel, snapshot),
      width: widthOf(rate),
      rate,
      label,
      words: tunnelText(tunnel, snapshot),
      count: 1,
    },
  ];
};

const bundleOf = (
  key: string,
  bundle: readonly MapTunnel[],
  snapshot: MeshSnapshot,
  layout: MapLayout,
): MapLine[] => {
  const [a = '', b = ''] = key.split('\n');
  if (a === b) return []; // inside one cloud
  const ends = [a, b].map((place) => {
    const name = place.slice(place.indexOf(' ') + 1);
    const disc = place.startsWith('cloud ')
      ? layout.discs.find(({ location }) => location === name)
      : undefined;
    const spot = disc ?? layout.peers.get(name);
    return spot === undefined ? undefined : { x: spot.x, y: spot.y, radius: disc?.radius ?? 14 };
  });
  const [from, to] = ends;
  if (from === undefined || to === undefined) return [];
  const { path, middle } = curve(from, to, from.radius, to.radius);
  const rate = bundle.reduce((sum, { rateAB, rateBA }) => sum + rateAB + rateBA, 0);
  const broken = bundle.filter((tunnel) => gradeOf(tunnel, snapshot) === 'broken').length;
  const label =
    broken > 0
      ? `${broken} of ${bundle.length} broken`
      : `${bundle.length} ${bundle.length === 1 ? 'tunnel' : 'tunnels'}`;
  const names = [a, b].map((place) => place.slice(place.indexOf(' ') + 1)).join(' and ');
  return [
    {
      id: key,
      path,
      middle,
      grade: bundleGrade(bundle.map((tunnel) => gradeOf(tunnel, snapshot))),
      width: widthOf(rate),
      rate,
      label,
      words: `${bundle.length} tunnels between ${names}; ${broken} broken; ${rateText(rate)} in all`,
      count: bundle.length,
    },
  ];
};

/** Bent a little, always to the same side, so that lines do not hide behind what stands between. */
const curve = (from: Spot, to: Spot, cutFrom: number, cutTo: number) => {
  const length = Math.hypot(to.x - from.x, to.y - from.y) || 1;
  const ux = (to.x - from.x) / length;
  const uy = (to.y - from.y) / length;
  const bend = Math.min(46, length * 0.09);
  const control = { x: (from.x + to.x) / 2 - uy * bend, y: (from.y + to.y) / 2 + ux * bend };
  const start = towards(from, control, Math.min(cutFrom, length / 2.2));
  const end = towards(to, control, Math.min(cutTo, length / 2.2));
  const n = (value: number): string => value.toFixed(1);
  return {
    path: `M${n(start.x)} ${n(start.y)}Q${n(control.x)} ${n(control.y)} ${n(end.x)} ${n(end.y)}`,
    // Not quite in the middle, where lines cross.
    middle: {
      x: 0.36 * start.x + 0.48 * control.x + 0.16 * end.x,
      y: 0.36 * start.y + 0.48 * control.y + 0.16 * end.y,
    },
  };
};

const towards = (from: Spot, to: Spot, distance: number): Spot => {
  const length = Math.hypot(to.x - from.x, to.y - from.y) || 1;
  return {
    x: from.x + ((to.x - from.x) / length) * distance,
    y: from.y + ((to.y - from.y) / length) * distance,
  };
};
