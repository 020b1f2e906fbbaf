/**
 * `kilowire client import FILE…`: WireGuard files of a network that exists already, as Peers. Shows what would change; with
 * --apply it is done.
 * @module
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { ImportedClient } from '../admin/clients/conf-import.ts';
import type { ImportStep } from '../admin/clients/import-plan.ts';
import type { KubernetesClient } from '../agent/kubernetes/client.ts';
import { formatCidr } from '../noise/ip.ts';
import { makeConf, OwnFile } from './client-file.ts';
import { type ConfFlags, withConf } from './client-options.ts';
import { type ClusterFlags, openClient, withCluster } from './cluster-options.ts';
import { type OutputFormat, outputOption, print, printJson, remark } from './output.ts';

interface ImportFlags extends ClusterFlags, ConfFlags {
  readonly apply?: boolean;
  readonly all?: boolean;
  readonly outFolder?: string;
  readonly name: Readonly<Record<string, string>>;
  readonly output: OutputFormat;
}

const MARKS = { add: '+', change: '~', same: '=', conflict: '!' } as const;

const readSource = (path: string): { readonly path: string; readonly text: string } => {
  try {
    return { path, text: readFileSync(path, 'utf8') };
  } catch (cause) {
    throw new Error(`${path} cannot be read: ${(cause as Error).message}.`, { cause });
  }
};

const run = async (paths: readonly string[], flags: ImportFlags): Promise<void> => {
  const sources = paths.map(readSource);
  const client = await openClient(flags);
  try {
    await importInto(client, sources, flags);
  } finally {
    client.close();
  }
};

const importInto = async (
  client: KubernetesClient,
  sources: readonly { readonly path: string; readonly text: string }[],
  flags: ImportFlags,
): Promise<void> => {
  const { importConfs } = await import('../admin/clients/conf-import.ts');
  const { importPlan } = await import('../admin/clients/import-plan.ts');
  const { occupiedBy } = await import('../admin/clients/address-pool.ts');
  const { readCluster } = await import('../admin/cluster-snapshot.ts');
  const { meshOf } = await import('../admin/mesh.ts');
  const before = await readCluster(client, flags.topologyLabel);
  const { subnet } = await meshOf(before, { granularity: flags.meshGranularity });
  const nodes = new Map(before.nodes.map(({ node }) => [node.key, node.name]));
  const { clients, skipped, faults } = importConfs(sources, { nodes, all: flags.all === true });
  const steps = importPlan(clients.map(renamed(flags.name)), before, occupiedBy(before, subnet));
  const hindered = faults.length > 0 || steps.some(({ action }) => action === 'conflict');
  const applies = flags.apply === true && !hindered;
  if (applies) await apply(client, steps);
  if (flags.output === 'json') printJson({ applied: applies, steps: steps.map(shownStep), skipped, faults });
  else {
    for (const step of steps) print(lineOf(step));
    for (const { where, why } of skipped) print(`- ${where}: ${why}`);
    for (const fault of faults) print(`! ${fault}`);
  }
  if (applies && flags.outFolder !== undefined) await writeFiles(client, steps, flags.outFolder, flags);
  if (hindered) {
    process.exitCode = 1;
    remark('kilowire: Nothing has been changed: put right what is marked with ! first.');
  } else if (flags.apply !== true) remark('kilowire: Nothing has been changed: --apply does it.');
};

const renamed =
  (names: Readonly<Record<string, string>>) =>
  (client: ImportedClient): ImportedClient => ({
    ...client,
    name: names[client.publicKey] ?? names[client.name] ?? client.name,
  });

const lineOf = ({ action, client, name, what }: ImportStep): string => {
  const facts = [
    client.allowedIPs.map(formatCidr).join(', '),
    ...(client.presharedKey === undefined ? [] : ['with its preshared key']),
    `(${client.where})`,
  ].join('  ');
  return [`${MARKS[action]} ${name}  ${facts}`, ...what, ...client.notes].join('\n    ');
};

const shownStep = ({ action, client, name, what }: ImportStep) => ({
  action,
  name,
  publicKey: client.publicKey,
  allowedIPs: client.allowedIPs.map(formatCidr),
  hasPresharedKey: client.presharedKey !== undefined,
  what,
  notes: client.notes,
  where: client.where,
});

const apply = async (client: KubernetesClient, steps: readonly ImportStep[]): Promise<void> => {
  const { importedPatch, importedPeer } = await import('../admin/clients/import-plan.ts');
  const { PEERS } = await import('../agent/kubernetes/resources.ts');
  for (const step of steps) {
    if (step.action === 'add') await client.create(PEERS, importedPeer(step));
    if (step.action === 'change') await client.patch(PEERS, step.name, importedPatch(step));
  }
};

/** With the private key where a file had it. */
const writeFiles = async (
  client: KubernetesClient,
  steps: readonly ImportStep[],
  folder: string,
  flags: ImportFlags,
): Promise<void> => {
  const { mkdirSync } = await import('node:fs');
  const { readCluster } = await import('../admin/cluster-snapshot.ts');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const after = await readCluster(client, flags.topologyLabel);
  for (const { name, client: imported } of steps) {
    const { text } = await makeConf(client, after, name, flags, imported.privateKey ?? null);
    new OwnFile(join(folder, `${name}.conf`)).write(text);
  }
  remark(`kilowire: ${steps.length} files are in ${folder}, for their owners to load.`);
};

const naming = (text: string, before: Record<string, string> = {}): Record<string, string> => {
  const [, old = '', name = ''] = /^(.+)=([a-z0-9][-a-z0-9.]*)$/.exec(text) ?? [];
  if (name === '') throw new InvalidArgumentError('Write it as OLD=NEW, or PUBLIC-KEY=NEW.');
  return { ...before, [old]: name };
};

export const importCommand = (): Command => {
  return withCluster(withConf(new Command('import')))
    .description('make Peers of WireGuard files: of wg-gen-web, of a hand-made full mesh')
    .argument('<files...>', 'files as wg-quick reads them, one a machine')
    .option('--apply', 'do it; without it only the difference is shown')
    .option('--all', 'also machines that no other file names: they count as hubs otherwise')
    .addOption(
      new Option('--name <old=new>', 'call one otherwise than the files do; may be repeated')
        .argParser(naming)
        .default({}, 'as the comments and file names say'),
    )
    .option('--out-folder <folder>', 'with --apply: write a new file for each, with its private key if known')
    .addOption(outputOption())
    .allowExcessArguments(false)
    .addHelpText(
      'after',
      `
Every other machine of the files becomes a Peer under the name a comment gives it; hubs do not, since the nodes take their
place. Exit status: 1 when a file cannot be read (each fault with its line) or something is in the way; nothing is done then.

Examples:
  kilowire client import wg0.conf
  kilowire client import hosts/*/wg0.conf --apply --out-folder new`,
    )
    .action(run);
};
