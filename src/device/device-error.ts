/**
 * What can go wrong with one WireGuard interface on the control path.
 * @module
 */

export type DeviceErrorCode =
  | 'ERR_DEVICE_USAGE'
  | 'ERR_DEVICE_SOCKET'
  | 'ERR_DEVICE_SOCKET_IN_USE'
  | 'ERR_DEVICE_GONE'
  | 'ERR_DEVICE_CONFIGURATION'
  | 'ERR_DEVICE_TAKEOVER'
  | 'ERR_DEVICE_WORKER';

export class DeviceError extends Error {
  override readonly name = 'DeviceError';
  readonly code: DeviceErrorCode;

  constructor(code: DeviceErrorCode, message: string, options?: { cause: unknown }) {
    super(message, options);
    this.code = code;
  }
}
