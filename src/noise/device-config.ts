/**
 * A WireGuard interface as a value: what is configured, what is changed, what is read back.
 * Source: wg(8); the configuration protocol at wireguard.com/xplatform; linux/wireguard.h.
 * @module
 */
import type { Cidr, Endpoint } from './ip.ts';

/** One peer, as it shall be. */
export interface PeerConfig {
  readonly publicKey: Uint8Array;
  readonly presharedKey?: Uint8Array;
  readonly endpoint?: Endpoint;
  /** Seconds; 0 is off. */
  readonly persistentKeepalive?: number;
  readonly allowedIps: readonly Cidr[];
}

/** A whole interface, as it shall be. */
export interface DeviceConfig {
  readonly privateKey?: Uint8Array;
  /** 0: any free port. */
  readonly listenPort?: number;
  /** 0: none. */
  readonly fwmark?: number;
  readonly peers: readonly PeerConfig[];
}

/** One section of a `set`: what is not named stays as it is. */
export interface PeerChange {
  readonly publicKey: Uint8Array;
  readonly remove?: boolean;
  /** Change the peer only if it is there already. */
  readonly updateOnly?: boolean;
  /** Zeros take it away. */
  readonly presharedKey?: Uint8Array;
  readonly endpoint?: Endpoint;
  readonly persistentKeepalive?: number;
  readonly replaceAllowedIps?: boolean;
  readonly allowedIps?: readonly Cidr[];
  readonly removeAllowedIps?: readonly Cidr[];
}

/** A whole `set`; a DeviceConfig is one too, namely one that adds. */
export interface DeviceChange {
  /** Zeros take it away. */
  readonly privateKey?: Uint8Array;
  readonly listenPort?: number;
  readonly fwmark?: number;
  readonly replacePeers?: boolean;
  readonly peers: readonly PeerChange[];
}

/** One peer, as it is. */
export interface PeerStatus extends PeerConfig {
  /** Time of day of the last completed handshake; zeros when there was none. */
  readonly lastHandshake: { readonly seconds: number; readonly nanoseconds: number };
  readonly txBytes: number;
  readonly rxBytes: number;
  /** Milliseconds of the last handshake that this side began; other implementations do not tell. */
  readonly roundTrip?: number;
  /** The largest IP packet that gets to the endpoint whole, as far as the kernel knows; only ours tells. */
  readonly pathMtu?: number;
}

/** A whole interface, as it is. */
export interface DeviceStatus extends DeviceConfig {
  readonly peers: readonly PeerStatus[];
}

/** The change that makes a device exactly this, as `wg setconf` does. */
export function replaceWith(config: DeviceConfig): DeviceChange {
  return {
    ...config,
    replacePeers: true,
    peers: config.peers.map((peer) => ({ ...peer, replaceAllowedIps: true })),
  };
}
