/**
 * What may be said about a client on the command line: its terms, and what goes into its file.
 * @module
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { parsePools } from '../admin/clients/address-pool.ts';
import { parseTime } from '../agent/peer-terms.ts';
import { type Address, type Cidr, parseAddress, parseCidr } from '../noise/ip.ts';
import type { ClusterFlags } from './cluster-options.ts';
import type { OutputFormat } from './output.ts';

/** A moment, or so many seconds from now. */
export type End = { readonly at: number } | { readonly after: number } | 'never';

export interface TermFlags {
  readonly expires?: End;
  readonly allow?: readonly string[] | 'everything';
  readonly email?: string;
  readonly tag?: readonly string[];
}

export interface ConfFlags {
  readonly dns: 'auto' | 'none' | readonly Address[];
  readonly splitDns?: boolean;
  readonly clusterDomain: string;
  readonly services: 'auto' | 'none' | readonly Cidr[];
  readonly mtu: number;
}

export interface OutFlags extends ConfFlags {
  readonly out?: string;
  readonly qr?: boolean;
}

export interface AddFlags extends ClusterFlags, TermFlags, OutFlags {
  readonly pool?: readonly Cidr[];
  readonly address?: readonly Address[];
  readonly publicKey?: string;
  readonly presharedKey?: boolean;
  readonly keepalive: number;
  readonly output: OutputFormat;
}

const UNITS: Readonly<Record<string, number>> = { m: 60, h: 3600, d: 86_400, w: 604_800 };

const end = (text: string): End => {
  if (text === 'never') return text;
  const at = parseTime(text) ?? parseTime(`${text}T00:00:00Z`);
  if (at !== null) return { at };
  const [, count = '', unit = ''] = /^(\d{1,5})([mhdw])$/.exec(text) ?? [];
  const seconds = Number(count) * (UNITS[unit] ?? 0);
  if (seconds > 0) return { after: seconds };
  throw new InvalidArgumentError('Write it as 12h, 30d, 2027-01-31, 2027-01-31T12:00:00Z, or never.');
};

const listed = (text: string, before: readonly string[] = []): string[] => [
  ...before,
  ...text.split(',').filter((part) => part !== ''),
];

const allowed = (
  text: string,
  before: readonly string[] | 'everything' = [],
): readonly string[] | 'everything' =>
  text === 'everything' ? text : listed(text, before === 'everything' ? [] : before);

const address = (text: string, before: readonly Address[] = []): Address[] => {
  const parsed = parseAddress(text.replace(/\/(?:32|128)$/, ''));
  if (parsed !== null) return [...before, parsed];
  throw new InvalidArgumentError(`"${text}" is not an address; write it as 10.5.0.7.`);
};

const addresses = (text: string): 'auto' | 'none' | Address[] =>
  text === 'auto' || text === 'none' ? text : text.split(',').flatMap((part) => address(part));

const ranges = (text: string): 'auto' | 'none' | Cidr[] =>
  text === 'auto' || text === 'none'
    ? text
    : text.split(',').map((part) => {
        const range = parseCidr(part);
        if (range !== null) return range;
        throw new InvalidArgumentError(`"${part}" is not an address range; write it as 10.43.0.0/16.`);
      });

const pools = (text: string): readonly Cidr[] => {
  try {
    return parsePools(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
};

export const numberIn =
  (least: number, most: number) =>
  (text: string): number => {
    const value = /^\d{1,6}$/.test(text) ? Number(text) : -1;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It must be a number from ${least} to ${most}.`);
  };

const domain = (text: string): string => {
  if (/^[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?$/.test(text)) return text;
  throw new InvalidArgumentError('Write it as cluster.local.');
};

export const withTerms = (command: Command): Command =>
  command
    .addOption(
      new Option('--expires <when>', '12h, 30d, a date, a time of RFC 3339, or never').argParser(end),
    )
    .addOption(
      new Option(
        '--allow <where>',
        'only there: ranges, addresses, services (namespace/name); or everything; may be repeated',
      ).argParser(allowed),
    )
    .option('--email <address>', 'for people')
    .addOption(new Option('--tag <word>', 'for people; may be repeated').argParser(listed));

export const withAddresses = (command: Command): Command =>
  command
    .addOption(
      new Option('--pool <range>', 'where addresses come from; IPv4, IPv6, or both with a comma')
        .argParser(pools)
        .default(undefined, "the cluster's, 10.5.0.0/16"),
    )
    .addOption(
      new Option('--address <address>', 'this one, not one of the pool; may be repeated').argParser(address),
    )
    .option('--public-key <key>', 'of a key pair made elsewhere; without it one is made here')
    .option('--preshared-key', 'a preshared key too, which the nodes read from the Peer')
    .addOption(
      new Option('--keepalive <seconds>', 'keeps a NAT open; 0 is off')
        .argParser(numberIn(0, 65_535))
        .default(25),
    );

export const withConf = (command: Command): Command =>
  command
    .addOption(
      new Option('--dns <addresses>', "resolvers in the file: auto (the cluster's), none, or addresses")
        .argParser(addresses)
        .default('auto'),
    )
    .option('--split-dns', "only the cluster's names go there, by systemd-resolved on the client")
    .addOption(
      new Option('--cluster-domain <name>', "the cluster's domain")
        .argParser(domain)
        .default('cluster.local'),
    )
    .addOption(
      new Option('--services <ranges>', "the services' ranges: auto (asked of the API), none, or ranges")
        .argParser(ranges)
        .default('auto'),
    )
    .addOption(new Option('--mtu <bytes>', 'in the file').argParser(numberIn(1280, 65_535)).default(1420));

export const withOut = (command: Command): Command =>
  withConf(command)
    .option('--out <file>', 'write the file there (mode 0600, never over another) and not to the terminal')
    .option('--qr', "a QR code for the terminal, as WireGuard's apps on phones scan it");
