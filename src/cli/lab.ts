/**
 * `kilowire lab`: the article's four-cloud cluster on one machine.
 * @module
 */
import { constants } from 'node:os';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import type { MeshGranularity } from '../lab/plan.ts';
import type { LabReport } from '../lab/report.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

interface Flags {
  readonly nodes: 1 | 2;
  readonly meshGranularity: MeshGranularity;
  readonly json?: boolean;
  readonly svg?: string;
}

const nodeCount = (text: string): 1 | 2 => {
  if (text === '1') return 1;
  if (text === '2') return 2;
  throw new InvalidArgumentError('It must be 1 or 2.');
};

const withShape = (command: Command): Command =>
  command
    .addOption(new Option('--nodes <count>', 'nodes in each cloud: 1 or 2').argParser(nodeCount).default(1))
    .addOption(
      new Option('--mesh-granularity <which>', 'a tunnel between all nodes, or between locations')
        .choices(['full', 'location'])
        .default('full'),
    )
    .option('--svg <file>', 'where to write the picture of the topology');

const jsonOption = (): Option =>
  new Option('--json', 'one JSON document on standard output, nothing else there');

type Verb = 'run' | 'up' | 'check' | 'status' | 'down';

const INTERRUPTED: Readonly<Record<Verb, string>> = {
  run: 'Interrupted; the lab has been taken down.',
  up: 'Interrupted; what was built of the lab has been taken down.',
  check: 'Interrupted; the lab is still up.',
  status: 'Interrupted.',
  down: 'Interrupted; it is taken down all the same.',
};

/** Runs a verb so that a signal makes it clean up and leave, whatever it is doing. */
const perform = async (verb: Verb, flags: Flags): Promise<void> => {
  const lab = await import('../lab/lab.ts');
  const { Progress } = await import('../lab/progress.ts');
  const { LabError } = await import('../lab/lab-error.ts');
  const json = flags.json === true;
  const progress = new Progress(json ? process.stderr : process.stdout);
  const interruption = new AbortController();
  for (const name of SIGNALS) {
    process.on(name, () => {
      if (interruption.signal.aborted) return; // it is cleaning up already
      process.exitCode = 128 + constants.signals[name];
      interruption.abort(new LabError('ERR_LAB_INTERRUPTED', INTERRUPTED[verb]));
    });
  }
  // A reader that went away (| head) is no reason to leave a lab half-built.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

  const context = { progress, signal: interruption.signal };
  const shape = {
    ...context,
    options: { nodesPerCloud: flags.nodes, granularity: flags.meshGranularity },
    svg: flags.svg,
  };
  const verbs: Record<Verb, () => Promise<LabReport>> = {
    run: () => lab.labRun(shape),
    up: () => lab.labUp(shape),
    check: () => lab.labCheck(context),
    status: () => lab.labStatus(context),
    down: () => lab.labDown(context),
  };
  const report = await verbs[verb]();
  if (json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  if (!lab.allHold(report)) process.exitCode ||= 1;
};

const USAGE_STATUS = 2;

/** The flags of a subcommand, with those that were written before its name. */
const flagsOf = (command: Command): Flags => {
  const merged: Record<string, unknown> = { ...command.opts() };
  const { parent } = command;
  for (const option of parent?.options ?? []) {
    const name = option.attributeName();
    if (parent?.getOptionValueSource(name) !== 'cli') continue;
    if (!command.options.some((own) => own.attributeName() === name))
      throw new CommanderError(
        USAGE_STATUS,
        'lab.option',
        `${option.long} means nothing to ${command.name()}.`,
      );
    merged[name] = parent.getOptionValue(name);
  }
  return merged as unknown as Flags;
};

const subcommand = (name: Verb, description: string): Command =>
  new Command(name)
    .description(description)
    .addOption(jsonOption())
    .allowExcessArguments(false)
    .action((_flags: Flags, command: Command) => perform(name, flagsOf(command)));

export const labCommand = (): Command => {
  const command = withShape(
    new Command('lab').description('build a four-cloud cluster on this machine, check it, take it down'),
  )
    .addOption(jsonOption())
    .enablePositionalOptions()
    .allowExcessArguments()
    .addHelpText(
      'after',
      `
Without a subcommand: up, check, down. It needs root and /dev/net/tun, and leaves nothing behind.

Examples:
  kilowire lab --nodes 2 --mesh-granularity location
  kilowire lab up && ip netns exec kw-aws-0 wg show
  kilowire lab check --json
  kilowire lab down`,
    )
    .action((flags: Flags, self: Command) => {
      const [unknown] = self.args;
      if (unknown !== undefined)
        throw new CommanderError(USAGE_STATUS, 'lab.command', `lab has no command '${unknown}'.`);
      return perform('run', flags);
    });
  const daemon = new Command('daemon').description('serve the running lab').action(async () => {
    const { runDaemon } = await import('../lab/daemon.ts');
    try {
      await runDaemon();
    } catch (error) {
      process.stderr.write(`kilowire: ${error instanceof Error ? error.message : String(error)}\n`);
      process.exit(1); // what it serves already would keep it alive
    }
  });
  return command
    .addCommand(withShape(subcommand('up', 'build it and leave it running')))
    .addCommand(subcommand('check', 'run the checks on the running lab'))
    .addCommand(subcommand('status', 'show the running lab'))
    .addCommand(subcommand('down', 'take it down, also what a killed run left'))
    .addCommand(daemon, { hidden: true });
};
