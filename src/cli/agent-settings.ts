/**
 * What agents were told that no annotation says: flags of `kg` that shape routes and filters, for plan and explain.
 * @module
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { pathOptionsOf } from '../admin/path-settings.ts';
import { type Cidr, parseCidr } from '../noise/ip.ts';
import type { Encapsulation, Encapsulator } from '../routing/links.ts';
import type { PathOptions } from '../routing/packet-path.ts';

export interface SettingFlags {
  readonly encapsulate: Encapsulation;
  readonly compatibility: Exclude<Encapsulator, 'ipip'> | undefined;
  readonly local: boolean;
  readonly cni: boolean;
  readonly serviceCidr: readonly Cidr[];
  readonly interface: string;
  readonly underlayMtu: number;
}

const truth = (text: string): boolean => {
  if (/^(?:1|t|true)$/i.test(text)) return true;
  if (/^(?:0|f|false)$/i.test(text)) return false;
  throw new InvalidArgumentError('It must be true or false.');
};

const ranges = (text: string, before: readonly Cidr[] = []): Cidr[] => [
  ...before,
  ...text.split(',').map((part) => {
    const cidr = parseCidr(part);
    if (cidr === null)
      throw new InvalidArgumentError(`"${part}" is not an address range; write it as 10.43.0.0/16.`);
    return cidr;
  }),
];

const bytes = (text: string): number => {
  const value = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (value >= 576 && value <= 65_535) return value;
  throw new InvalidArgumentError('It must be a number from 576 to 65535.');
};

/** Names and defaults are the agent's. */
export const withSettings = (command: Command): Command =>
  command
    .addOption(
      new Option('--encapsulate <when>', 'as the agents have it')
        .choices(['never', 'crosssubnet', 'always'])
        .default('always'),
    )
    .addOption(new Option('--compatibility <plugin>', 'as the agents have it').choices(['flannel', 'cilium']))
    .addOption(new Option('--local [bool]', 'as the agents have it').argParser(truth).default(true))
    .addOption(new Option('--cni [bool]', 'as the agents have it').argParser(truth).default(true))
    .addOption(
      new Option('--service-cidr <ranges>', 'as the agents have it')
        .argParser(ranges)
        .default([] as Cidr[], 'none'),
    )
    .option('--interface <name>', 'as the agents have it', 'kilo0')
    .addOption(
      new Option('--underlay-mtu <bytes>', 'what the network under the mesh carries')
        .argParser(bytes)
        .default(1500),
    );

export const pathOptions = (flags: SettingFlags): PathOptions =>
  pathOptionsOf({
    interfaceName: flags.interface,
    encapsulation: flags.encapsulate,
    encapsulator: flags.compatibility ?? 'ipip',
    local: flags.local,
    cni: flags.cni,
    serviceCIDRs: flags.serviceCidr,
    underlayMtu: flags.underlayMtu,
  });
