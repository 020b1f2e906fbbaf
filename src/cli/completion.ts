/**
 * `kilowire completion bash|zsh|fish`, and the hidden command behind the scripts it prints.
 * Source: `kgctl completion`; names of nodes and peers are those that take part.
 * @module
 */
import { readdirSync } from 'node:fs';
import { Argument, Command } from 'commander';
import { isToldOfCluster, openClient } from './cluster-options.ts';
import { type Candidates, candidatesFor, type Dynamic } from './completion-candidates.ts';
import { ASK, completionScript, type Shell } from './completion-scripts.ts';
import { print } from './output.ts';

export const completionCommand = (program: string): Command =>
  new Command('completion')
    .description('print the script that makes the tab key work')
    .addArgument(new Argument('<shell>', 'bash, zsh or fish').choices(['bash', 'zsh', 'fish']))
    .allowExcessArguments(false)
    .addHelpText(
      'after',
      `
Examples:
  source <(${program} completion bash)
  ${program} completion bash > /etc/bash_completion.d/${program}
  ${program} completion zsh > "\${fpath[1]}/_${program}"
  ${program} completion fish > ~/.config/fish/completions/${program}.fish`,
    )
    .action((shell: Shell) => print(completionScript(shell, program)));

/** Answers a shell: never an error, never for long. */
export const askCommand = (): Command =>
  new Command(ASK)
    .argument('[words...]')
    .allowUnknownOption()
    .action(async (words: readonly string[], _flags: unknown, self: Command) => {
      const program = rootOf(self);
      const candidates = candidatesFor(program, words.length === 0 ? [''] : words);
      for (const line of await linesOf(candidates, words)) print(line);
    });

const rootOf = (command: Command): Command => (command.parent === null ? command : rootOf(command.parent));

const linesOf = async ({ words, dynamic }: Candidates, typed: readonly string[]): Promise<string[]> => {
  const own = words.map(({ word, about }) => (about === '' ? word : `${word}\t${about}`));
  if (dynamic === 'files') return own.length > 0 ? own : [':files'];
  const last = (typed.at(-1) ?? '').replace(/^--[\w-]+=/, '');
  const listed = dynamic === null ? [] : await listedBy(dynamic, typed);
  return [...own, ...listed.filter((name) => name.startsWith(last))];
};

const listedBy = async (dynamic: Exclude<Dynamic, 'files'>, typed: readonly string[]): Promise<string[]> => {
  if (dynamic === 'interfaces') return interfaces();
  try {
    return await members(dynamic, typed);
  } catch {
    return []; // a shell's prompt is no place for what is wrong with a cluster
  }
};

const interfaces = (): string[] => {
  try {
    return readdirSync('/sys/class/net').filter((name) => name !== 'lo');
  } catch {
    return [];
  }
};

/** A flag's value on the line so far. */
const flagValue = (typed: readonly string[], flag: string): string | undefined => {
  const at = typed.indexOf(flag);
  if (at >= 0) return typed[at + 1];
  return typed.find((word) => word.startsWith(`${flag}=`))?.slice(flag.length + 1);
};

const members = async (kind: 'nodes' | 'peers' | 'ends', typed: readonly string[]): Promise<string[]> => {
  const { readCluster } = await import('../admin/cluster-snapshot.ts');
  const { isReadyNode } = await import('../routing/node.ts');
  const label = flagValue(typed, '--topology-label') ?? 'topology.kubernetes.io/region';
  const [kubeconfig, context, master] = ['--kubeconfig', '--context', '--master'].map((flag) =>
    flagValue(typed, flag),
  );
  const where = {
    ...(kubeconfig === undefined ? {} : { kubeconfig }),
    ...(master === undefined ? {} : { master }),
  };
  if (!isToldOfCluster(where, process.env)) return [];
  const client = await openClient({
    backend: 'kubernetes',
    meshGranularity: 'auto',
    topologyLabel: label,
    ...where,
    ...(context === undefined ? {} : { context }),
  });
  try {
    const { nodes, peers, now } = await readCluster(client, label, AbortSignal.timeout(2000));
    const names = {
      nodes: nodes.filter(({ node }) => isReadyNode(node, now)).map(({ node }) => node.name),
      peers: peers.filter(({ invalid }) => invalid === null).map(({ peer }) => peer.name),
    };
    return kind === 'ends' ? [...names.nodes, ...names.peers] : names[kind];
  } finally {
    client.close();
  }
};
