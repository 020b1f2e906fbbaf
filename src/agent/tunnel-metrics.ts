/**
 * The tunnels of a node in Prometheus' text format: handshakes and bytes of each, so that no exporter is needed beside the agent.
 * Source: prometheus_wireguard_exporter and Calico's Felix (names and labels; both have wireguard_latest_handshake_seconds, where
 * public_key is the exporter's, the peer's); Prometheus exposition format 0.0.4.
 * @module
 */
import type { DeviceStatus, PeerStatus } from '../noise/device-config.ts';
import { formatEndpoint } from '../noise/ip.ts';
import { keyText } from '../routing/key-text.ts';
import type { Topology } from '../routing/topology.ts';

interface Family {
  readonly name: string;
  readonly kind: 'counter' | 'gauge';
  readonly help: string;
  readonly labels: readonly (keyof Labels)[];
  /** Undefined: nobody tells. */
  readonly of: (peer: PeerStatus) => number | undefined;
}

interface Labels {
  readonly interface: string;
  /** The peer's. */
  readonly public_key: string;
  readonly friendly_name: string;
  readonly hostname: string;
  readonly peer_key: string;
  readonly peer_endpoint: string;
}

const EXPORTER = ['interface', 'public_key', 'friendly_name'] as const;
const CALICO = ['hostname', 'peer_key', 'peer_endpoint'] as const;

const FAMILIES: readonly Family[] = [
  {
    name: 'wireguard_latest_handshake_seconds',
    kind: 'gauge',
    help: 'Unix time of the last handshake; 0: never.',
    labels: [...EXPORTER, ...CALICO],
    of: ({ lastHandshake }) => lastHandshake.seconds,
  },
  {
    name: 'wireguard_received_bytes_total',
    kind: 'counter',
    help: 'Bytes received from the peer.',
    labels: EXPORTER,
    of: ({ rxBytes }) => rxBytes,
  },
  {
    name: 'wireguard_sent_bytes_total',
    kind: 'counter',
    help: 'Bytes sent to the peer.',
    labels: EXPORTER,
    of: ({ txBytes }) => txBytes,
  },
  {
    name: 'wireguard_bytes_rcvd',
    kind: 'counter',
    help: 'Bytes received from the peer, by the name Calico has for it.',
    labels: CALICO,
    of: ({ rxBytes }) => rxBytes,
  },
  {
    name: 'wireguard_bytes_sent',
    kind: 'counter',
    help: 'Bytes sent to the peer, by the name Calico has for it.',
    labels: CALICO,
    of: ({ txBytes }) => txBytes,
  },
  {
    name: 'kilowire_tunnel_round_trip_seconds',
    kind: 'gauge',
    help: 'Round trip of the last handshake that this node began.',
    labels: EXPORTER,
    of: ({ roundTrip }) => (roundTrip === undefined ? undefined : roundTrip / 1000),
  },
  {
    name: 'kilowire_tunnel_path_mtu_bytes',
    kind: 'gauge',
    help: 'The largest IP packet that gets to the end of the tunnel whole, as far as the kernel knows.',
    labels: EXPORTER,
    of: ({ pathMtu }) => pathMtu,
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
  const hostname = topology?.self.name ?? '';
  const rows = device.peers.map((peer) => {
    const key = keyText(peer.publicKey);
    const labels: Labels = {
      interface: interfaceName,
      public_key: key,
      friendly_name: names.get(key) ?? '',
      hostname,
      peer_key: key,
      peer_endpoint: peer.endpoint === undefined ? '' : formatEndpoint(peer.endpoint),
    };
    return { peer, labels };
  });
  const lines = FAMILIES.flatMap(({ name, kind, help, labels: wanted, of }) => {
    const samples = rows.flatMap(({ peer, labels }) => {
      const value = of(peer);
      // Names are Kubernetes' own: nothing in them needs escaping.
      const text = wanted.map((label) => `${label}="${labels[label]}"`).join();
      return value === undefined ? [] : [`${name}{${text}} ${value}`];
    });
    return samples.length === 0 ? [] : [`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`, ...samples];
  });
  const own = topology === null ? '' : `,public_key="${topology.self.key}"`;
  const meta = `wireguard_meta{hostname="${hostname}",iface="${interfaceName}",listen_port="${device.listenPort ?? 0}"${own}} 1`;
  lines.push(
    '# HELP wireguard_meta The interface, in its labels, as Calico tells it.',
    '# TYPE wireguard_meta gauge',
    meta,
  );
  return `${lines.join('\n')}\n`;
};
