/**
 * `kilowire explain A B`: which hop, key, route, rule and MTU carries a packet from A to B, and back.
 * @module
 */
import { Command } from 'commander';
import type { Explanation, Way } from '../admin/explanation.ts';
import { pathOptions, type SettingFlags, withSettings } from './agent-settings.ts';
import { type ClusterFlags, openClient, portOption, withCluster } from './cluster-options.ts';
import { type OutputFormat, outputOption, type Paint, paintFor, print, printJson } from './output.ts';

interface ExplainFlags extends ClusterFlags, SettingFlags {
  readonly output: OutputFormat;
  readonly namespace: string;
}

const show = async (a: string, b: string, flags: ExplainFlags): Promise<void> => {
  const { readCluster } = await import('../admin/cluster-snapshot.ts');
  const { meshOf, topologyFrom } = await import('../admin/mesh.ts');
  const { findEndPoint, podFinder } = await import('../admin/end-point.ts');
  const { explain } = await import('../admin/explanation.ts');
  const client = await openClient(flags);
  try {
    const snapshot = await readCluster(client, flags.topologyLabel);
    const mesh = await meshOf(snapshot, { granularity: flags.meshGranularity });
    const topology = topologyFrom(mesh);
    const find = (text: string) => findEndPoint(text, topology, podFinder(client), flags.namespace);
    const [from, to] = [await find(a), await find(b)];
    const explanation = explain(mesh, from, to, pathOptions(flags));
    if (!explanation.there.delivered || !explanation.back.delivered) process.exitCode = 1;
    if (flags.output === 'json') printJson(explanation);
    else print(explanationText(explanation, paintFor(process.stdout)));
  } finally {
    client.close();
  }
};

const explanationText = ({ from, to, there, back }: Explanation, paint: Paint): string =>
  [wayText(`From ${from} to ${to}`, there, paint), wayText('And back', back, paint)].join('\n\n');

const wayText = (heading: string, { hops, end, delivered, mtu }: Way, paint: Paint): string => {
  const lines = hops.flatMap((hop) => {
    const how = { tunnel: 'through WireGuard', wrapped: 'wrapped in IPIP, not encrypted', plain: 'as it is' }[
      hop.by
    ];
    const facts = [
      ['route', hop.route],
      ['rule', hop.rule],
      ['allowed IP', hop.allowedIP],
      ['key', hop.publicKey],
      ['endpoint', hop.by === 'tunnel' ? (hop.endpoint ?? 'none until it calls') : null],
      ['source', hop.masqueradedAs === null ? null : `${hop.source} becomes ${hop.masqueradedAs}`],
      ['MTU', `${hop.mtu} on ${hop.device}`],
    ] as const;
    return [
      `  ${hop.at} → ${hop.to}  ${how}`,
      ...facts.flatMap(([name, value]) =>
        value === null ? [] : [paint('faint', `      ${name.padEnd(10)}  ${value}`)],
      ),
    ];
  });
  const verdict = delivered ? 'green' : 'red';
  return [
    paint(
      'bold',
      `${heading}: ${hops.length} ${hops.length === 1 ? 'hop' : 'hops'}, packets up to ${mtu} bytes`,
    ),
    ...lines,
    `  ${paint(verdict, `It ${end}.`)}`,
  ].join('\n');
};

export const explainCommand = (): Command =>
  withCluster(
    withSettings(
      new Command('explain')
        .description('show how a packet gets from A to B and back: hops, keys, routes, rules, MTU')
        .argument('<a>', 'pod (namespace/name), node, peer or address')
        .argument('<b>', 'pod (namespace/name), node, peer or address')
        .addOption(outputOption())
        .option('-n, --namespace <name>', 'of pods that are given without one', 'default'),
    )
      .addOption(portOption().hideHelp())
      .allowExcessArguments(false),
  )
    .addHelpText(
      'after',
      `
It computes what the agents program; give it the flags they run with. Exit status: 1 when a packet does not arrive.

Examples:
  kilowire explain web-0 kube-system/coredns-6799fbcd5-x7k2p
  kilowire explain aws-1 gcp-1 --encapsulate crosssubnet
  kilowire explain laptop 10.42.3.7 -o json`,
    )
    .action((a: string, b: string, flags: ExplainFlags) => show(a, b, flags));
