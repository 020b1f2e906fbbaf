/**
 * What the page asks of the mesh: now, from now on, in the last hour, one node in words, and drawn.
 * @module
 */
import { deflateSync } from 'node:zlib';
import { hostState } from '../admin/host-state.ts';
import { type Mesh, topologyFrom } from '../admin/mesh.ts';
import { toDot } from '../routing/dot.ts';
import { toMermaid } from '../routing/mermaid.ts';
import { meshJson } from '../routing/mesh-json.ts';
import type { PathOptions } from '../routing/packet-path.ts';
import { toPng } from '../routing/png.ts';
import { toSvg } from '../routing/svg.ts';
import type { Topology } from '../routing/topology.ts';
import { streamEvents } from './event-stream.ts';
import type { MeshSource } from './mesh-feed.ts';
import { type Route, send, sendJson } from './routes.ts';
import { UiError } from './ui-error.ts';

const DRAWINGS: Readonly<
  Record<string, readonly [type: string, draw: (topology: Topology) => string | Uint8Array]>
> = {
  dot: ['text/vnd.graphviz; charset=utf-8', toDot],
  json: ['application/json', (topology) => JSON.stringify(meshJson(topology), null, 2)],
  mermaid: ['text/plain; charset=utf-8', toMermaid],
  png: ['image/png', (topology) => toPng(topology, (bytes) => deflateSync(bytes))],
  svg: ['image/svg+xml', toSvg],
};

export const meshRoutes = (source: MeshSource, options: PathOptions): readonly Route[] => [
  { method: 'GET', pattern: '/mesh', answer: ({ response }) => sendJson(response, currentOf(source)) },
  {
    method: 'GET',
    pattern: '/mesh/events',
    answer: ({ response }) => streamEvents(source, response),
  },
  {
    method: 'GET',
    pattern: '/mesh/history',
    answer: ({ response }) => sendJson(response, source.ring.summaries),
  },
  {
    method: 'GET',
    pattern: '/mesh/history/:at',
    answer: ({ response, path }) => {
      const sample = source.ring.at(Number(path.at));
      if (sample === null) throw new UiError('ERR_UI_UNKNOWN', 'Nothing is known of that time.');
      sendJson(response, sample);
    },
  },
  {
    method: 'GET',
    pattern: '/mesh/nodes/:name',
    answer: ({ response, path }) => sendJson(response, nodeWords(source, options, path.name ?? '')),
  },
  {
    method: 'GET',
    pattern: '/mesh/graph',
    answer: ({ response, query }) => {
      const format = query.get('format') ?? 'svg';
      const drawing = Object.hasOwn(DRAWINGS, format) ? DRAWINGS[format] : undefined;
      if (drawing === undefined)
        throw new UiError('ERR_UI_REQUEST', `format is one of ${Object.keys(DRAWINGS).join(', ')}.`);
      send(response, drawing[0], drawing[1](topologyFrom(meshOf(source))));
    },
  },
];

const currentOf = ({ current }: MeshSource) => {
  if (current === null) throw new UiError('ERR_UI_NOT_YET', 'The cluster has not been read yet.');
  return current;
};

export const meshOf = ({ mesh, current }: MeshSource): Mesh => {
  if (mesh === null)
    throw new UiError('ERR_UI_NOT_YET', current?.trouble ?? 'The cluster has not been read yet.');
  return mesh;
};

/** All that its agent puts on the host. */
const nodeWords = (source: MeshSource, options: PathOptions, name: string) => {
  const mesh = meshOf(source);
  if (!mesh.view.nodes.some((node) => node.name === name))
    throw new UiError('ERR_UI_UNKNOWN', `There is no node "${name}".`);
  return { name, state: [...hostState(topologyFrom(mesh, name), options).values()] };
};
