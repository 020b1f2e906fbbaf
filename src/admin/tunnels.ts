/**
 * What is known of tunnels that live: asked of agents (their /status on port 1107) and of the device on this host.
 * @module
 */
import { existsSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { DeviceControl } from '../agent/host/device-control.ts';
import { KernelControl } from '../agent/host/kernel-control.ts';
import { getLink, type Link } from '../linux/link.ts';
import { openRouteSocket } from '../linux/rtnetlink.ts';
import type { DeviceStatus } from '../noise/device-config.ts';
import { formatEndpoint } from '../noise/ip.ts';
import { keyText } from '../routing/key-text.ts';
import type { Topology } from '../routing/topology.ts';

export interface Tunnel {
  /** Names of members; a key where no member has it. */
  readonly from: string;
  readonly to: string;
  readonly endpoint: string | null;
  /** Seconds since the last handshake; null: never. */
  readonly handshakeAge: number | null;
  readonly roundTripMs: number | null;
  /** The largest packet that gets to the endpoint whole. */
  readonly pathMtu: number | null;
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

export interface AgentReport {
  readonly node: string;
  readonly tunnels: readonly Tunnel[];
  readonly faults: readonly { readonly code: string; readonly message: string; readonly subject: Subject }[];
}

interface Subject {
  readonly kind: string;
  readonly name: string;
}

/** An agent's /status, as far as it is read here. */
interface AgentStatus {
  readonly node?: string;
  readonly segments?: readonly { readonly leader: string; readonly tunnel: TunnelStatus | null }[];
  readonly peers?: readonly { readonly name: string; readonly tunnel: TunnelStatus | null }[];
  readonly faults?: AgentReport['faults'];
}

interface TunnelStatus {
  readonly endpoint: string | null;
  /** Unix seconds. */
  readonly lastHandshake: number | null;
  readonly roundTripMs?: number | null;
  readonly pathMtu?: number | null;
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

const PATIENCE_MS = 2000;
export const LONGEST_ANSWER = 16 << 20;

/** Null when no agent answers there. */
export const askAgent = async (origin: string, now: number): Promise<AgentReport | null> => {
  const text = await fetchText(`${origin}/status`);
  try {
    return reportOf(JSON.parse(text ?? 'null'), now);
  } catch {
    return null; // something else listens there
  }
};

/** What an agent answered at /status; null when it is something else's. `now`: Unix seconds. */
export const reportOf = (answer: unknown, now: number): AgentReport | null => {
  const status = (answer ?? {}) as AgentStatus;
  const { node } = status;
  if (typeof node !== 'string') return null;
  const members = [
    ...(status.segments ?? []).map(({ leader, tunnel }) => ({ to: leader, tunnel })),
    ...(status.peers ?? []).map(({ name, tunnel }) => ({ to: name, tunnel })),
  ];
  const tunnels = members.flatMap(({ to, tunnel }): Tunnel[] =>
    tunnel === null
      ? []
      : [
          {
            from: node,
            to,
            endpoint: tunnel.endpoint,
            handshakeAge: tunnel.lastHandshake === null ? null : Math.max(0, now - tunnel.lastHandshake),
            roundTripMs: tunnel.roundTripMs ?? null,
            pathMtu: tunnel.pathMtu ?? null,
            receivedBytes: tunnel.receivedBytes,
            sentBytes: tunnel.sentBytes,
          },
        ],
  );
  return { node, tunnels, faults: status.faults ?? [] };
};

const fetchText = (url: string): Promise<string | null> =>
  new Promise((resolve) => {
    const request = get(url, { timeout: PATIENCE_MS, agent: false }, (response) => {
      const pieces: Buffer[] = [];
      let length = 0;
      response.on('data', (piece: Buffer) => {
        pieces.push(piece);
        length += piece.length;
        if (length > LONGEST_ANSWER) request.destroy();
      });
      response.on('end', () =>
        resolve(response.statusCode === 200 ? Buffer.concat(pieces).toString('utf8') : null),
      );
      response.on('error', () => resolve(null));
    });
    request.on('timeout', () => request.destroy(new Error('no answer')));
    request.on('error', () => resolve(null));
  });

export interface LocalDevice {
  readonly interface: string;
  readonly mtu: number;
  readonly up: boolean;
  /** Null when it does not answer. */
  readonly status: DeviceStatus | null;
}

/** The mesh's device on this host; null when there is none, or where links cannot be read. */
export const localDevice = async (
  interfaceName: string,
  environment: NodeJS.ProcessEnv,
): Promise<LocalDevice | null> => {
  const link = linkOf(interfaceName);
  if (link === undefined) return null;
  const path = join(environment.KILOWIRE_UAPI_DIR || '/var/run/wireguard', `${interfaceName}.sock`);
  const control =
    link.kind === 'wireguard'
      ? new KernelControl(interfaceName)
      : existsSync(path)
        ? new DeviceControl(path)
        : null;
  const status = (await control?.observe().catch(() => null)) ?? null;
  return { interface: interfaceName, mtu: link.mtu, up: link.up, status };
};

const linkOf = (name: string): Link | undefined => {
  if (process.platform !== 'linux') return undefined;
  const socket = openRouteSocket();
  try {
    return getLink(socket, name);
  } finally {
    socket.close();
  }
};

/** The tunnels of a device, by the names of members. */
export const tunnelsOf = (
  from: string,
  { peers }: DeviceStatus,
  topology: Topology,
  now: number,
): Tunnel[] => {
  const names = new Map<string, string>();
  for (const { name, key } of topology.peers) names.set(key, name);
  for (const { leader } of topology.segments) names.set(leader.key, leader.name);
  return peers.map((peer) => {
    const key = keyText(peer.publicKey);
    const { seconds } = peer.lastHandshake;
    return {
      from,
      to: names.get(key) ?? key,
      endpoint: peer.endpoint === undefined ? null : formatEndpoint(peer.endpoint),
      handshakeAge: seconds === 0 ? null : Math.max(0, Math.round(now - seconds)),
      roundTripMs: peer.roundTrip ?? null,
      pathMtu: peer.pathMtu ?? null,
      receivedBytes: peer.rxBytes,
      sentBytes: peer.txBytes,
    };
  });
};
