/**
 * What keeps an administrator's command from its work, with a stable code and a sentence that says what to do.
 * @module
 */

export type AdminErrorCode =
  | 'ERR_ADMIN_OPTION'
  | 'ERR_ADMIN_USAGE'
  | 'ERR_ADMIN_CLUSTER'
  | 'ERR_ADMIN_GRANULARITY'
  | 'ERR_ADMIN_UNKNOWN'
  | 'ERR_ADMIN_MANIFEST'
  | 'ERR_ADMIN_CONNECT'
  | 'ERR_ADMIN_CLIENT'
  | 'ERR_ADMIN_IMPORT'
  | 'ERR_ADMIN_LISTEN'
  | 'ERR_ADMIN_NO_AGENT'
  | 'ERR_ADMIN_TIMEOUT';

export class AdminError extends Error {
  override readonly name = 'AdminError';
  readonly code: AdminErrorCode;

  constructor(code: AdminErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
