/**
 * What can be wrong with the configuration of a Tunnel.
 * @module
 */

export type TunnelErrorCode = 'ERR_TOO_MANY_PEERS' | 'ERR_PEER_EXISTS' | 'ERR_OWN_KEY';

/** A peer that cannot be added. */
export class TunnelError extends Error {
  override readonly name = 'TunnelError';
  readonly code: TunnelErrorCode;

  constructor(code: TunnelErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
