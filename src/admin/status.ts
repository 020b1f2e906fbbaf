/**
 * Gathers what `kilowire status` tells: the snapshot, what agents say of their tunnels, and the device on this host.
 * @module
 */
import { formatAddress, isIpv6 } from '../noise/ip.ts';
import { relayedPairs } from '../routing/mesh-json.ts';
import { privateAddressOf } from '../routing/node.ts';
import type { Topology } from '../routing/topology.ts';
import type { AgentAnswer, AgentReach, AskedAgent } from './agent-reach.ts';
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
  /** How the agents of other nodes are asked; null: they are not. */
  readonly reach: AgentReach | null;
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
  const isInside = own !== null || device !== null;
  const others = await askOthers(topology, own, isInside, options);
  const reports = [own, ...others.map(({ report }) => report)].filter((report) => report !== null);
  const here = own?.node ?? options.hostname;
  const tunnels = reports.flatMap((report) => report.tunnels);
  if (own === null && device?.status != null)
    tunnels.push(...tunnelsOf(here, device.status, topology, options.now));
  const found = [
    ...reports.flatMap(({ faults }) =>
      faults.map(({ code, subject, message }) => problem(code, subject.kind, subject.name, message)),
    ),
    ...deadTunnels(tunnels, topology),
    ...localProblems(mesh, device, here, options.now),
    ...unasked(options.reach, here),
  ];
  return {
    ...statusReport({ mesh, topology, tunnels, found }),
    here: device === null ? null : { interface: device.interface, mtu: device.mtu, up: device.up },
    silent: others.flatMap(({ node, report }) => (report === null ? [node] : [])),
  };
};

/** Where a relay has taken over, that they are never answered is known. */
const deadTunnels = (tunnels: readonly Tunnel[], topology: Topology): StatusProblem[] => {
  const relayed = new Set(
    relayedPairs(topology).flatMap(({ between: [a, b] }) => [`${a} ${b}`, `${b} ${a}`]),
  );
  return tunnels
    .filter((tunnel) => tunnel.endpoint !== null && tunnel.sentBytes > 0 && tunnel.handshakeAge === null)
    .filter(({ from, to }) => !relayed.has(`${from} ${to}`))
    .map(({ from, to, endpoint }) =>
      problem('no-handshake', 'node', to, `${from} dials ${to} at ${endpoint} and was never answered.`),
    );
};

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

const unasked = (reach: AgentReach | null, here: string): StatusProblem[] =>
  reach?.refusal == null
    ? []
    : [
        problem(
          'agents-unasked',
          'host',
          here,
          `This host is outside of the mesh and may not ask agents through the API. ${reach.refusal}`,
        ),
      ];

const askOthers = async (
  topology: Topology,
  own: AgentReport | null,
  isInside: boolean,
  { agent, now, reach }: StatusOptions,
): Promise<readonly AgentAnswer[]> => {
  if (reach === null) return [];
  const port = Number(new URL(agent).port || '1107');
  const asked = topology.segments.flatMap(({ leader, wireguardIP, members }) =>
    members
      .filter(({ name }) => name !== own?.node)
      .map((node): AskedAgent => {
        const address = privateAddressOf(node) ?? (node === leader ? wireguardIP : null);
        if (address === null) return { node: node.name, origin: null };
        const host = isIpv6(address) ? `[${formatAddress(address)}]` : formatAddress(address);
        return { node: node.name, origin: `http://${host}:${port}` };
      }),
  );
  return await reach.ask(asked, { isInside, port, now });
};
