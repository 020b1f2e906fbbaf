/**
 * `kilowire disconnect`: ends a connection of this host, or takes away what one left that was killed.
 * @module
 */
import { Command } from 'commander';
import { type ClusterFlags, openClient, withCluster } from './cluster-options.ts';
import { print } from './output.ts';

interface DisconnectFlags extends ClusterFlags {
  readonly interface: string;
  readonly stateDirectory: string;
}

const run = async (flags: DisconnectFlags): Promise<void> => {
  if (process.getuid?.() !== 0)
    throw new Error('It takes an interface and routes away, which takes root: run it with sudo.');
  const { disconnect } = await import('../admin/connect/leftovers.ts');
  const { Log } = await import('../agent/log.ts');
  const client = await openClient(flags);
  try {
    const was = await disconnect({
      client,
      log: new Log('warn', (line) => process.stderr.write(line)),
      interfaceName: flags.interface,
      stateDirectory: flags.stateDirectory,
    });
    print(was ? `${flags.interface} is out of the mesh.` : `${flags.interface} is not connected.`);
  } finally {
    client.close();
  }
};

export const disconnectCommand = (): Command =>
  withCluster(new Command('disconnect'))
    .description('end a connection of this host, or take away what a killed one left (Linux, root)')
    .option('-i, --interface <name>', 'of the WireGuard interface', 'kilo0')
    .option('--state-directory <directory>', 'where the connection has noted what it made', '/run/kilowire')
    .allowExcessArguments(false)
    .addHelpText(
      'after',
      `
Examples:
  sudo kilowire disconnect
  sudo kilowire disconnect --interface home0`,
    )
    .action(run);
