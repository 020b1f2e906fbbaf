/**
 * The interface described for programs, served as /api/v1.0/openapi.json; a test holds the answers against it.
 * Source: OpenAPI Specification 3.0.3.
 * @module
 */

import { type Route, sendJson } from './routes.ts';

const text = { type: 'string' } as const;
const maybeText = { type: 'string', nullable: true } as const;
const truth = { type: 'boolean' } as const;
const number = { type: 'number' } as const;
const texts = { type: 'array', items: text } as const;
const key = { type: 'string', description: 'base64 of 32 bytes', pattern: '^[A-Za-z0-9+/]{43}=$' } as const;
const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });
const object = (properties: Readonly<Record<string, unknown>>, optional: readonly string[] = []) => ({
  type: 'object',
  properties,
  required: Object.keys(properties).filter((name) => !optional.includes(name)),
});

const terms = {
  email: maybeText,
  enable: truth,
  expires: { ...maybeText, format: 'date-time', description: 'null: without end' },
  allow: {
    ...texts,
    nullable: true,
    description: 'ranges, addresses, namespace/name of services; null: no bound',
  },
  tags: { ...texts, nullable: true },
  presharedKey: { ...key, nullable: true, description: 'stored in the Peer, for the nodes; never answered' },
  persistentKeepalive: { type: 'integer', minimum: 0, maximum: 65_535 },
};
const termNames = Object.keys(terms);

const schemas = {
  Client: object({
    id: text,
    name: text,
    email: maybeText,
    enable: truth,
    state: { type: 'string', enum: ['active', 'disabled', 'expired', 'invalid'] },
    faults: texts,
    address: texts,
    publicKey: text,
    hasPresharedKey: truth,
    persistentKeepalive: number,
    expires: maybeText,
    allow: { ...texts, nullable: true },
    tags: texts,
    created: maybeText,
  }),
  NewClient: object({ name: text, publicKey: key, address: texts, ...terms }, ['address', ...termNames]),
  ChangedClient: object({ publicKey: key, ...terms }, ['publicKey', ...termNames]),
  ClientStatus: object({
    name: text,
    email: maybeText,
    publicKey: text,
    hasPresharedKey: truth,
    allowedIPs: texts,
    connected: truth,
    endpoint: maybeText,
    lastHandshake: maybeText,
    receivedRate: number,
    sentRate: number,
  }),
  Snapshot: object({
    at: { ...number, description: 'Unix milliseconds' },
    trouble: maybeText,
    granularity: text,
    subnet: text,
    nodes: { type: 'object', description: 'by name' },
    peers: { type: 'object', description: 'by name' },
    tunnels: { type: 'object', description: 'by the names of both ends, with | between them' },
    problems: {
      type: 'array',
      items: object({ code: text, severity: text, subject: text, what: text, remedy: text }),
    },
  }),
  Sample: object({ at: number, rate: number, faults: number, silent: number }),
  NodeState: object({ name: text, state: { type: 'array', items: object({ part: text, text }) } }),
  Error: object({ error: object({ code: text, message: text }) }),
  Version: object({ version: text, readOnly: { ...truth, description: 'nothing can be changed here' } }),
};

const json = (schema: unknown, description: string) => ({
  description,
  content: { 'application/json': { schema } },
});
const list = (name: string) => ({ type: 'array', items: ref(name) });
const body = (name: string) => ({ required: true, content: { 'application/json': { schema: ref(name) } } });
const parameter = (name: string) => ({ name, in: 'path', required: true, schema: text });
const refused = { default: json(ref('Error'), 'Why not') };
const operation = (summary: string, responses: Readonly<Record<string, unknown>>, more = {}) => ({
  summary,
  ...more,
  responses: { ...responses, ...refused },
});
const asText = (type: string, description: string) => ({
  description,
  content: { [type]: { schema: text } },
});
const id = { parameters: [parameter('id')] };

export const openApi = (version: string) => ({
  openapi: '3.0.3',
  info: {
    title: 'Kilowire',
    version,
    description:
      'The mesh as it lives, and its clients. Changes, and files of clients, need the token as a bearer token (or as x-wg-gen-web-auth).',
  },
  servers: [{ url: '/api/v1.0' }],
  security: [{ token: [] }],
  components: {
    securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
    schemas,
  },
  paths: {
    '/openapi.json': { get: operation('This document', { 200: json({ type: 'object' }, 'OpenAPI') }) },
    '/mesh': { get: operation('The mesh now', { 200: json(ref('Snapshot'), 'A snapshot') }) },
    '/mesh/events': {
      get: operation('A snapshot, then what changes, until the connection ends', {
        200: asText('text/event-stream', 'Events "snapshot" and "change"'),
      }),
    },
    '/mesh/history': {
      get: operation('The last hour', { 200: json(list('Sample'), 'Samples, oldest first') }),
    },
    '/mesh/history/{at}': {
      get: operation(
        'The mesh as it was',
        { 200: json(ref('Snapshot'), 'The last sample not later') },
        {
          parameters: [{ ...parameter('at'), schema: number }],
        },
      ),
    },
    '/mesh/nodes/{name}': {
      get: operation(
        'What the agent of a node puts on its host',
        { 200: json(ref('NodeState'), 'Lines') },
        {
          parameters: [parameter('name')],
        },
      ),
    },
    '/mesh/graph': {
      get: operation(
        'The mesh drawn, as kilowire graph does',
        { 200: asText('image/svg+xml', 'A drawing') },
        {
          parameters: [
            {
              name: 'format',
              in: 'query',
              schema: { type: 'string', enum: ['dot', 'json', 'mermaid', 'png', 'svg'], default: 'svg' },
            },
          ],
        },
      ),
    },
    '/client': {
      get: operation('All clients', { 200: json(list('Client'), 'Clients by name') }),
      post: operation(
        'Add a client',
        { 201: json(ref('Client'), 'The new one') },
        { requestBody: body('NewClient') },
      ),
    },
    '/client/{id}': {
      get: operation('One client', { 200: json(ref('Client'), 'It') }, id),
      patch: operation(
        'Change what is named, such as enable, expires or publicKey',
        { 200: json(ref('Client'), 'As it is now') },
        {
          ...id,
          requestBody: body('ChangedClient'),
        },
      ),
      delete: operation('Remove it', { 204: { description: 'It is gone' } }, id),
    },
    '/client/{id}/config': {
      get: operation(
        'Its file for wg-quick, with PRIVATE_KEY where its private key belongs',
        { 200: asText('text/plain', 'The file') },
        id,
      ),
    },
    '/server/version': { get: operation('The version of this server', { 200: json(ref('Version'), 'It') }) },
    '/status/enabled': { get: operation('Whether there is a status: always', { 200: json(truth, 'true') }) },
    '/status/clients': {
      get: operation('Who is connected', { 200: json(list('ClientStatus'), 'Clients by name') }),
    },
  },
});

/** Describes what is served beside it, and nothing else. */
export const openApiRoute = (version: string, beside: readonly Route[]): Route => {
  const route: Route = {
    method: 'GET',
    pattern: '/openapi.json',
    answer: ({ response }) => sendJson(response, { ...whole, paths }),
  };
  const served = new Set([route, ...beside].map(({ method, pattern }) => `${method} ${pattern}`));
  const whole = openApi(version);
  const paths = Object.fromEntries(
    Object.entries(whole.paths).flatMap(([path, methods]) => {
      const there = Object.entries(methods).filter(([method]) =>
        served.has(`${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ':$1')}`),
      );
      return there.length === 0 ? [] : [[path, Object.fromEntries(there)]];
    }),
  );
  return route;
};
