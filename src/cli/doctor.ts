/**
 * `kilowire doctor`: is this host fit to be in a mesh, and what to do where it is not.
 * @module
 */
import { hostname } from 'node:os';
import { Command } from 'commander';
import type { ClusterFacts, Finding } from '../admin/doctor/facts.ts';
import {
  type ClusterFlags,
  isToldOfCluster,
  openClient,
  portOption,
  withCluster,
} from './cluster-options.ts';
import { type OutputFormat, outputOption, type Paint, paintFor, print, printJson } from './output.ts';

interface DoctorFlags extends ClusterFlags {
  readonly output: OutputFormat;
  readonly hostname?: string;
  readonly interface: string;
  readonly agent: string;
  readonly cniDir: string;
  readonly stateDirectory: string;
  readonly port?: number;
  readonly api: boolean;
}

const askCluster = async (flags: DoctorFlags, name: string): Promise<ClusterFacts | null> => {
  if (!flags.api || !isToldOfCluster(flags, process.env)) return null;
  const { readCluster } = await import('../admin/cluster-snapshot.ts');
  const { whyNotReady } = await import('../routing/node.ts');
  const { formatCidr } = await import('../noise/ip.ts');
  const nothing = { definesPeers: false, node: null, clockAhead: 0 };
  try {
    const client = await openClient(flags);
    try {
      const { nodes, definesPeers, now } = await readCluster(client, flags.topologyLabel);
      const entry = nodes.find(({ node }) => node.name === name);
      return {
        server: client.origin,
        error: null,
        definesPeers,
        clockAhead: Date.now() / 1000 - now,
        node:
          entry === undefined
            ? null
            : {
                name,
                podCIDRs: entry.node.podCIDRs.map(formatCidr),
                out: whyNotReady(entry.node, now),
                faults: entry.faults,
              },
      };
    } finally {
      client.close();
    }
  } catch (error) {
    return { server: '', error: error instanceof Error ? error.message : String(error), ...nothing };
  }
};

const examine = async (flags: DoctorFlags): Promise<void> => {
  if (process.platform !== 'linux') throw new Error('this command is not supported on this OS');
  const { readFacts } = await import('../admin/doctor/facts-reader.ts');
  const { findingsOf } = await import('../admin/doctor/findings.ts');
  const name = flags.hostname ?? process.env.NODE_NAME ?? hostname();
  const facts = await readFacts({
    hostname: name,
    interfaceName: flags.interface,
    wireguardPort: flags.port ?? 51_820,
    agent: flags.agent,
    cniFolder: flags.cniDir,
    stateDirectory: flags.stateDirectory,
    environment: process.env,
    cluster: await askCluster(flags, name),
  });
  const findings = findingsOf(facts);
  if (findings.some(({ state }) => state === 'fault')) process.exitCode = 1;
  if (flags.output === 'json') return printJson({ hostname: name, findings });
  print(findingsText(findings, paintFor(process.stdout)));
};

const findingsText = (findings: readonly Finding[], paint: Paint): string => {
  const width = Math.max(...findings.map(({ check }) => check.length));
  const marks = { ok: paint('green', 'ok  '), notice: paint('yellow', 'look'), fault: paint('red', 'BAD ') };
  const lines = findings.flatMap(({ state, check, what, remedy }) => [
    `${marks[state]}  ${check.padEnd(width)}  ${what}`,
    ...(remedy === '' ? [] : [paint('faint', `${' '.repeat(width + 8)}${remedy}`)]),
  ]);
  const faults = findings.filter(({ state }) => state === 'fault').length;
  const verdict =
    faults === 0
      ? paint('green', 'Nothing keeps this host from the mesh.')
      : paint(
          'red',
          `${faults === 1 ? 'One thing keeps' : `${faults} things keep`} this host from the mesh.`,
        );
  return [...lines, '', verdict].join('\n');
};

export const doctorCommand = (): Command =>
  withCluster(
    new Command('doctor')
      .description('examine this host: kernel, ports, clock, MTU, firewall, network plugins, API')
      .addOption(outputOption())
      .option('--hostname <name>', "of the Node (default: $NODE_NAME, or this host's name)")
      .option('--interface <name>', 'the WireGuard interface', 'kilo0')
      .option('--agent <url>', 'where the agent of this host listens', 'http://127.0.0.1:1107')
      .option('--cni-dir <folder>', 'where the runtime looks for its CNI configuration', '/etc/cni/net.d')
      .option('--state-directory <folder>', "where the node's key is", '/var/lib/kilo')
      .option('--no-api', 'do not ask the API')
      .addOption(portOption())
      .allowExcessArguments(false),
  )
    .addHelpText(
      'after',
      `
It changes nothing. Run it as root on a node, or in the agent's pod. Exit status: 1 when something is bad.

Examples:
  sudo kilowire doctor
  kubectl -n kube-system exec ds/kilo -- kilowire doctor
  kilowire doctor -o json | jq '.findings[] | select(.state != "ok")'`,
    )
    .action((flags: DoctorFlags) => examine(flags));
