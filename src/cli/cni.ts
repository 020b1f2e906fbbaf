/**
 * `kilowire cni`: install the CNI plugin on a node, and see what it did there.
 * Exit status: 0 done, 1 it failed or something is wrong, 2 it was called wrongly.
 * @module
 */
import { readFileSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { Outcome, StandingOptions } from './cni-verbs.ts';

const output = (): Option =>
  new Option('-o, --output <format>', 'text, or one JSON document').choices(['text', 'json']).default('text');

const verb = (name: string, description: string): Command =>
  new Command(name).description(description).addOption(output()).allowExcessArguments(false);

/** Where things are; what is left out is read from the runtime's configuration. */
const withPlaces = (command: Command): Command =>
  command
    .option('--bin-dir <dir>', 'folder of executables (default: as containerd or k3s is configured)')
    .option('--conf-dir <dir>', 'folder of conflists (default: as containerd or k3s is configured)')
    .option('--state-dir <dir>', 'folder of records (default: as the conflist says)')
    .option('--data-dir <dir>', 'folder of leases (default: as the conflist says)');

const withNetwork = (command: Command): Command =>
  withPlaces(command).option('-n, --network <name>', 'only this network');

const collectTexts = (text: string, before: readonly string[] = []): readonly string[] => [
  ...before,
  ...text.split(','),
];

const wholeNumber = (text: string): number => {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
};

const trueOrFalse = (text: string): boolean => {
  if (text === 'true' || text === 'false') return text === 'true';
  throw new InvalidArgumentError('It must be true or false.');
};

const seconds = (text: string): number => {
  const [, count, unit] = /^(\d+)(s|m|h)?$/.exec(text) ?? [];
  if (count === undefined) throw new InvalidArgumentError('Write it like 90s, 10m or 1h.');
  return Number(count) * (unit === 'h' ? 3600 : unit === 'm' ? 60 : 1);
};

const print = (text: string): void => {
  // A reader that went away (| head) is no failure.
  process.stdout.on('error', () => {});
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
};

/** A system error's own text names a call and a path; what to do about it is ours to say. */
const explained = (error: unknown): unknown => {
  // Errors of our own system calls say errnoName, Node's say code. Asking the module that knows would load it for --help.
  const { errnoName, code = '' } = error as NodeJS.ErrnoException & { readonly errnoName?: string };
  if (['EACCES', 'EPERM'].includes(errnoName ?? code) && process.getuid?.() !== 0)
    return new Error(`This takes root's rights: ${(error as Error).message.replace(/\.$/, '')}.`, {
      cause: error,
    });
  return error;
};

const perform = async (act: (verbs: typeof import('./cni-verbs.ts')) => Outcome): Promise<void> => {
  try {
    const { text, ok } = act(await import('./cni-verbs.ts'));
    print(text);
    if (!ok) process.exitCode = 1;
  } catch (error) {
    throw explained(error);
  }
};

const readKnown = (path: string): string => {
  try {
    return readFileSync(path === '-' ? 0 : path, 'utf8');
  } catch (cause) {
    throw new Error(`The list of living containers cannot be read: ${(cause as Error).message}.`, { cause });
  }
};

const installVerb = (): Command =>
  withPlaces(verb('install', 'copy the plugin and its conflist to where the runtime looks'))
    .option('--subnet <cidr...>', 'pod subnet of this node, one of each family', collectTexts)
    .option('--name <name>', 'name of the network', 'kilowire')
    .option('--bridge <name>', 'name of the bridge', 'kube-bridge')
    .option('--mtu <bytes>', 'of bridge and containers; 0 leaves it to the kernel', wholeNumber, 1420)
    .addOption(
      new Option('--ip-masq [bool]', 'masquerade what leaves the subnet')
        .argParser(trueOrFalse)
        .default(true),
    )
    .addOption(
      new Option('--hairpin [bool]', 'let a container reach itself through its service')
        .argParser(trueOrFalse)
        .default(true),
    )
    .option('--from <file>', 'the executable to copy (default: the one of this package)')
    .option('--dry-run', 'show what would be done')
    .option('--force', "replace somebody else's files too")
    .addHelpText(
      'after',
      `
Files are replaced by a rename, never while they are read; what is not ours stays. Run twice, it does nothing.

Examples:
  kilowire cni install --subnet 10.42.0.0/24
  kilowire cni install --subnet 10.42.0.0/24 --subnet fd42::/64 --ip-masq false --dry-run
  kilowire cni install --bin-dir /var/lib/rancher/k3s/data/cni        only the executables are new`,
    )
    .action((options) => perform((verbs) => verbs.install(options)));

const uninstallVerb = (): Command =>
  withPlaces(verb('uninstall', 'take away what install put there'))
    .option('--dry-run', 'show what would be done')
    .option('--force', 'although containers are attached')
    .addHelpText('after', '\nExamples:\n  kilowire cni uninstall --dry-run')
    .action((options) => perform((verbs) => verbs.uninstall(options)));

const statusVerb = (): Command =>
  withNetwork(verb('status', 'is it installed, does it work, what is wrong'))
    .addHelpText('after', '\nExamples:\n  kilowire cni status\n  kilowire cni status -o json')
    .action((options) => perform((verbs) => verbs.status(options)));

const leasesVerb = (): Command =>
  withNetwork(verb('leases', 'who holds which address'))
    .addHelpText('after', '\nExamples:\n  kilowire cni leases\n  kilowire cni leases -n kilowire -o json')
    .action((options) => perform((verbs) => verbs.leases(options)));

const gcVerb = (): Command =>
  withNetwork(verb('gc', 'take away what no runtime knows'))
    .option('--known <file>', 'ids of all living containers, one a line; "-" reads standard input')
    .option('--grace <time>', 'leave alone what is younger, if it may still be on its way', seconds, 600)
    .option('--dry-run', 'show what would be taken away')
    .addHelpText(
      'after',
      `
Without --known it asks containerd's and k3s' state folders, and keeps whatever a process still lives in.

Examples:
  kilowire cni gc --dry-run
  crictl pods -q --no-trunc | kilowire cni gc --known -`,
    )
    .action((options: StandingOptions & { known?: string; grace: number; dryRun?: boolean }) =>
      perform((verbs) =>
        verbs.gc({ ...options, list: options.known === undefined ? undefined : readKnown(options.known) }),
      ),
    );

const explainVerb = (): Command =>
  withNetwork(verb('explain', 'what was done for a pod, and why'))
    .argument('<what>', 'pod, address, container id (or its beginning), or interface of the host')
    .addHelpText(
      'after',
      `
Examples:
  kilowire cni explain kube-system/coredns-6799fbcd5-x7k2p
  kilowire cni explain 10.42.0.7 -o json`,
    )
    .action((what: string, options: StandingOptions) => perform((verbs) => verbs.explain(what, options)));

export const cniCommand = (): Command =>
  new Command('cni')
    .description('install the CNI plugin on this node, and see what it did')
    .addHelpText(
      'after',
      `
Examples:
  kilowire cni install --subnet 10.42.0.0/24
  kilowire cni status
  kilowire cni explain default/web-0`,
    )
    .addCommand(installVerb())
    .addCommand(uninstallVerb())
    .addCommand(statusVerb())
    .addCommand(leasesVerb())
    .addCommand(gcVerb())
    .addCommand(explainVerb());
