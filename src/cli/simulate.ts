/**
 * `kilowire simulate`: what would happen if a node or a location went, as by a power cut. Nothing does.
 * @module
 */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import type { ClusterSnapshot } from '../admin/cluster-snapshot.ts';
import type { Losing, Loss } from '../admin/loss.ts';
import type { StateChange } from '../admin/plan.ts';
import { pathOptions, type SettingFlags, withSettings } from './agent-settings.ts';
import { type ClusterFlags, openSnapshot, portOption, withCluster } from './cluster-options.ts';
import { type OutputFormat, outputOption, type Paint, paintFor, print, printJson } from './output.ts';

interface SimulateFlags extends ClusterFlags, SettingFlags {
  readonly output: OutputFormat;
  readonly filename?: string;
}

const withFlags = (command: Command): Command =>
  withCluster(
    withSettings(
      command
        .addOption(outputOption())
        .option(
          '-f, --filename <file>',
          'a cluster as kubectl get nodes,peers.kilo.squat.ai -o yaml wrote it; "-" reads standard input',
        ),
    )
      .addOption(portOption().hideHelp())
      .allowExcessArguments(false),
  );

const snapshotFor = async (flags: SimulateFlags): Promise<ClusterSnapshot> => {
  const { filename } = flags;
  if (filename === undefined) return await openSnapshot(flags);
  const { snapshotFromText } = await import('../admin/snapshot-file.ts');
  let text: string;
  try {
    text = readFileSync(filename === '-' ? 0 : filename, 'utf8');
  } catch (cause) {
    throw new Error(`The cluster cannot be read: ${(cause as Error).message}.`, { cause });
  }
  return await snapshotFromText(text, filename === '-' ? 'standard input' : filename, flags.topologyLabel);
};

const perform = async (flags: SimulateFlags, losing: Losing): Promise<void> => {
  const { lossOf, membersMeant } = await import('../admin/loss.ts');
  const { meshOf } = await import('../admin/mesh.ts');
  const mesh = await meshOf(await snapshotFor(flags), { granularity: flags.meshGranularity });
  const loss = lossOf(mesh, membersMeant(mesh, losing), pathOptions(flags));
  if (loss.problems.some(({ severity }) => severity === 'fault')) process.exitCode = 1;
  if (flags.output === 'json') return printJson(loss);
  print(lossText(loss, paintFor(process.stdout)));
};

const lossText = (loss: Loss, paint: Paint): string => {
  const { gone, handover, cutOff, unreachable, forgotten, mesh, nodes, problems } = loss;
  const part = (title: string, lines: readonly string[]): string[] =>
    lines.length === 0 ? [] : [[paint('bold', title), ...lines.map((line) => `  ${line}`)].join('\n')];
  return [
    ...part(
      `Until another leads${handover === null ? '' : `, ${span(handover)} by ${handover.by}`}:`,
      cutOff.map(
        ({ segment, nodes: members, ranges }) =>
          `"${segment}" is cut off from the others: ${members.join(', ')} with ${ranges.join(', ')}.`,
      ),
    ),
    ...part(
      'Then:',
      cutOff.flatMap(({ segment, leader, next }) =>
        next === null ? [] : [`"${segment}" is led by ${next} in place of ${leader}.`],
      ),
    ),
    ...part(
      `For as long as ${gone.join(', ')} ${gone.length === 1 ? 'is' : 'are'} away, nobody reaches:`,
      unreachable.map(
        ({ range, what, of }) =>
          `${range}  ${what === 'pods' ? 'pods of' : what === 'node' ? 'node' : 'behind'} ${of}`,
      ),
    ),
    ...part(`After ${span(forgotten)}, when the others let go of ${gone.length === 1 ? 'it' : 'them'}:`, [
      ...mesh.filter((line) => !cutOff.some(({ segment }) => line.startsWith(`"${segment}" is led by`))),
      ...[...Map.groupBy(nodes, ({ changes }) => countText(changes))].map(
        ([text, alike]) => `${alike.map(({ name }) => name).join(', ')}: ${text}`,
      ),
    ]),
    ...(handover === null || handover.because.length === 0
      ? []
      : [
          paint(
            'faint',
            `Probes would replace a leader in under 5 s, if the agents of these knew them: ${handover.because.join(', ')}.`,
          ),
        ]),
    ...(problems.length === 0
      ? []
      : [
          [
            paint('red', 'This would be wrong:'),
            ...problems.flatMap(({ what, remedy }) => [`  ${what}`, paint('faint', `    ${remedy}`)]),
          ].join('\n'),
        ]),
  ].join('\n\n');
};

const span = ({ fromSeconds, toSeconds }: { readonly fromSeconds: number; readonly toSeconds: number }) =>
  `${fromSeconds} to ${toSeconds} s`;

/** `peers −1 +0, routes −3 +1` */
const countText = (changes: readonly StateChange[]): string =>
  [...Map.groupBy(changes, (change) => change.part)]
    .map(([name, those]) => {
      const minus = those.filter(({ before }) => before !== null).length;
      const plus = those.filter(({ after }) => after !== null).length;
      return `${name} −${minus} +${plus}`;
    })
    .join(', ');

export const simulateCommand = (): Command =>
  new Command('simulate')
    .description('show what would happen if a node or a location went; nothing does')
    .addHelpText(
      'after',
      `
It computes what the agents would do; give it the flags they run with. Exit status: 1 when something would be wrong then.

Examples:
  kilowire simulate node aws-1
  kilowire simulate location aws -o json
  kubectl get nodes,peers.kilo.squat.ai -o yaml | kilowire simulate node aws-1 aws-2 -f -`,
    )
    .addCommand(
      withFlags(new Command('node').description('if these nodes went, all at once'))
        .argument('<names...>', 'names of nodes')
        .addHelpText(
          'after',
          '\nExamples:\n  kilowire simulate node aws-1\n  kilowire simulate node aws-1 aws-2 -f cluster.yaml',
        )
        .action((nodes: string[], flags: SimulateFlags) => perform(flags, { nodes, locations: [] })),
    )
    .addCommand(
      withFlags(new Command('location').description('if all nodes of these locations went'))
        .argument('<names...>', 'names of locations')
        .addHelpText('after', '\nExamples:\n  kilowire simulate location aws')
        .action((locations: string[], flags: SimulateFlags) => perform(flags, { nodes: [], locations })),
    );
