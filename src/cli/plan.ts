/**
 * `kilowire plan`: what would change, where, if this were done to the cluster. Nothing is.
 * @module
 */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import type { GranularityFlag } from '../admin/mesh.ts';
import type { MeshPlan, StateChange } from '../admin/plan.ts';
import type { Proposal } from '../admin/proposal.ts';
import { pathOptions, type SettingFlags, withSettings } from './agent-settings.ts';
import { type ClusterFlags, granularity, openSnapshot, portOption, withCluster } from './cluster-options.ts';
import { type OutputFormat, outputOption, type Paint, paintFor, print, printJson, remark } from './output.ts';

interface PlanFlags extends ClusterFlags, SettingFlags {
  readonly output: OutputFormat;
  readonly node: readonly string[];
  readonly filename?: readonly string[];
}

const collect = (text: string, before: readonly string[] = []): string[] => [...before, text];

const withPlanFlags = (command: Command): Command =>
  withCluster(
    withSettings(
      command
        .addOption(outputOption())
        .option('--node <name>', 'look at this node only; may be repeated', collect, [] as string[]),
    )
      .addOption(portOption().hideHelp())
      .allowExcessArguments(false),
  );

/** Compares the cluster with what it would be, and prints the difference. */
const perform = async (
  flags: PlanFlags,
  proposals: readonly Proposal[],
  newGranularity?: GranularityFlag,
): Promise<void> => {
  const { withProposals } = await import('../admin/proposal.ts');
  const { planOf } = await import('../admin/plan.ts');
  const { meshOf } = await import('../admin/mesh.ts');
  const { HostNames } = await import('../agent/host-names.ts');
  const snapshot = await openSnapshot(flags);
  const names = new HostNames(() => {});
  const before = await meshOf(snapshot, { granularity: flags.meshGranularity, names });
  const then = withProposals(snapshot, proposals, flags.topologyLabel);
  const after = await meshOf(then, { granularity: newGranularity ?? before.granularity, names });
  const plan = planOf(before, { ...after, subnet: before.subnet }, pathOptions(flags), flags.node);
  if (plan.problems.some(({ severity }) => severity === 'fault')) process.exitCode = 1;
  if (flags.output === 'json') return printJson(plan);
  print(planText(plan, paintFor(process.stdout)));
};

const PARTS = ['interface', 'peer', 'route', 'rule', 'filter'] as const;

const planText = ({ mesh, nodes, problems }: MeshPlan, paint: Paint): string => {
  const parts: string[] = [];
  if (mesh.length > 0) parts.push([paint('bold', 'The mesh'), ...mesh.map((line) => `  ${line}`)].join('\n'));
  // Leaders often change alike: what is equal is said once.
  const alike = Map.groupBy(nodes, ({ changes }) => changesText(changes, paint));
  for (const [text, group] of alike)
    parts.push(`${paint('bold', group.map(({ name }) => name).join(', '))}\n${text}`);
  if (nodes.length === 0) parts.push('Nothing would change on any node.');
  if (problems.length > 0)
    parts.push(
      [
        paint('red', 'This would be wrong:'),
        ...problems.flatMap(({ what, remedy }) => [`  ${what}`, paint('faint', `    ${remedy}`)]),
      ].join('\n'),
    );
  return parts.join('\n\n');
};

const changesText = (changes: readonly StateChange[], paint: Paint): string =>
  PARTS.flatMap((part) =>
    changes
      .filter((change) => change.part === part)
      .flatMap(({ before, after }) => [
        ...(before === null ? [] : [paint('red', `  - ${part.padEnd(9)}  ${before}`)]),
        ...(after === null ? [] : [paint('green', `  + ${part.padEnd(9)}  ${after}`)]),
      ]),
  ).join('\n');

const readManifest = (path: string): string => {
  try {
    return readFileSync(path === '-' ? 0 : path, 'utf8');
  } catch (cause) {
    throw new Error(`The manifest cannot be read: ${(cause as Error).message}.`, { cause });
  }
};

const planFiles = async (flags: PlanFlags, command: Command): Promise<void> => {
  const files = flags.filename ?? [];
  if (files.length === 0)
    command.error('say what to plan: a manifest with -f, or one of annotate, label, delete and granularity', {
      exitCode: 2,
    });
  const { proposalsOf } = await import('../admin/proposal.ts');
  const proposals: Proposal[] = [];
  for (const file of files) {
    const found = await proposalsOf(readManifest(file), file === '-' ? 'on standard input' : file);
    proposals.push(...found.proposals);
    for (const each of found.ignored) remark(`kilowire: ${each} means nothing to the mesh; it is left out.`);
  }
  await perform(flags, proposals);
};

const words =
  (verb: 'annotations' | 'labels') =>
  async (kind: string, name: string, changes: readonly string[], flags: PlanFlags): Promise<void> => {
    const { kindOf, wordChanges } = await import('../admin/proposal.ts');
    await perform(flags, [{ verb, kind: kindOf(kind), name, changes: wordChanges(changes) }]);
  };

const verb = (name: string, description: string, examples: string): Command =>
  withPlanFlags(new Command(name).description(description)).addHelpText('after', `\nExamples:\n${examples}`);

export const planCommand = (): Command => {
  const command = withPlanFlags(
    new Command('plan').description('show what would change on which node if this were applied; nothing is'),
  )
    .option('-f, --filename <file>', 'manifest of Nodes and Peers; "-" reads standard input', collect)
    .enablePositionalOptions()
    .addHelpText(
      'after',
      `
It computes what the agents program; give it the flags they run with. Exit status: 1 when something would be wrong.

Examples:
  kilowire plan -f peer.yaml
  kilowire plan annotate node aws-1 kilo.squat.ai/leader=
  kilowire plan label node aws-1 topology.kubernetes.io/region=eu
  kilowire plan delete node aws-1
  kilowire plan granularity full --node aws-1`,
    )
    .action((flags: PlanFlags, self: Command) => planFiles(flags, self));
  return command
    .addCommand(
      verb(
        'annotate',
        'if annotations were set (key=value) or taken away (key-)',
        '  kilowire plan annotate node aws-1 kilo.squat.ai/force-endpoint=203.0.113.7:51820\n  kilowire plan annotate node aws-1 kilo.squat.ai/leader-',
      )
        .argument('<kind>', 'node or peer')
        .argument('<name>', 'its name')
        .argument('<changes...>', 'key=value or key-')
        .action(words('annotations')),
    )
    .addCommand(
      verb(
        'label',
        'if labels were set (key=value) or taken away (key-)',
        '  kilowire plan label node aws-1 topology.kubernetes.io/region=eu',
      )
        .argument('<kind>', 'node or peer')
        .argument('<name>', 'its name')
        .argument('<changes...>', 'key=value or key-')
        .action(words('labels')),
    )
    .addCommand(
      verb('delete', 'if a node or peer were deleted', '  kilowire plan delete peer laptop')
        .argument('<kind>', 'node or peer')
        .argument('<name>', 'its name')
        .action(async (kind: string, name: string, flags: PlanFlags) => {
          const { kindOf } = await import('../admin/proposal.ts');
          await perform(flags, [{ verb: 'delete', kind: kindOf(kind), name }]);
        }),
    )
    .addCommand(
      verb('granularity', 'if all agents had another --mesh-granularity', '  kilowire plan granularity full')
        .argument('<how>', 'location, full or cross', granularity)
        .action((how: GranularityFlag, flags: PlanFlags) => perform(flags, [], how)),
    );
};
