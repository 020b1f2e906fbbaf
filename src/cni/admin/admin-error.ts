/**
 * What `kilowire cni` says when it cannot do as it was told: one sentence that names the way out.
 * @module
 */
export type AdminErrorCode =
  | 'ERR_CNI_ADMIN_INPUT'
  | 'ERR_CNI_ADMIN_FOREIGN'
  | 'ERR_CNI_ADMIN_MISSING'
  | 'ERR_CNI_ADMIN_IN_USE';

export class AdminError extends Error {
  readonly code: AdminErrorCode;

  constructor(code: AdminErrorCode, message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = 'AdminError';
    this.code = code;
  }
}
