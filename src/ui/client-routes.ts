/**
 * What changes clients, and their files, with the addresses and fields of wg-gen-web: what is done there by a form is one
 * request here.
 * Source: wg-gen-web's /api/v1.0 (client). Its QR code is made by the page, which has the key; we never do.
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
import type { ClientBook } from './client-book.ts';
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

export const clientRoutes = (book: ClientBook): readonly Route[] => [
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
