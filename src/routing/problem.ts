/**
 * What is wrong with one member of the mesh, as a value: it is told to people (status, metrics, log) and
 * costs nobody else anything.
 * @module
 */

export type ProblemCode =
  | 'node-not-ready'
  | 'node-repeated'
  | 'peer-not-ready'
  | 'subnet-exhausted'
  | 'addresses-not-kept'
  | 'leader-replaced'
  | 'relayed'
  | 'no-relay'
  | 'allowed-location-ip-dropped'
  | 'key-repeated'
  | 'pod-cidr-repeated'
  | 'private-address-repeated'
  | 'endpoint-repeated'
  | 'range-has-host-bits'
  | 'network-claimed-twice'
  | 'peer-ip-inside-mesh'
  | 'peer-ip-is-default-route'
  | 'ipv6-pods-unreached';

export interface Problem {
  readonly code: ProblemCode;
  readonly subject: { readonly kind: 'node' | 'peer' | 'segment'; readonly name: string };
  /** A sentence for the member's owner. */
  readonly message: string;
}
