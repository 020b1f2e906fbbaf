/**
 * A snapshot of the mesh from what `kilowire status` gathers, and from what was seen before: rates, losses, silences.
 * @module
 */

import type { Mesh } from '../admin/mesh.ts';
import type { Status } from '../admin/status.ts';
import { whyOut } from '../admin/status-report.ts';
import { meshJson } from '../routing/mesh-json.ts';
import type { Topology } from '../routing/topology.ts';
import {
  type MapNode,
  type MapPeer,
  type MapProblem,
  type MapTunnel,
  type MeshSnapshot,
  tunnelId,
} from './mesh-snapshot.ts';
import { SilenceBook, type Standing } from './silence-book.ts';
import { TunnelMeter, type TunnelReading } from './tunnel-meter.ts';

export interface SnapshotParts {
  readonly mesh: Mesh;
  readonly topology: Topology;
  readonly status: Status;
  /** Unix milliseconds: when the members were asked, and now. */
  readonly askedAt: number;
  readonly at: number;
}

export class SnapshotBuilder {
  readonly #meter = new TunnelMeter();
  readonly #silence = new SilenceBook();

  build({ mesh, topology, status, askedAt, at }: SnapshotParts): MeshSnapshot {
    const now = Math.floor(at / 1000);
    const asked = status.nodes.filter(({ role }) => role !== 'out').map(({ name }) => name);
    const standings = this.#silence.note(asked, new Set(status.silent), now);
    const readings = this.#meter.read(status.tunnels, askedAt);
    return {
      at,
      trouble: null,
      granularity: status.mesh.granularity,
      subnet: status.mesh.subnet,
      nodes: nodesOf(mesh, status, standings),
      peers: peersOf(status),
      tunnels: tunnelsOf(topology, readings, askedAt),
      problems: [...silences(standings), ...status.problems],
    };
  }
}

const nodesOf = (
  mesh: Mesh,
  status: Status,
  standings: ReadonlyMap<string, Standing>,
): Record<string, MapNode> => {
  const led = new Map(status.segments.map((segment) => [segment.leader, segment]));
  const seen = new Map(mesh.snapshot.nodes.map(({ node }) => [node.name, node.lastSeen]));
  return Object.fromEntries(
    status.nodes.map((node): [string, MapNode] => {
      const segment = led.get(node.name);
      const standing = standings.get(node.name);
      return [
        node.name,
        {
          location: node.location,
          role: node.role,
          state: standing?.state ?? 'out',
          why: segment?.why ?? whyOut(mesh, node.name)?.replace(/\b\d+ s old\b/, 'too old') ?? '',
          meshAddress: segment?.wireguardIP ?? null,
          leads: segment?.members.length ?? 0,
          endpoint: segment?.endpoint ?? node.endpoint,
          discovered: segment?.discovered ?? false,
          internalIP: node.internalIP,
          podCIDRs: node.podCIDRs,
          keepalive: node.persistentKeepalive,
          lastSeen: seen.get(node.name) || null,
          silentSince: standing?.silentSince ?? null,
        },
      ];
    }),
  );
};

const peersOf = ({ peers }: Status): Record<string, MapPeer> =>
  Object.fromEntries(
    peers.map(({ name, ready, allowedIPs, endpoint, persistentKeepalive }): [string, MapPeer] => [
      name,
      { ready, allowedIPs, endpoint, keepalive: persistentKeepalive },
    ]),
  );

/** All that shall be, with what is known of each; both ends may tell of the same one. */
const tunnelsOf = (
  topology: Topology,
  readings: readonly TunnelReading[],
  askedAt: number,
): Record<string, MapTunnel> => {
  const told = new Map(readings.map((reading) => [tunnelId(reading.from, reading.to), reading]));
  const peers = new Set(topology.peers.map(({ name }) => name));
  const { tunnels, relayed } = meshJson(topology);
  const pairs = [
    ...tunnels.map(([a, b]) => ({ a, b, relay: null })),
    ...relayed.map(({ between: [a, b], relay }) => ({ a, b, relay })),
  ];
  return Object.fromEntries(
    pairs.map(({ a, b, relay }): [string, MapTunnel] => {
      const ours = told.get(tunnelId(a, b));
      const theirs = told.get(tunnelId(b, a));
      const tunnel: MapTunnel = {
        a,
        b,
        toPeer: peers.has(b),
        relay,
        measured: ours !== undefined || theirs !== undefined,
        lastHandshake: latest([ours, theirs], askedAt),
        roundTripMs: ours?.roundTripMs ?? theirs?.roundTripMs ?? null,
        rateAB: ours?.sentRate ?? theirs?.receivedRate ?? 0,
        rateBA: ours?.receivedRate ?? theirs?.sentRate ?? 0,
        lossAB: ours?.loss ?? null,
        lossBA: theirs?.loss ?? null,
        mtu: leastMtu([ours, theirs]),
        endpointA: theirs?.endpoint ?? null,
        endpointB: ours?.endpoint ?? null,
      };
      return [tunnelId(a, b), tunnel];
    }),
  );
};

const latest = (readings: readonly (TunnelReading | undefined)[], askedAt: number): number | null => {
  const now = Math.floor(askedAt / 1000);
  const ages = readings.flatMap((reading) => reading?.handshakeAge ?? []);
  return ages.length === 0 ? null : now - Math.min(...ages);
};

const leastMtu = (readings: readonly (TunnelReading | undefined)[]): number | null => {
  const told = readings.flatMap((reading) => reading?.pathMtu ?? []);
  return told.length === 0 ? null : Math.min(...told);
};

const silences = (standings: ReadonlyMap<string, Standing>): MapProblem[] =>
  [...standings].flatMap(([name, { state }]): MapProblem[] =>
    state === 'silent'
      ? [
          {
            code: 'node-silent',
            severity: 'fault',
            subject: `node ${name}`,
            what: `Node "${name}" does not answer: its agent cannot be reached.`,
            remedy: `See whether ${name} runs and is reachable at its endpoint; on the node: kilowire doctor.`,
          },
        ]
      : [],
  );
