/**
 * The command line of `kilowire`: one file per command, read only when the command is called.
 * Exit status: 0 done, 1 it failed, 2 it was called wrongly, 128 + n ended by signal n.
 * @module
 */
import { Command, CommanderError } from 'commander';
import { agentCommand } from './agent.ts';
import { cniCommand } from './cni.ts';
import { deviceCommand } from './device.ts';
import { labCommand } from './lab.ts';
import { topCommand } from './top.ts';
import { version } from './version.ts';

const USAGE_STATUS = 2;

const createProgram = (): Command =>
  new Command('kilowire')
    .description('One encrypted pod network for a k3s cluster across clouds, homes and edges.')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand('help [command]', 'show help for a command')
    .enablePositionalOptions()
    .addHelpText(
      'after',
      `
Examples:
  kilowire lab                   build a four-cloud cluster on this machine, check it, take it down
  kilowire lab up                build it and leave it running to play in
  kilowire device wg0            run a WireGuard interface named wg0
  kilowire top wg0               watch it`,
    )
    .addCommand(labCommand())
    .addCommand(agentCommand())
    .addCommand(deviceCommand())
    .addCommand(cniCommand())
    .addCommand(topCommand());

/** Commander's own texts begin with "error: "; ours are sentences. */
const sentence = (text: string): string => {
  const plain = text.replace(/^error: /, '').trimEnd();
  const whole = /[.?!)]$/.test(plain) ? plain : `${plain}.`;
  return whole.charAt(0).toUpperCase() + whole.slice(1);
};

const prepare = (command: Command): void => {
  command.exitOverride();
  command.configureOutput({ outputError: () => {} });
  for (const each of command.commands) prepare(each);
};

export async function main(args: readonly string[]): Promise<void> {
  const program = createProgram();
  prepare(program);
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return; // help or version was shown
      if (error.code === 'commander.help') process.exitCode = USAGE_STATUS;
      else usageError(error.message);
      return;
    }
    process.stderr.write(`kilowire: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode ||= 1;
  }
}

const usageError = (message: string): void => {
  const text = sentence(message).replace(/\n/g, ' ');
  process.stderr.write(`kilowire: ${text} See kilowire --help.\n`);
  process.exitCode = USAGE_STATUS;
};

// Started as a program: as the source, or as the bundle.
if (/(?:src\/cli\/main\.ts|dist\/kilowire\.js)$/.test(process.argv[1] ?? '')) {
  await main(process.argv.slice(2));
}
