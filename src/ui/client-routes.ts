/**
 * The interface to clients, with the addresses and fields of wg-gen-web: what is done there by a form is one request here.
 * Source: wg-gen-web's /api/v1.0 (client, server, status). Its QR code is made by the page, which has the key; we never do.
 * @module
 */
import {
  array,
  boolean,
  type InferOutput,
  integer,
  maxLength,
  maxValue,
  minValue,
  nullable,
  number,
  object,
  optional,
  pipe,
  regex,
  string,
} from 'valibot';
import { parseTime } from '../agent/peer-terms.ts';
import { type Address, parseAddress } from '../noise/ip.ts';
import type { ClientBook, ClientJson } from './client-book.ts';
import type { MeshSource } from './mesh-feed.ts';
import { readBody } from './request-body.ts';
import { type Route, send, sendJson } from './routes.ts';
import { UiError } from './ui-error.ts';

const key = pipe(string(), regex(/^[A-Za-z0-9+/]{43}=$/, 'it is no key of 44 characters of base64'));
const text = pipe(string(), maxLength(256), regex(/^[^\p{Cc}]*$/u, 'it has control characters'));
/** No comma: they are kept in one annotation. */
const tag = pipe(string(), maxLength(64), regex(/^[^\p{Cc},]+$/u, 'a tag has no comma'));

const terms = {
  email: optional(nullable(text)),
  enable: optional(boolean()),
  expires: optional(nullable(text)),
  allow: optional(nullable(array(text))),
  tags: optional(nullable(array(tag))),
  presharedKey: optional(nullable(key)),
  persistentKeepalive: optional(pipe(number(), integer(), minValue(0), maxValue(65_535))),
};
const NewClient = object({ ...terms, name: text, publicKey: key, address: optional(array(text)) });
const ChangedClient = object({ ...terms, publicKey: optional(key) });

/** wg-gen-web counts who was heard within three minutes as connected. */
const CONNECTED_SECONDS = 180;

export interface ClientRoutesOptions {
  readonly book: ClientBook;
  readonly source: MeshSource;
  readonly version: string;
}

export const clientRoutes = ({ book, source, version }: ClientRoutesOptions): readonly Route[] => [
  {
    method: 'GET',
    pattern: '/client',
    answer: async ({ response }) => sendJson(response, await book.list()),
  },
  {
    method: 'POST',
    pattern: '/client',
    answer: async ({ request, response }) => {
      const { address, presharedKey, name, publicKey, ...body } = await readBody(request, NewClient);
      const client = await book.add({
        ...termsOf(body),
        name,
        publicKey,
        ...(presharedKey == null ? {} : { presharedKey }),
        ...(address === undefined || address.length === 0 ? {} : { addresses: address.map(addressOf) }),
      });
      sendJson(response, client, 201);
    },
  },
  {
    method: 'GET',
    pattern: '/client/:id',
    answer: async ({ response, path }) => sendJson(response, await book.find(path.id ?? '')),
  },
  {
    method: 'PATCH',
    pattern: '/client/:id',
    answer: async ({ request, response, path }) => {
      const { publicKey, presharedKey, ...body } = await readBody(request, ChangedClient);
      const client = await book.change(path.id ?? '', {
        ...termsOf(body),
        ...(publicKey === undefined ? {} : { publicKey }),
        ...(presharedKey === undefined ? {} : { presharedKey }),
      });
      sendJson(response, client);
    },
  },
  {
    method: 'DELETE',
    pattern: '/client/:id',
    answer: async ({ response, path }) => {
      await book.remove(path.id ?? '');
      response.writeHead(204).end();
    },
  },
  {
    method: 'GET',
    pattern: '/client/:id/config',
    // A preshared key may be in it.
    isSecret: true,
    answer: async ({ response, path, query }) => {
      if (query.get('qrcode') === 'true')
        throw new UiError(
          'ERR_UI_REQUEST',
          'A QR code needs the private key, which is not here: the page draws it, or kilowire client add --qr.',
        );
      const { text: file, leftOut } = await book.file(path.id ?? '');
      response.setHeader('content-disposition', `attachment; filename="${path.id}.conf"`);
      send(response, 'text/plain; charset=utf-8', [...leftOut.map((why) => `# ${why}\n`), file].join(''));
    },
  },
  {
    method: 'GET',
    pattern: '/server/version',
    answer: ({ response }) => sendJson(response, { version }),
  },
  { method: 'GET', pattern: '/status/enabled', answer: ({ response }) => sendJson(response, true) },
  {
    method: 'GET',
    pattern: '/status/clients',
    answer: async ({ response }) => sendJson(response, statusOf(await book.list(), source)),
  },
];

type Terms = Pick<
  InferOutput<typeof ChangedClient>,
  'email' | 'enable' | 'expires' | 'allow' | 'tags' | 'persistentKeepalive'
>;

const termsOf = ({ email, enable, expires, allow, tags, persistentKeepalive }: Terms) => ({
  ...(email === undefined ? {} : { email }),
  ...(enable === undefined ? {} : { enabled: enable }),
  ...(expires === undefined ? {} : { expires: expires === null ? null : timeOf(expires) }),
  ...(allow === undefined ? {} : { allow }),
  ...(tags === undefined ? {} : { tags }),
  ...(persistentKeepalive === undefined ? {} : { persistentKeepalive }),
});

const timeOf = (written: string): number => {
  const time = parseTime(written);
  if (time !== null) return time;
  throw new UiError('ERR_UI_REQUEST', `"${written}" is no time: write it as 2030-12-31T23:59:59Z.`);
};

const addressOf = (written: string): Address => {
  const address = parseAddress(written.replace(/\/(?:32|128)$/, ''));
  if (address !== null) return address;
  throw new UiError('ERR_UI_REQUEST', `"${written}" is no address.`);
};

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
