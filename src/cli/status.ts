/**
 * `kilowire status`: who leads and why, who is there, which tunnels live, what is wrong and what to do.
 * @module
 */
import { hostname } from 'node:os';
import { Command } from 'commander';
import { agentNamespaceOption, agentReach, type ReachFlags } from './agent-reach.ts';
import { type ClusterFlags, portOption, withCluster, withMesh } from './cluster-options.ts';
import { type OutputFormat, outputOption, paintFor, print, printJson } from './output.ts';

interface StatusFlags extends ClusterFlags, ReachFlags {
  readonly output: OutputFormat;
  readonly interface: string;
  readonly agent: string;
  readonly agents?: boolean;
}

const show = async (flags: StatusFlags): Promise<void> => {
  const { gatherStatus } = await import('../admin/status.ts');
  const status = await withMesh(flags, async (mesh, client) =>
    gatherStatus(mesh, {
      interfaceName: flags.interface,
      agent: flags.agent,
      reach: flags.agents === true ? await agentReach(client, flags) : null,
      hostname: hostname(),
      environment: process.env,
      now: Math.floor(Date.now() / 1000),
    }),
  );
  if (status.problems.some(({ severity }) => severity === 'fault')) process.exitCode = 1;
  if (flags.output === 'json') return printJson(status);
  const { statusText } = await import('./status-text.ts');
  print(statusText(status, paintFor(process.stdout)));
};

export const statusCommand = (): Command =>
  withCluster(
    new Command('status')
      .description('show the mesh: leaders and why, nodes, peers, tunnels, what is wrong and what to do')
      .addOption(outputOption())
      .option('--agents', 'ask the agents of all nodes for their tunnels')
      .option('--agent <url>', 'where the agent of this host listens', 'http://127.0.0.1:1107')
      .addOption(agentNamespaceOption())
      .option('--interface <name>', 'the WireGuard interface on a node', 'kilo0')
      .addOption(portOption().hideHelp())
      .allowExcessArguments(false),
  )
    .addHelpText(
      'after',
      `
On a node it shows the tunnels of that node too. From outside the mesh --agents asks through the API server, for which you need
list on pods and get on pods/proxy in the agents' namespace. Exit status: 1 when something is wrong.

Examples:
  kilowire status
  kilowire status --agents
  kilowire status -o json | jq -r '.problems[].what'`,
    )
    .action((flags: StatusFlags) => show(flags));
