/**
 * What keeps the page or one of its requests from its work, with a stable code, an HTTP status and a sentence.
 * @module
 */

export type UiErrorCode =
  | 'ERR_UI_LISTEN'
  | 'ERR_UI_PAGE'
  | 'ERR_UI_TOKEN'
  | 'ERR_UI_TOKEN_FILE'
  | 'ERR_UI_FORBIDDEN'
  | 'ERR_UI_REQUEST'
  | 'ERR_UI_UNKNOWN'
  | 'ERR_UI_NOT_YET';

const STATUS: Readonly<Record<UiErrorCode, number>> = {
  ERR_UI_LISTEN: 500,
  ERR_UI_PAGE: 500,
  ERR_UI_TOKEN: 401,
  ERR_UI_TOKEN_FILE: 500,
  ERR_UI_FORBIDDEN: 403,
  ERR_UI_REQUEST: 400,
  ERR_UI_UNKNOWN: 404,
  ERR_UI_NOT_YET: 503,
};

export class UiError extends Error {
  override readonly name = 'UiError';
  readonly code: UiErrorCode;

  constructor(code: UiErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  get status(): number {
    return STATUS[this.code];
  }
}
