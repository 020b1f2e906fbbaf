/**
 * What can go wrong while packets' ways in and out are being opened.
 * @module
 */

export type TunErrorCode =
  | 'ERR_TUN_MISSING'
  | 'ERR_TUN_PERMISSION'
  | 'ERR_TUN_NAME'
  | 'ERR_TUN_BUSY'
  | 'ERR_TUN_OPEN'
  | 'ERR_UDP_BIND'
  | 'ERR_UDP_OPTION';

/** `errno` is the kernel's number for the call that failed, 0 when it was no call. */
export class TunError extends Error {
  override readonly name = 'TunError';
  readonly code: TunErrorCode;
  readonly errno: number;

  constructor(code: TunErrorCode, message: string, errno = 0) {
    super(message);
    this.code = code;
    this.errno = errno;
  }
}
