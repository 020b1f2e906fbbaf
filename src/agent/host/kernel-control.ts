/**
 * A WireGuard device of the kernel, in the terms of one with a control socket.
 * Source: include/uapi/linux/wireguard.h, by src/linux/wireguard.ts.
 * @module
 */
import { genericFamily, openGenericSocket } from '../../linux/generic-netlink.ts';
import type { NetlinkSocket } from '../../linux/netlink.ts';
import {
  changeDevice,
  getDevice,
  type KernelPeer,
  type KernelPeerChange,
  WIREGUARD_FAMILY,
} from '../../linux/wireguard.ts';
import type { DeviceChange, DeviceStatus, PeerChange, PeerStatus } from '../../noise/device-config.ts';
import type { Cidr } from '../../noise/ip.ts';
import { AgentError } from '../agent-error.ts';
import { DeviceControl } from './device-control.ts';

export class KernelControl extends DeviceControl {
  readonly #link: string;

  constructor(link: string) {
    super(`${link} in the kernel`);
    this.#link = link;
  }

  override async read(): Promise<DeviceStatus> {
    return this.#with((socket, family) => {
      const { privateKey, listenPort, fwmark, peers } = getDevice(socket, family, this.#link);
      return {
        ...(privateKey.some((byte) => byte !== 0) ? { privateKey } : {}),
        listenPort,
        fwmark,
        peers: peers.map(statusOf),
      };
    });
  }

  override observe(): Promise<DeviceStatus> {
    return this.read();
  }

  override async change({ peers, ...device }: DeviceChange): Promise<void> {
    this.#with((socket, family) =>
      socket.batch(changeDevice(family, this.#link, { ...device, peers: peers.map(kernelChange) })),
    );
  }

  /** A socket of its own each time: an answer may hold a private key, and nothing of it shall stay around. */
  #with<Result>(work: (socket: NetlinkSocket, family: number) => Result): Result {
    const socket = openGenericSocket();
    try {
      const family = genericFamily(socket, WIREGUARD_FAMILY);
      if (family === undefined)
        throw new AgentError(
          'ERR_AGENT_DEVICE',
          `${this.#link} is a WireGuard link of the kernel, but the kernel's module is not there any more: load it (modprobe wireguard).`,
        );
      return work(socket, family);
    } finally {
      socket.close();
    }
  }
}

const statusOf = (peer: KernelPeer): PeerStatus => {
  const { publicKey, presharedKey, endpoint, keepalive, lastHandshake, rxBytes, txBytes, allowedIps } = peer;
  return {
    publicKey,
    ...(presharedKey.some((byte) => byte !== 0) ? { presharedKey } : {}),
    ...(endpoint === undefined
      ? {}
      : {
          endpoint: {
            address: endpoint.address,
            port: endpoint.port,
            ...(endpoint.scope === 0 ? {} : { zone: String(endpoint.scope) }),
          },
        }),
    persistentKeepalive: keepalive,
    allowedIps,
    lastHandshake,
    rxBytes,
    txBytes,
  };
};

const kernelChange = (change: PeerChange): KernelPeerChange => {
  const { publicKey, remove, updateOnly, presharedKey, endpoint, persistentKeepalive, replaceAllowedIps } =
    change;
  const ranges = (cidrs: readonly Cidr[] | undefined) =>
    cidrs?.map(({ address, prefix }) => ({ address, prefix }));
  return {
    publicKey,
    remove,
    updateOnly,
    presharedKey,
    endpoint:
      endpoint === undefined
        ? undefined
        : { address: endpoint.address, port: endpoint.port, scope: Number(endpoint.zone ?? 0) || 0 },
    keepalive: persistentKeepalive,
    replaceAllowedIps,
    allowedIps: ranges(change.allowedIps),
    removeAllowedIps: ranges(change.removeAllowedIps),
  };
};
