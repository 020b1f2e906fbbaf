/**
 * The tree of commands: what `kilowire` knows, and what of it is called `kgctl`.
 * @module
 */
import { Command } from 'commander';
import { agentCommand } from './agent.ts';
import { clientCommand } from './client.ts';
import { withPersistentFlags } from './cluster-options.ts';
import { cniCommand } from './cni.ts';
import { askCommand, completionCommand } from './completion.ts';
import { connectCommand } from './connect.ts';
import { deviceCommand } from './device.ts';
import { disconnectCommand } from './disconnect.ts';
import { doctorCommand } from './doctor.ts';
import { explainCommand } from './explain.ts';
import { graphCommand } from './graph.ts';
import { takeOverFlags } from './inherited-flags.ts';
import { labCommand } from './lab.ts';
import { manifestsCommand } from './manifests.ts';
import { meshCommand } from './mesh.ts';
import { planCommand } from './plan.ts';
import { rotateKeyCommand } from './rotate-key.ts';
import { showconfCommand } from './showconf.ts';
import { simulateCommand } from './simulate.ts';
import { statusCommand } from './status.ts';
import { topCommand } from './top.ts';
import { uiCommand } from './ui.ts';
import { version } from './version.ts';
import { versionCommand } from './version-command.ts';
import { webhookCommand } from './webhook.ts';

export type ProgramName = 'kilowire' | 'kgctl';

/** Reads the name the program was called by, as bin/kgctl leaves it. */
export const programName = (environment: NodeJS.ProcessEnv): ProgramName =>
  environment.KILOWIRE_CALLED_AS === 'kgctl' ? 'kgctl' : 'kilowire';

export const createProgram = (name: ProgramName = 'kilowire'): Command =>
  name === 'kgctl' ? kgctl() : kilowire();

const common = (program: Command): Command =>
  withPersistentFlags(program)
    .helpOption('-h, --help', 'show help')
    .helpCommand('help [command]', 'show help for a command')
    .enablePositionalOptions()
    .hook('preAction', (_program, command) => takeOverFlags(command));

const EXIT_STATUS = `
Exit status: 0 done, 1 it failed or something is wrong, 2 it was called wrongly, 128 + n ended by signal n.`;

const kilowire = (): Command =>
  common(
    new Command('kilowire')
      .description('One encrypted pod network for a k3s cluster across clouds, homes and edges.')
      .version(version(), '-V, --version', 'print the version'),
  )
    .addHelpText(
      'after',
      `
Examples:
  kilowire lab                   build a four-cloud cluster on this machine, check it, take it down
  kilowire lab up                build it and leave it running to play in
  kilowire graph -o svg          draw the mesh of the cluster kubectl talks to
  kilowire device wg0            run a WireGuard interface named wg0
  kilowire top wg0               watch it
${EXIT_STATUS}`,
    )
    .addCommand(labCommand())
    .addCommand(agentCommand())
    .addCommand(meshCommand())
    .addCommand(webhookCommand())
    .addCommand(deviceCommand())
    .addCommand(cniCommand())
    .addCommand(topCommand())
    .addCommand(uiCommand())
    .addCommand(graphCommand())
    .addCommand(showconfCommand())
    .addCommand(statusCommand())
    .addCommand(planCommand())
    .addCommand(simulateCommand())
    .addCommand(explainCommand())
    .addCommand(doctorCommand())
    .addCommand(clientCommand())
    .addCommand(connectCommand())
    .addCommand(disconnectCommand())
    .addCommand(rotateKeyCommand())
    .addCommand(manifestsCommand())
    .addCommand(versionCommand('kilowire'))
    .addCommand(completionCommand('kilowire'))
    .addCommand(askCommand(), { hidden: true });

const kgctl = (): Command =>
  common(
    new Command('kgctl')
      .description(
        "Look after a Kilo mesh: kilowire's commands for administrators, under the name of Kilo's.",
      )
      .version(`kgctl version ${version()}`, '-v, --version', 'print the version'),
  )
    .addHelpText(
      'after',
      `
Examples:
  kgctl graph -o svg -f mesh.svg
  kgctl showconf peer laptop
${EXIT_STATUS}`,
    )
    .addCommand(graphCommand())
    .addCommand(showconfCommand())
    .addCommand(statusCommand())
    .addCommand(planCommand())
    .addCommand(explainCommand())
    .addCommand(doctorCommand())
    .addCommand(connectCommand())
    .addCommand(versionCommand('kgctl'))
    .addCommand(completionCommand('kgctl'))
    .addCommand(askCommand(), { hidden: true });
