/**
 * Gathers what `kilowire status` tells: the snapshot, what agents say of their tunnels, and the device on this host.
 * @module
 */
import { formatAddress, isIpv6 } from '../noise/ip.ts';
import { privateAddressOf } from '../routing/node.ts';
import type { Topology } from '../routing/topology.ts';
import { type Mesh, topologyFrom } from './mesh.ts';
import { problem, type StatusProblem, type StatusReport, statusReport } from './status-report.ts';
import {
  type AgentReport,
  askAgent,
  type LocalDevice,
  localDevice,
  type Tunnel,
  tunnelsOf,
} from './tunnels.ts';

export interface StatusOptions {
  readonly interfaceName: string;
  /** Where the agent of this host listens, `http://127.0.0.1:1107`; others are asked on the same port. */
  readonly agent: string;
  /** Ask the agents of all nodes, at their private addresses. */
  readonly allAgents: boolean;
  /** Name of this host. */
  readonly hostname: string;
  readonly environment: NodeJS.ProcessEnv;
  /** Unix seconds on this host. */
  readonly now: number;
}

export interface Status extends StatusReport {
  /** Null where there is no device of the mesh. */
  readonly here: {
    readonly interface: string;
    readonly mtu: number;
    readonly up: boolean;
  } | null;
  /** Agents that were asked and did not answer. */
  readonly silent: readonly string[];
}

const CLOCK_TOLERANCE = 30;

export const gatherStatus = async (mesh: Mesh, options: StatusOptions): Promise<Status> => {
  const topology = topologyFrom(mesh);
  const [own, device] = await Promise.all([
    askAgent(options.agent, options.now),
    localDevice(options.interfaceName, options.environment),
  ]);
  const others = options.allAgents ? await askOthers(topology, own, options) : [];
  const reports = [own, ...others.map(({ report }) => report)].filter((report) => report !== null);
  const here = own?.node ?? options.hostname;
  const tunnels = reports.flatMap((report) => report.tunnels);
  if (own === null && device?.status != null)
    tunnels.push(...tunnelsOf(here, device.status, topology, options.now));
  const found = [
    ...reports.flatMap(({ faults }) =>
      faults.map(({ code, subject, message }) => problem(code, subject.kind, subject.name, message)),
    ),
    ...deadTunnels(tunnels),
    ...localProblems(mesh, device, here, options.now),
  ];
  return {
    ...statusReport({ mesh, topology, tunnels, found }),
    here: device === null ? null : { interface: device.interface, mtu: device.mtu, up: device.up },
    silent: others.flatMap(({ node, report }) => (report === null ? [node] : [])),
  };
};

const deadTunnels = (tunnels: readonly Tunnel[]): StatusProblem[] =>
  tunnels
    .filter((tunnel) => tunnel.endpoint !== null && tunnel.sentBytes > 0 && tunnel.handshakeAge === null)
    .map(({ from, to, endpoint }) =>
      problem('no-handshake', 'node', to, `${from} dials ${to} at ${endpoint} and was never answered.`),
    );

const localProblems = (
  mesh: Mesh,
  device: LocalDevice | null,
  here: string,
  now: number,
): StatusProblem[] => {
  const problems: StatusProblem[] = [];
  const skew = Math.round(now - mesh.snapshot.now);
  if (Math.abs(skew) > CLOCK_TOLERANCE) {
    const how = skew > 0 ? 'ahead of' : 'behind';
    problems.push(
      problem('clock-differs', 'host', here, `The clock here is ${Math.abs(skew)} s ${how} the API's.`),
    );
  }
  if (device !== null && device.status === null)
    problems.push(
      problem('device-silent', 'host', here, `Nobody answers for ${device.interface} on its control socket.`),
    );
  return problems;
};

const askOthers = async (topology: Topology, own: AgentReport | null, { agent, now }: StatusOptions) => {
  const port = new URL(agent).port || '1107';
  const nodes = topology.segments.flatMap(({ members }) => members).filter(({ name }) => name !== own?.node);
  const asked: { node: string; report: AgentReport | null }[] = [];
  // Not all at once: a large cluster has more nodes than this host has sockets.
  for (let at = 0; at < nodes.length; at += 64) {
    const some = nodes.slice(at, at + 64).map(async (node) => {
      const segment = topology.segments.find(({ leader }) => leader === node);
      const address = privateAddressOf(node) ?? segment?.wireguardIP ?? null;
      if (address === null) return { node: node.name, report: null };
      const host = isIpv6(address) ? `[${formatAddress(address)}]` : formatAddress(address);
      return { node: node.name, report: await askAgent(`http://${host}:${port}`, now) };
    });
    asked.push(...(await Promise.all(some)));
  }
  return asked;
};
