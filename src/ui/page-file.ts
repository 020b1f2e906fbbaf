/**
 * The page as one file, with the policy under which a browser may run it: its own script and style by their digests, and
 * nothing from anywhere else.
 * Source: W3C Content Security Policy Level 3 (hash sources).
 * @module
 */
import { createHash } from 'node:crypto';
import { UiError } from './ui-error.ts';

export interface PageFile {
  readonly html: string;
  readonly policy: string;
}

/** From the bundle, from a chunk of it, from the source. */
const PLACES = ['./ui-page.js', '../ui-page.js', '../../dist/ui-page.js'];

export const loadPage = async (): Promise<PageFile> => {
  for (const place of PLACES) {
    try {
      const { html } = (await import(new URL(place, import.meta.url).href)) as { html: string };
      return { html, policy: policyOf(html) };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    }
  }
  throw new UiError('ERR_UI_PAGE', 'The page has not been built: run npm run build.');
};

export const policyOf = (html: string): string => {
  const digests = (tag: string): string =>
    [...html.matchAll(new RegExp(`<${tag}[^>]*>([\\s\\S]*?)</${tag}>`, 'g'))]
      .map(([, text = '']) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`)
      .join(' ');
  return [
    "default-src 'none'",
    `script-src ${digests('script')}`,
    `style-src ${digests('style')}`,
    "connect-src 'self'",
    'img-src data: blob:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
  ].join('; ');
};
