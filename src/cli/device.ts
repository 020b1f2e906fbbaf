/**
 * `kilowire device IFNAME`: the program kilowire-wg under another name.
 * @module
 */
import { Command } from 'commander';

interface Flags {
  readonly foreground?: boolean;
  readonly takeover?: boolean;
  readonly metrics?: boolean;
}

async function printMetrics(interfaceName: string): Promise<void> {
  const { InterfaceReader } = await import('../device/uapi-client.ts');
  const { uapiDirectory, uapiPath } = await import('../device/uapi-socket.ts');
  const { deviceMetrics } = await import('./device-metrics.ts');
  const reader = new InterfaceReader(uapiPath(uapiDirectory(process.env), interfaceName));
  process.stdout.write(deviceMetrics(interfaceName, await reader.read()));
}

export const deviceCommand = (): Command =>
  new Command('device')
    .description('run a WireGuard interface, as kilowire-wg does')
    .argument('<interface>', 'name of the interface')
    .option('-f, --foreground', 'do not go into the background')
    .option('--takeover', 'go on where the process that runs it stops: no packet, session or counter is lost')
    .option('--metrics', 'print what the running interface counts, as Prometheus reads it, and leave')
    .addHelpText(
      'after',
      `
Configure it with wg(8), or over /var/run/wireguard/INTERFACE.sock; delete the interface to end it.

With --takeover a new process (of a newer release, say) receives interface, sockets, configuration and sessions from the
one that runs, which then ends. When that fails at any point, the running one goes on, and this command says why.

Examples:
  kilowire device wg0 && wg setconf wg0 wg0.conf && ip link set wg0 up
  kilowire device wg0 --takeover
  kilowire device wg0 --metrics | grep drops`,
    )
    .action(async (interfaceName: string, options: Flags) => {
      if (options.metrics === true) return await printMetrics(interfaceName);
      const { runDevice } = await import('../device/main.ts');
      await runDevice({
        interfaceName,
        foreground: options.foreground === true,
        takeover: options.takeover === true,
      });
    });
