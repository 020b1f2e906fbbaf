/**
 * The map as SVG: clouds, nodes, peers, tunnels. Wheel and drag move it, so do arrow keys, + − and 0; Tab leads through its
 * members, which say in words what their colours say.
 * @module
 */
import { type ComponentChild, h } from 'preact';
import { useMemo, useRef, useState } from 'preact/hooks';
import type { MeshSnapshot } from '../mesh-snapshot.ts';
import { layOut, layoutKey, type MapLayout, type Spot } from './map-layout.ts';
import { linesOf, type MapLine } from './map-lines.ts';
import { locationText, nodeText, peerText } from './words.ts';

export interface MapProps {
  readonly snapshot: MeshSnapshot;
  /** A node, a Peer or a line. */
  readonly chosen: string | null;
  readonly onChoose: (id: string | null) => void;
}

interface View {
  readonly scale: number;
  readonly x: number;
  readonly y: number;
}

const WHOLE: View = { scale: 1, x: 0, y: 0 };
const STEP = 60;
const MOST_LABELS = 24;
/** Moving dashes cost a redraw each frame. */
const MOST_MOVING = 60;
/** The scale from which there is room for the names of many nodes. */
const NAMES_FROM = 2.8;

export const MapView = ({ snapshot, chosen, onChoose }: MapProps): ComponentChild => {
  const kept = useRef<{ key: string; layout: MapLayout } | null>(null);
  const [view, setView] = useState(WHOLE);
  const drag = useRef<{ x: number; y: number; view: View } | null>(null);
  const key = layoutKey(snapshot);
  const layout = useMemo(() => {
    const made = layOut(snapshot, kept.current?.layout ?? null);
    kept.current = { key, layout: made };
    return made;
  }, [key]);
  const lines = useMemo(() => linesOf(snapshot, layout, chosen), [snapshot, layout, chosen]);
  const { box } = layout;
  const zoom = (factor: number): void =>
    setView((old) => {
      const scale = Math.min(12, Math.max(0.5, old.scale * factor));
      return { scale, x: (old.x * scale) / old.scale, y: (old.y * scale) / old.scale };
    });
  const move = (x: number, y: number): void => setView((old) => ({ ...old, x: old.x + x, y: old.y + y }));
  const onKey = (event: KeyboardEvent): void => {
    const act = KEYS[event.key];
    if (act === undefined) return;
    event.preventDefault();
    act({ zoom, move, home: () => setView(WHOLE), leave: () => onChoose(null) });
  };
  const middle = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
  const related = relatedTo(chosen, snapshot);
  const own = lines.filter((line) => isOf(line, chosen));
  const mayLabel = (line: MapLine): boolean =>
    own.length > 0 ? own.length <= MOST_LABELS && own.includes(line) : lines.length <= MOST_LABELS;
  return h(
    'div',
    { class: 'map' },
    h(
      'svg',
      {
        id: 'mesh-map',
        viewBox: `${box.x} ${box.y} ${box.width} ${box.height}`,
        role: 'group',
        'aria-label':
          'Map of the mesh. Arrow keys move it, plus and minus zoom, Tab goes through its members.',
        tabindex: 0,
        class: `${chosen === null ? '' : 'has-chosen'}${view.scale >= NAMES_FROM ? ' near' : ''}`,
        onKeyDown: onKey,
        onWheel: (event: WheelEvent) => {
          event.preventDefault();
          zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15);
        },
        onPointerDown: (event: PointerEvent) => {
          drag.current = { x: event.clientX, y: event.clientY, view };
        },
        onPointerMove: (event: PointerEvent) => {
          const from = drag.current;
          if (from === null || event.buttons === 0) return;
          const width = (event.currentTarget as SVGSVGElement).clientWidth || 1;
          const unit = box.width / width;
          setView({
            ...from.view,
            x: from.view.x + (event.clientX - from.x) * unit,
            y: from.view.y + (event.clientY - from.y) * unit,
          });
        },
        onPointerUp: (event: PointerEvent) => {
          const from = drag.current;
          drag.current = null;
          const moved = from === null ? 0 : Math.hypot(event.clientX - from.x, event.clientY - from.y);
          if (moved < 4 && event.target === event.currentTarget) onChoose(null);
        },
      },
      h(
        'g',
        {
          transform: `translate(${middle.x + view.x} ${middle.y + view.y}) scale(${view.scale}) translate(${-middle.x} ${-middle.y})`,
        },
        h('g', null, layout.discs.map(discOf)),
        h('g', null, spokesOf(snapshot, layout)),
        h(
          'g',
          null,
          lines.map((line) => lineView(line, isOf(line, chosen), lines.length <= MOST_MOVING, onChoose)),
        ),
        h(
          'g',
          { 'aria-hidden': 'true' },
          lines
            .filter((line) => line.label !== '' && mayLabel(line))
            .map(({ id, middle: at, label, grade }) =>
              h(
                'text',
                {
                  key: id,
                  class: `rtt ${grade}${layout.nodeRadius < 10 ? ' large' : ''}`,
                  x: at.x,
                  y: at.y,
                  'text-anchor': 'middle',
                },
                label,
              ),
            ),
        ),
        h('g', null, layout.discs.map(titleOf(snapshot, layout))),
        h('g', null, membersOf(snapshot, layout, chosen, related, onChoose)),
      ),
    ),
    h(
      'div',
      { class: 'zoom', role: 'group', 'aria-label': 'Zoom' },
      h('button', { onClick: () => zoom(1.3), 'aria-label': 'Zoom in', title: 'Zoom in (+)' }, '+'),
      h('button', { onClick: () => zoom(1 / 1.3), 'aria-label': 'Zoom out', title: 'Zoom out (−)' }, '−'),
      h('button', { onClick: () => setView(WHOLE), 'aria-label': 'Show all', title: 'Show all (0)' }, '⤢'),
    ),
  );
};

interface Acts {
  readonly zoom: (factor: number) => void;
  readonly move: (x: number, y: number) => void;
  readonly home: () => void;
  readonly leave: () => void;
}

const KEYS: Readonly<Record<string, (acts: Acts) => void>> = {
  '+': ({ zoom }) => zoom(1.3),
  '=': ({ zoom }) => zoom(1.3),
  '-': ({ zoom }) => zoom(1 / 1.3),
  '0': ({ home }) => home(),
  Escape: ({ leave }) => leave(),
  ArrowLeft: ({ move }) => move(STEP, 0),
  ArrowRight: ({ move }) => move(-STEP, 0),
  ArrowUp: ({ move }) => move(0, STEP),
  ArrowDown: ({ move }) => move(0, -STEP),
};

const isOf = ({ id }: MapLine, chosen: string | null): boolean =>
  chosen !== null && (id === chosen || id.split('|').includes(chosen));

/** The chosen one and who has a tunnel with it. */
const relatedTo = (chosen: string | null, { tunnels }: MeshSnapshot): ReadonlySet<string> => {
  const names = new Set<string>();
  if (chosen === null) return names;
  for (const name of chosen.split('|')) names.add(name);
  for (const { a, b } of Object.values(tunnels)) {
    if (a === chosen) names.add(b);
    if (b === chosen) names.add(a);
  }
  return names;
};

const discOf = ({ location, x, y, radius }: MapLayout['discs'][number]): ComponentChild =>
  h('circle', { key: location, class: 'cloud', cx: x, cy: y, r: radius });

/** Over the tunnels, which would strike it through. */
const titleOf =
  ({ nodes }: MeshSnapshot, { nodeRadius }: MapLayout) =>
  ({ location, x, y, radius }: MapLayout['discs'][number]): ComponentChild => {
    const count = Object.values(nodes).filter((node) => node.location === location).length;
    return h(
      'text',
      {
        key: location,
        class: `cloud${nodeRadius < 10 ? ' large' : ''}`,
        x,
        y: y - radius - 9,
        'text-anchor': 'middle',
      },
      `${locationText(location)}${count > 5 ? ` · ${count} nodes` : ''}`,
    );
  };

/** From a leader to those it speaks for: inside a cloud nothing is tunnelled. */
const spokesOf = ({ nodes }: MeshSnapshot, { nodes: spots }: MapLayout): ComponentChild[] =>
  Object.entries(nodes)
    .filter(([, { leads }]) => leads > 1)
    .flatMap(([leader, { location }]) => {
      const from = spots.get(leader);
      return Object.entries(nodes).flatMap(([name, node]) => {
        const to = spots.get(name);
        if (from === undefined || to === undefined) return [];
        if (node.role !== 'member' || node.location !== location) return [];
        return [h('line', { key: name, class: 'spoke', x1: from.x, y1: from.y, x2: to.x, y2: to.y })];
      });
    });

const lineView = (
  { id, path, grade, width, rate, words }: MapLine,
  isChosen: boolean,
  mayMove: boolean,
  onChoose: MapProps['onChoose'],
): ComponentChild =>
  h(
    'g',
    {
      key: id,
      class: `tunnel ${grade}${isChosen ? ' chosen' : ''}`,
      onClick: () => onChoose(id),
      'data-tunnel': id,
    },
    h('title', null, words),
    h('path', { d: path, class: 'reach', 'stroke-width': 14 }),
    h('path', { d: path, class: 'line', 'stroke-width': width.toFixed(2) }),
    mayMove && rate > 50
      ? h('path', { d: path, class: 'flow', 'stroke-width': Math.max(1.2, width * 0.45) })
      : null,
  );

const membersOf = (
  snapshot: MeshSnapshot,
  layout: MapLayout,
  chosen: string | null,
  related: ReadonlySet<string>,
  onChoose: MapProps['onChoose'],
): ComponentChild[] => {
  const member = (
    name: string,
    spot: Spot,
    look: { classes: string; words: string; shape: readonly ComponentChild[]; labelAt: number },
  ): ComponentChild =>
    h(
      'g',
      {
        key: name,
        class: `member ${look.classes}${related.has(name) ? ' related' : ''}${chosen === name ? ' chosen' : ''}`,
        transform: `translate(${spot.x.toFixed(1)} ${spot.y.toFixed(1)})`,
        role: 'button',
        tabindex: 0,
        'aria-label': look.words,
        'aria-pressed': chosen === name,
        'data-member': name,
        onClick: () => onChoose(name),
        onKeyDown: (event: KeyboardEvent) => {
          if (event.key !== 'Enter' && event.key !== ' ') return;
          event.preventDefault();
          onChoose(name);
        },
      },
      h('title', null, look.words),
      ...look.shape,
      h('text', { class: 'name', y: look.labelAt, 'text-anchor': 'middle' }, name),
    );
  const r = layout.nodeRadius;
  const small = r < 10 ? ' small' : '';
  const nodes = [...layout.nodes].flatMap(([name, spot]) => {
    const node = snapshot.nodes[name];
    if (node === undefined) return [];
    const crown = node.role === 'leader' ? [h('path', { class: 'crown', d: star(r * 0.58) })] : [];
    const cross =
      node.state === 'silent'
        ? [
            h('path', {
              class: 'cross',
              d: `M${-r * 0.5} ${-r * 0.5}L${r * 0.5} ${r * 0.5}M${r * 0.5} ${-r * 0.5}L${-r * 0.5} ${r * 0.5}`,
            }),
          ]
        : [];
    const shape = [
      h('circle', { class: 'halo', r: r + 6 }),
      h('circle', { class: 'body', r }),
      ...(cross.length > 0 ? cross : crown),
    ];
    const words = nodeText(name, node, snapshot.at);
    return [
      member(name, spot, {
        classes: `${node.role} ${node.state}${small}`,
        words,
        shape,
        labelAt: r + (small === '' ? 15 : 12),
      }),
    ];
  });
  const peers = [...layout.peers].flatMap(([name, spot]) => {
    const peer = snapshot.peers[name];
    if (peer === undefined) return [];
    const shape = [
      h('rect', { class: 'halo', x: -19, y: -16, width: 38, height: 32, rx: 9 }),
      h('rect', { class: 'body', x: -13, y: -10, width: 26, height: 16, rx: 3 }),
      h('path', { class: 'stand', d: 'M-17 10H17' }),
    ];
    const classes = `peer ${peer.ready ? 'well' : 'out'}`;
    return [member(name, spot, { classes, words: peerText(name, peer), shape, labelAt: 27 })];
  });
  return [...nodes, ...peers];
};

/** Five points. */
const star = (radius: number): string => {
  const points = Array.from({ length: 10 }, (_each, index) => {
    const far = index % 2 === 0 ? radius : radius * 0.45;
    const angle = (Math.PI * index) / 5 - Math.PI / 2;
    return `${(far * Math.cos(angle)).toFixed(1)} ${(far * Math.sin(angle)).toFixed(1)}`;
  });
  return `M${points.join('L')}Z`;
};
