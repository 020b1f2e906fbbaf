/**
 * What `import … from 'kilowire/noise'` gives: the whole WireGuard protocol with no I/O, and the values it is configured
 * with. Runs wherever JavaScript runs; @noble does the cryptography unless you hand in something faster.
 *
 * This is the package's face and nothing else: no source of ours imports it. What is listed here keeps its meaning
 * within a major version; what is not may change any day.
 * @module
 */
export { formatBase64Key, parseBase64Key } from './base64-key.ts';
export {
  ConfError,
  type ConfFile,
  type ConfPeer,
  formatConf,
  NO_QUICK_SETTINGS,
  parseConf,
  type QuickSettings,
} from './conf-file.ts';
export {
  type DeviceChange,
  type DeviceConfig,
  type DeviceStatus,
  type PeerChange,
  type PeerConfig,
  type PeerStatus,
  replaceWith,
} from './device-config.ts';
export { type DropReason, dropReasons } from './handshake-outcome.ts';
export {
  type Address,
  type Cidr,
  cidr,
  type Endpoint,
  endpointBytes,
  formatAddress,
  formatCidr,
  formatEndpoint,
  parseAddress,
  parseCidr,
  parseEndpoint,
} from './ip.ts';
export { noblePrimitives } from './noble.ts';
export { type KeyPair, type Primitives, wipe } from './primitives.ts';
export { nobleTransportCipher, type TransportCipher } from './transport-cipher.ts';
export { Tunnel } from './tunnel.ts';
export { TunnelError, type TunnelErrorCode } from './tunnel-error.ts';
export type {
  ReceiveOutcome,
  SendOutcome,
  TunnelOptions,
  TunnelOutput,
  TunnelPeerStatus,
} from './tunnel-types.ts';
