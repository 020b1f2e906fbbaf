/**
 * `kilowire device IFNAME`: the program kilowire-wg under another name.
 * @module
 */
import { Command } from 'commander';

export const deviceCommand = (): Command =>
  new Command('device')
    .description('run a WireGuard interface, as kilowire-wg does')
    .argument('<interface>', 'name of the interface')
    .option('-f, --foreground', 'do not go into the background')
    .addHelpText(
      'after',
      `
Configure it with wg(8), or over /var/run/wireguard/INTERFACE.sock; delete the interface to end it.

Examples:
  kilowire device wg0 && wg setconf wg0 wg0.conf && ip link set wg0 up`,
    )
    .action(async (interfaceName: string, options: { readonly foreground?: boolean }) => {
      const { runDevice } = await import('../device/main.ts');
      await runDevice({ interfaceName, foreground: options.foreground === true });
    });
