/**
 * `kilowire manifests`: what `kubectl apply -f -` takes to put Kilowire on a cluster.
 * @module
 */
import { Command, Option } from 'commander';
import type { Part } from '../deploy/manifests.ts';

const collect = (text: string, before: readonly string[] = []): readonly string[] => [...before, text];

interface ManifestFlags {
  readonly for: string;
  readonly set: readonly string[];
  readonly only?: Part;
  readonly list?: boolean;
  readonly output: string;
}

export const manifestsCommand = (): Command =>
  new Command('manifests')
    .description('print the Kubernetes objects that install Kilowire on a cluster')
    .option('--for <kind>', 'kind of cluster: k3s, k3s-flannel, k3s-cilium, kubeadm, kubeadm-flannel', 'k3s')
    .option(
      '--set <name=value>',
      'another value of a setting; lists with commas; may be repeated',
      collect,
      [],
    )
    .addOption(
      new Option(
        '--only <part>',
        'this part alone: dns is a CoreDNS, which else needs --set dns.enabled=true',
      ).choices(['dns']),
    )
    .option('--list', 'show kinds of cluster and settings with their defaults')
    .addOption(new Option('-o, --output <format>', 'yaml or json').choices(['yaml', 'json']).default('yaml'))
    .allowExcessArguments(false)
    .addHelpText(
      'after',
      `
Examples:
  kilowire manifests --for k3s | kubectl apply -f -
  kilowire manifests --for k3s --set meshGranularity=full --set subnet=10.8.0.0/16
  kilowire manifests --only dns --set dns.service=mesh-dns --set dns.address=10.43.0.53
  kilowire manifests --list`,
    )
    .action(async (flags: ManifestFlags) => {
      process.stdout.on('error', () => {}); // a reader that went away (| head) is no failure
      process.stdout.write(flags.list === true ? await listing(flags.output) : await objects(flags));
    });

const objects = async ({ for: variant, set, only, output }: ManifestFlags): Promise<string> => {
  const { manifests } = await import('../deploy/manifests.ts');
  const { parseSetting } = await import('../deploy/settings.ts');
  const text = manifests(variant, Object.fromEntries(set.map(parseSetting)), only);
  if (output === 'yaml') return text;
  const { parseAllDocuments } = await import('yaml');
  const items = parseAllDocuments(text).map((document): unknown => document.toJS());
  return `${JSON.stringify({ apiVersion: 'v1', kind: 'List', items }, null, 2)}\n`;
};

const listing = async (output: string): Promise<string> => {
  const { VARIANTS } = await import('../deploy/manifests.ts');
  const { SETTINGS } = await import('../deploy/settings.ts');
  if (output === 'json') return `${JSON.stringify({ kinds: VARIANTS, settings: SETTINGS }, null, 2)}\n`;
  const kinds = Object.entries(VARIANTS).map(
    ([name, { description }]) => `  ${name.padEnd(18)}${description}`,
  );
  const settings = Object.entries(SETTINGS).map(
    ([name, { default: value, description }]) =>
      `  ${name}=${typeof value === 'object' && !Array.isArray(value) ? JSON.stringify(value) : String(value)}\n      ${description}`,
  );
  return `Kinds of cluster (--for):\n${kinds.join('\n')}\n\nSettings (--set):\n${settings.join('\n')}\n`;
};
