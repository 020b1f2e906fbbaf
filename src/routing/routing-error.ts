/**
 * What can go wrong with a mesh as a whole. Faults of a single member are no exceptions: they are
 * `Problem`s of the topology, and only that member is left out.
 * @module
 */

export type RoutingErrorCode =
  | 'ERR_NO_READY_NODE'
  | 'ERR_UNKNOWN_NODE'
  | 'ERR_NODE_NOT_READY'
  | 'ERR_SUBNET_EXHAUSTED'
  | 'ERR_UNKNOWN_PEER';

export class RoutingError extends Error {
  override readonly name = 'RoutingError';
  readonly code: RoutingErrorCode;

  constructor(code: RoutingErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
