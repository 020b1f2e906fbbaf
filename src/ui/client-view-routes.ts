/**
 * What is told of clients and of this server to who only looks, with the addresses and fields of wg-gen-web.
 * Source: wg-gen-web's /api/v1.0 (client, server, status).
 * @module
 */
import type { ClientJson, ClientSource } from './client-json.ts';
import type { MeshSource } from './mesh-feed.ts';
import { type Route, sendJson } from './routes.ts';

/** wg-gen-web counts who was heard within three minutes as connected. */
const CONNECTED_SECONDS = 180;

export const clientViewRoutes = (clients: ClientSource, mesh: MeshSource): readonly Route[] => [
  {
    method: 'GET',
    pattern: '/client',
    answer: async ({ response }) => sendJson(response, await clients.list()),
  },
  {
    method: 'GET',
    pattern: '/client/:id',
    answer: async ({ response, path }) => sendJson(response, await clients.find(path.id ?? '')),
  },
  {
    method: 'GET',
    pattern: '/status/clients',
    answer: async ({ response }) => sendJson(response, statusOf(await clients.list(), mesh)),
  },
];

export interface ServerRoutesOptions {
  readonly version: string;
  /** Nothing can be changed here, whoever asks. */
  readonly readOnly: boolean;
}

export const serverRoutes = (about: ServerRoutesOptions): readonly Route[] => [
  { method: 'GET', pattern: '/server/version', answer: ({ response }) => sendJson(response, about) },
  { method: 'GET', pattern: '/status/enabled', answer: ({ response }) => sendJson(response, true) },
];

const statusOf = (clients: readonly ClientJson[], { current }: MeshSource) => {
  const now = Date.now() / 1000;
  const tunnels = Object.values(current?.tunnels ?? {});
  return clients.map(({ name, email, publicKey, hasPresharedKey, address }) => {
    const own = tunnels.filter(({ b, toPeer }) => toPeer && b === name);
    const heard = own.flatMap(({ lastHandshake }) => lastHandshake ?? []);
    const lastHandshake = heard.length === 0 ? null : Math.max(...heard);
    const last = own.find((tunnel) => tunnel.lastHandshake === lastHandshake);
    return {
      name,
      email,
      publicKey,
      hasPresharedKey,
      allowedIPs: address,
      connected: lastHandshake !== null && now - lastHandshake < CONNECTED_SECONDS,
      endpoint: last?.endpointB ?? null,
      lastHandshake: lastHandshake === null ? null : new Date(lastHandshake * 1000).toISOString(),
      /** Bytes per second through all nodes. */
      receivedRate: own.reduce((sum, { rateBA }) => sum + rateBA, 0),
      sentRate: own.reduce((sum, { rateAB }) => sum + rateAB, 0),
    };
  });
};
