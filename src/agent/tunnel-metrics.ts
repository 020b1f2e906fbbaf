/**
 * The tunnels of a node in Prometheus' text format: handshakes and bytes of each, so that no exporter is needed beside the agent.
 * Source: prometheus_wireguard_exporter (names and labels); Prometheus exposition format 0.0.4.
 * @module
 */
import type { DeviceStatus, PeerStatus } from '../noise/device-config.ts';
import { keyText } from '../routing/key-text.ts';
import type { Topology } from '../routing/topology.ts';

interface Family {
  readonly name: string;
  readonly kind: 'counter' | 'gauge';
  readonly help: string;
  readonly of: (peer: PeerStatus) => number;
}

const FAMILIES: readonly Family[] = [
  {
    name: 'wireguard_latest_handshake_seconds',
    kind: 'gauge',
    help: 'Unix time of the last handshake; 0: never.',
    of: ({ lastHandshake }) => lastHandshake.seconds,
  },
  {
    name: 'wireguard_received_bytes_total',
    kind: 'counter',
    help: 'Bytes received from the peer.',
    of: ({ rxBytes }) => rxBytes,
  },
  {
    name: 'wireguard_sent_bytes_total',
    kind: 'counter',
    help: 'Bytes sent to the peer.',
    of: ({ txBytes }) => txBytes,
  },
];

/** Empty where there is no tunnel. */
export const tunnelMetrics = (
  interfaceName: string,
  device: DeviceStatus | null,
  topology: Topology | null,
): string => {
  if (device === null || device.peers.length === 0) return '';
  const names = new Map<string, string>([
    ...(topology?.peers ?? []).map(({ key, name }) => [key, name] as const),
    ...(topology?.segments ?? []).map(({ leader }) => [leader.key, leader.name] as const),
  ]);
  const rows = device.peers.map((peer) => {
    const key = keyText(peer.publicKey);
    // Names are Kubernetes' own: nothing in them needs escaping.
    const labels = `{interface="${interfaceName}",public_key="${key}",friendly_name="${names.get(key) ?? ''}"}`;
    return { peer, labels };
  });
  const lines = FAMILIES.flatMap(({ name, kind, help, of }) => [
    `# HELP ${name} ${help}`,
    `# TYPE ${name} ${kind}`,
    ...rows.map(({ peer, labels }) => `${name}${labels} ${of(peer)}`),
  ]);
  return `${lines.join('\n')}\n`;
};
