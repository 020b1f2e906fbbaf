/**
 * The token of a page, out of a file that somebody else keeps.
 * @module
 */
import { readFileSync } from 'node:fs';
import { UiError } from './ui-error.ts';

const LEAST_TOKEN = 16;

/** @throws UiError when there is none in it that could not be guessed. */
export const readToken = (path: string): string => {
  let text: string;
  try {
    text = readFileSync(path, 'utf8').trim();
  } catch (cause) {
    throw new UiError(
      'ERR_UI_TOKEN_FILE',
      `The token cannot be read from ${path}: ${(cause as Error).message}.`,
      { cause },
    );
  }
  if (text.length >= LEAST_TOKEN && /^[\w.~+/-]+=*$/.test(text)) return text;
  throw new UiError(
    'ERR_UI_TOKEN_FILE',
    `${path} must hold a token of ${LEAST_TOKEN} letters and digits at least: openssl rand -hex 24 > ${path}.`,
  );
};
