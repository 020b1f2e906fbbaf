/**
 * Where everything stands on the map: nodes on rings inside the disc of their cloud, discs and peers pushed and pulled by
 * d3-force until they rest. The same mesh always gives the same picture, and what was there stays about where it was.
 * @module
 */
import {
  forceCollide,
  forceLink,
  forceManyBody,
  forceSimulation,
  forceX,
  forceY,
  type SimulationNodeDatum,
} from 'd3-force';
import type { MeshSnapshot } from '../mesh-snapshot.ts';

export interface Spot {
  readonly x: number;
  readonly y: number;
}

export interface Disc extends Spot {
  readonly location: string;
  readonly radius: number;
}

export interface MapLayout {
  readonly discs: readonly Disc[];
  readonly nodes: ReadonlyMap<string, Spot>;
  readonly peers: ReadonlyMap<string, Spot>;
  /** Radius of a node. */
  readonly nodeRadius: number;
  readonly box: { readonly x: number; readonly y: number; readonly width: number; readonly height: number };
}

interface Body extends SimulationNodeDatum {
  readonly id: string;
  readonly kind: 'disc' | 'peer';
  readonly radius: number;
  x: number;
  y: number;
}

const TICKS = 300;
const PEER_RADIUS = 14;
/** So many clouds at most stand on one circle; more are pushed about. */
const MOST_ON_CIRCLE = 8;
const CLOUD_GAP = 120;
const LEAST_WIDTH = 760;
const LEAST_HEIGHT = 460;
/** Nodes are dots from so many on. */
const CROWD = 60;

/** Changes only when the picture has to. */
export const layoutKey = (snapshot: MeshSnapshot): string => {
  const { nodes, peers } = snapshot;
  const at = homesOf(snapshot);
  const places = Object.entries(nodes).map(([name, { location, role }]) => `${name}@${location}${role[0]}`);
  const homes = Object.keys(peers).map((name) => `${name}>${at.get(name) ?? ''}`);
  return [...places.sort(), ...homes.sort()].join(' ');
};

/** The cloud whose tunnel each Peer used last. */
const homesOf = ({ tunnels, nodes }: MeshSnapshot): ReadonlyMap<string, string> => {
  const latest = new Map<string, { readonly when: number; readonly home: string }>();
  for (const { a, b, toPeer, lastHandshake } of Object.values(tunnels)) {
    const home = nodes[a]?.location;
    if (!toPeer || lastHandshake === null || home === undefined) continue;
    // Small differences must not move it to and fro.
    const when = Math.floor(lastHandshake / 600);
    if (when > (latest.get(b)?.when ?? 0)) latest.set(b, { when, home });
  }
  return new Map([...latest].map(([name, { home }]) => [name, home]));
};

export const layOut = (snapshot: MeshSnapshot, before: MapLayout | null): MapLayout => {
  const names = Object.keys(snapshot.nodes).sort();
  const crowded = names.length > CROWD;
  const spacing = crowded ? 30 : 92;
  const nodeRadius = crowded ? 8 : 17;
  const groups = Map.groupBy(names, (name) => snapshot.nodes[name]?.location ?? '');
  const locations = [...groups.keys()].sort();
  const edge = nodeRadius + (crowded ? 14 : 34);
  const radii = locations.map((location) => ringRadius(groups.get(location)?.length ?? 0, spacing) + edge);
  const places = circle(radii);
  const discBodies = locations.map((location, index): Body => {
    const radius = radii[index] ?? 0;
    const old = before?.discs.find((disc) => disc.location === location);
    const place = places[index] ?? { x: 0, y: 0 };
    return locations.length <= MOST_ON_CIRCLE
      ? { id: location, kind: 'disc', radius, ...place, fx: place.x, fy: place.y }
      : { id: location, kind: 'disc', radius, x: old?.x ?? place.x, y: old?.y ?? place.y };
  });
  const homes = homesOf(snapshot);
  const bodies = [...discBodies, ...peerBodies(snapshot, homes, discBodies, before)];
  settle(bodies, homes);
  const discs = bodies
    .filter(({ kind }) => kind === 'disc')
    .map(({ id, radius, x, y }): Disc => ({ location: id, radius, x, y }));
  const nodes = new Map<string, Spot>();
  for (const disc of discs) {
    const members = (groups.get(disc.location) ?? []).toSorted(
      (a, b) => Number(leads(snapshot, b)) - Number(leads(snapshot, a)),
    );
    for (const [index, spot] of ringSpots(members.length, spacing).entries())
      nodes.set(members[index] ?? '', { x: disc.x + spot.x, y: disc.y + spot.y });
  }
  const peers = new Map(bodies.filter(({ kind }) => kind === 'peer').map(({ id, x, y }) => [id, { x, y }]));
  return { discs, nodes, peers, nodeRadius, box: boxOf(bodies) };
};

/** On an ellipse, since the stage is wider than high: lines between a few clouds then cross no third one. */
const circle = (radii: readonly number[]): Spot[] => {
  const count = radii.length;
  if (count === 1) return [{ x: 0, y: 0 }];
  const far = (Math.max(...radii) + CLOUD_GAP / 2) / Math.sin(Math.PI / count);
  // An even number stands so that two are on top and two below.
  const turn = count % 2 === 0 ? Math.PI / count : 0;
  return radii.map((_radius, index) => {
    const angle = (2 * Math.PI * index) / count - Math.PI / 2 + turn;
    return { x: far * (count === 2 ? 1 : 1.3) * Math.cos(angle), y: far * Math.sin(angle) };
  });
};

/** Outside of the cloud they use, beside one another; who uses none stands below. */
const peerBodies = (
  snapshot: MeshSnapshot,
  homes: ReadonlyMap<string, string>,
  discs: readonly Body[],
  before: MapLayout | null,
): Body[] => {
  const guests = new Map<string | undefined, number>();
  const below = Math.max(0, ...discs.map(({ y, radius }) => y + radius));
  const names = Object.keys(snapshot.peers).sort();
  const homeless = names.filter((name) => !homes.has(name)).length;
  return names.map((name): Body => {
    const home = homes.get(name);
    const disc = discs.find(({ id }) => id === home);
    const nth = guests.get(home) ?? 0;
    guests.set(home, nth + 1);
    const outward = disc === undefined ? Math.PI / 2 : Math.atan2(disc.y, disc.x);
    const angle = outward + Math.ceil(nth / 2) * 0.5 * (nth % 2 === 0 ? 1 : -1);
    const peer = { id: name, kind: 'peer', radius: PEER_RADIUS } as const;
    if (disc === undefined) {
      const x = (nth % 10) * 110 - Math.min(9, homeless - 1) * 55;
      const y = below + 70 + Math.floor(nth / 10) * 70;
      return { ...peer, x, y, fx: x, fy: y };
    }
    const old = before?.peers.get(name);
    const far = disc.radius + 70;
    return {
      ...peer,
      x: old?.x ?? disc.x + far * Math.cos(angle),
      y: old?.y ?? disc.y + far * Math.sin(angle),
    };
  });
};

const leads = ({ nodes }: MeshSnapshot, name: string): boolean => nodes[name]?.role === 'leader';

const settle = (bodies: Body[], homes: ReadonlyMap<string, string>): void => {
  const ties = bodies.flatMap((body) => {
    const home = body.kind === 'peer' ? homes.get(body.id) : undefined;
    const disc = bodies.find(({ kind, id }) => kind === 'disc' && id === home);
    return disc === undefined ? [] : [{ source: body, target: disc, distance: disc.radius + 90 }];
  });
  const gap = bodies.length > 40 ? 14 : 52;
  const simulation = forceSimulation(bodies)
    .force(
      'apart',
      forceManyBody<Body>()
        .strength(({ kind, radius, fx }) => (kind === 'peer' ? -200 : fx === undefined ? -30 * radius : 0))
        .distanceMax(900),
    )
    // The stage is wider than high.
    .force(
      'x',
      forceX<Body>(0).strength(({ kind }) => (kind === 'disc' ? 0.1 : 0.02)),
    )
    .force(
      'y',
      forceY<Body>(0).strength(({ kind }) => (kind === 'disc' ? 0.2 : 0.04)),
    )
    .force('gap', forceCollide<Body>(({ radius }) => radius + gap).iterations(3))
    .force(
      'home',
      forceLink<Body, (typeof ties)[number]>(ties)
        .distance(({ distance }) => distance)
        .strength(0.5),
    )
    .stop();
  simulation.tick(TICKS);
};

/** One in the middle when there is one, else on rings around it. */
const ringSpots = (count: number, spacing: number): Spot[] => {
  if (count <= 1) return [{ x: 0, y: 0 }].slice(0, count);
  const spots: Spot[] = [];
  if (count > 5) spots.push({ x: 0, y: 0 });
  for (let ring = 1; spots.length < count; ring++) {
    const radius = count <= 5 ? smallRing(count, spacing) : ring * spacing;
    const room = count <= 5 ? count : Math.floor((2 * Math.PI * radius) / spacing);
    const here = Math.min(room, count - spots.length);
    for (let index = 0; index < here; index++) {
      const angle = (2 * Math.PI * index) / here - (count === 2 ? Math.PI : Math.PI / 2);
      spots.push({ x: radius * Math.cos(angle), y: radius * Math.sin(angle) });
    }
  }
  return spots;
};

/** Of two to five nodes with that much between neighbours. */
const smallRing = (count: number, spacing: number): number => spacing / (2 * Math.sin(Math.PI / count));

const ringRadius = (count: number, spacing: number): number => {
  const last = ringSpots(count, spacing).at(-1);
  return last === undefined ? 0 : Math.hypot(last.x, last.y);
};

/** A small mesh is not blown up to fill the stage. */
const boxOf = (bodies: readonly Body[]): MapLayout['box'] => {
  const margin = 46;
  const reach = (of: (body: Body) => number): number => Math.max(0, ...bodies.map(of)) + margin;
  const left = reach(({ x, radius }) => radius - x);
  const right = reach(({ x, radius }) => radius + x);
  const above = reach(({ y, radius }) => radius - y);
  const below = reach(({ y, radius }) => radius + y);
  const width = Math.max(LEAST_WIDTH, left + right);
  const height = Math.max(LEAST_HEIGHT, above + below);
  return { x: (right - left - width) / 2, y: (below - above - height) / 2, width, height };
};
