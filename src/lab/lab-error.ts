/**
 * The one error class of the lab: a stable code and a sentence that tells the person what to do.
 * @module
 */

export type LabErrorCode =
  | 'ERR_LAB_NOT_ROOT'
  | 'ERR_LAB_NO_TUN'
  | 'ERR_LAB_NOT_BUILT'
  | 'ERR_LAB_ALREADY_UP'
  | 'ERR_LAB_BUSY'
  | 'ERR_LAB_NOT_UP'
  | 'ERR_LAB_NAME_TAKEN'
  | 'ERR_LAB_STATE'
  | 'ERR_LAB_DEVICE'
  | 'ERR_LAB_CNI'
  | 'ERR_LAB_DAEMON'
  | 'ERR_LAB_API'
  | 'ERR_LAB_AGENT'
  | 'ERR_LAB_MESH'
  | 'ERR_LAB_INTERRUPTED'
  | 'ERR_LAB_LEFTOVERS';

export class LabError extends Error {
  readonly code: LabErrorCode;
  constructor(code: LabErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'LabError';
    this.code = code;
  }
}
