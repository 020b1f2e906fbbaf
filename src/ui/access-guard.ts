/**
 * Who may ask, and who may change. There are no cookies, so a foreign page has nothing to ride on; a name that was turned
 * to 127.0.0.1 (DNS rebinding) is refused by its Host, and changes need the token and an origin that is ours.
 * Source: RFC 6750 (bearer tokens), RFC 6454 (Origin), W3C Fetch Metadata.
 * @module
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import { UiError } from './ui-error.ts';

export interface GuardOptions {
  readonly token: string;
  /** Whoever reaches us may look: we only listen on this host. */
  readonly open: boolean;
}

export interface Wanted {
  readonly changes: boolean;
  readonly isSecret: boolean;
}

export class AccessGuard {
  readonly #digest: Buffer;
  readonly #open: boolean;

  constructor({ token, open }: GuardOptions) {
    this.#digest = digestOf(token);
    this.#open = open;
  }

  /** @throws UiError when the request may not be answered. */
  check(headers: IncomingHttpHeaders, { changes, isSecret }: Wanted): void {
    if (this.#open && !isLocalName(headers.host ?? ''))
      throw new UiError('ERR_UI_FORBIDDEN', 'This page is served to this host only, by its address.');
    if (changes) requireSameOrigin(headers);
    if (this.#open && !changes && !isSecret) return;
    if (!timingSafeEqual(digestOf(tokenIn(headers)), this.#digest))
      throw new UiError(
        'ERR_UI_TOKEN',
        'This needs the token: open the address with #token=… at its end, which kilowire ui prints; that of an agent is in its token file.',
      );
  }
}

const digestOf = (token: string): Buffer => createHash('sha256').update(token).digest();

const tokenIn = (headers: IncomingHttpHeaders): string => {
  const bearer = /^Bearer (.+)$/i.exec(headers.authorization ?? '')?.[1];
  const header = headers['x-wg-gen-web-auth'];
  return bearer ?? (typeof header === 'string' ? header : '');
};

/** `localhost`, or an address: only names can be turned to somebody else. */
const isLocalName = (host: string): boolean => {
  const name = host.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
  return name === 'localhost' || isIP(name) !== 0;
};

/** Browsers say where a request comes from; what says nothing is no browser. */
const requireSameOrigin = ({ origin, host = '', ...headers }: IncomingHttpHeaders): void => {
  const site = headers['sec-fetch-site'];
  const foreign =
    (origin !== undefined && origin.replace(/^https?:\/\//, '') !== host) ||
    (site !== undefined && site !== 'same-origin' && site !== 'none');
  if (foreign)
    throw new UiError('ERR_UI_FORBIDDEN', 'A page of another origin may not change anything here.');
};
