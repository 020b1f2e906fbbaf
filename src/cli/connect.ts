/**
 * `kilowire connect [NAME]`: this host, outside the cluster, in the mesh for as long as the command runs.
 * Source: `kgctl connect` (flags and defaults).
 * @module
 */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { DnsServer } from '../admin/connect/dns-forwarder.ts';
import type { DnsMode } from '../admin/connect/split-dns.ts';
import type { LogLevel } from '../agent/log.ts';
import { parseBase64Key } from '../noise/base64-key.ts';
import { type Address, type Cidr, parseAddress, parseCidr } from '../noise/ip.ts';
import { type ClusterFlags, openClient, portOption, withCluster } from './cluster-options.ts';

interface ConnectFlags extends ClusterFlags {
  readonly allowedIp: Cidr;
  readonly allowedIps?: readonly Cidr[];
  readonly dns: DnsMode;
  readonly dnsListen: DnsServer;
  readonly dnsServer?: readonly Address[];
  readonly clusterDomain: string;
  readonly cleanUp: boolean | null;
  readonly interface: string;
  readonly logLevel: LogLevel;
  readonly mtu: number;
  readonly persistentKeepalive: number;
  readonly privateKey: string;
  readonly resyncPeriod: string;
  readonly stateDirectory: string;
  readonly port?: number;
}

const range = (text: string): Cidr => {
  const cidr = parseCidr(text);
  if (cidr !== null) return cidr;
  throw new InvalidArgumentError(`"${text}" is not an address range; write it as 10.10.10.10/32.`);
};

const ranges = (text: string, before: readonly Cidr[] = []): Cidr[] => [
  ...before,
  ...(text === 'none' ? [] : text.split(',').map(range)),
];

const servers = (text: string, before: readonly Address[] = []): Address[] => [
  ...before,
  ...text.split(',').map((each) => {
    const address = parseAddress(each);
    if (address !== null) return address;
    throw new InvalidArgumentError(`"${each}" is not an address; write it as 10.43.0.10.`);
  }),
];

const loopback = (text: string): DnsServer => {
  const [, address = '', port = '53'] = /^([^:]+|\[[^\]]+\])(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = address.replace(/^\[|\]$/g, '');
  if (Number(port) <= 0xffff && (/^127\.\d+\.\d+\.\d+$/.test(host) || host === '::1'))
    return { address: host, port: Number(port) };
  throw new InvalidArgumentError('It must be on loopback, such as 127.0.0.1 or 127.0.0.1:5353.');
};

const numberIn =
  (least: number, most: number) =>
  (text: string): number => {
    const value = /^\d{1,6}$/.test(text) ? Number(text) : -1;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It must be a number from ${least} to ${most}.`);
  };

const truth = (text: string): boolean => {
  if (/^(?:1|t|true)$/i.test(text)) return true;
  if (/^(?:0|f|false)$/i.test(text)) return false;
  throw new InvalidArgumentError('It must be true or false.');
};

const interfaceName = (text: string): string => {
  if (/^[^\s/]{1,15}$/.test(text) && !/^\.\.?$/.test(text)) return text;
  throw new InvalidArgumentError('An interface has 1 to 15 characters, no space, no slash.');
};

const readPrivateKey = (path: string): Uint8Array => {
  let text: string;
  try {
    text = readFileSync(path, 'latin1').trim();
  } catch (cause) {
    throw new Error(`The private key cannot be read from ${path}: ${(cause as Error).message}.`, { cause });
  }
  const key = parseBase64Key(text);
  if (key === null) throw new Error(`${path} holds no private key: make one with wg genkey > ${path}.`);
  return key;
};

const connect = async (given: string | undefined, flags: ConnectFlags): Promise<void> => {
  if (process.platform !== 'linux') throw new Error('this command is not supported on this OS');
  if (process.getuid?.() !== 0)
    throw new Error('It makes an interface and routes, which takes root: run it with sudo.');
  const { durationMs } = await import('../agent/options.ts');
  const { newPrivateKey, publicKeyOf } = await import('../agent/key-file.ts');
  const { Log } = await import('../agent/log.ts');
  const { Connection } = await import('../admin/connect/connection.ts');
  const resyncMs = durationMs('resync-period', flags.resyncPeriod);
  const privateKey = flags.privateKey === '' ? newPrivateKey() : readPrivateKey(flags.privateKey);
  const client = await openClient(flags);
  const end = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => end.abort());
  process.stdout.on('error', () => {}); // nobody reads the log any more
  try {
    await new Connection({
      client,
      log: new Log(flags.logLevel, (line) => process.stdout.write(line)),
      peer: {
        name: given ?? hostname().toLowerCase(),
        publicKey: publicKeyOf(privateKey),
        allowedIP: flags.allowedIp,
        persistentKeepalive: flags.persistentKeepalive,
      },
      privateKey,
      interfaceName: flags.interface,
      mtu: flags.mtu,
      port: flags.port ?? null,
      allowedIPs: flags.allowedIps ?? null,
      dns: {
        mode: flags.dns,
        domain: flags.clusterDomain,
        servers: flags.dnsServer ?? null,
        listen: flags.dnsListen,
      },
      cleanUp: flags.cleanUp ?? true,
      resyncMs,
      granularity: flags.meshGranularity,
      topologyLabel: flags.topologyLabel,
      stateDirectory: flags.stateDirectory,
      environment: process.env,
    }).run(end.signal);
  } finally {
    client.close();
  }
};

export const connectCommand = (): Command =>
  withCluster(
    new Command('connect')
      .description('join the mesh as a peer, from this host, until it is interrupted (Linux, root)')
      .argument('[name]', "name of the Peer (default: this host's)")
      .addOption(
        new Option('-a, --allowed-ip <range>', 'address of this host in the mesh')
          .argParser(range)
          .default(range('10.10.10.10/32'), '10.10.10.10/32'),
      )
      .addOption(
        new Option(
          '--allowed-ips <ranges>',
          "further ranges behind the cluster; none for none (default: its services')",
        ).argParser(ranges),
      )
      .addOption(
        new Option('--clean-up [bool]', 'at the end take away interface, routes and the Peer it made')
          .argParser(truth)
          .default(true),
      )
      .addOption(
        new Option(
          '--dns <how>',
          "resolve the cluster's names: by systemd-resolved, by a local resolver of ours",
        )
          .choices(['auto', 'resolved', 'local', 'none'])
          .default('auto'),
      )
      .addOption(
        new Option('--dns-listen <address>', 'where the local resolver listens')
          .argParser(loopback)
          .default({ address: '127.0.0.1', port: 53 }, '127.0.0.1:53'),
      )
      .addOption(
        new Option(
          '--dns-server <addresses>',
          "of the cluster's resolver (default: the Service kube-system/kube-dns)",
        ).argParser(servers),
      )
      .option('--cluster-domain <name>', "the cluster's domain", 'cluster.local')
      .addOption(
        new Option('-i, --interface <name>', 'of the WireGuard interface')
          .argParser(interfaceName)
          .default('kilo0'),
      )
      .addOption(
        new Option('--log-level <level>', 'of the log on standard output, one JSON object a line')
          .choices(['all', 'debug', 'info', 'warn', 'error', 'none'])
          .default('info'),
      )
      .addOption(
        new Option('--mtu <bytes>', 'of the interface').argParser(numberIn(576, 65_535)).default(1420),
      )
      .addOption(
        new Option('--persistent-keepalive <seconds>', 'keeps a NAT open; 0 is off')
          .argParser(numberIn(0, 65_535))
          .default(10),
      )
      .option('--private-key <file>', 'base64; without it each run has a new key', '')
      .option('--resync-period <duration>', 'look at everything again this often', '30s')
      .option('--state-directory <directory>', 'what a killed run leaves is noted there', '/run/kilowire')
      .addOption(portOption())
      .allowExcessArguments(false),
  )
    .addHelpText(
      'after',
      `
It makes a Peer in the cluster, a WireGuard interface and routes, follows changes of the mesh, and takes all of it away
at the end; what a killed run left is taken away by the next. Services and their names are found by themselves where the account may
read them. Exit status: 0 after an interrupt, 1 when it failed.

Examples:
  sudo kilowire connect
  sudo kilowire connect --allowed-ips 10.43.0.0/16 --dns none
  sudo kilowire connect laptop -a 10.5.0.1/32 --private-key ~/.kilowire.key
  sudo kilowire connect --kubeconfig ~/.kube/config --context home`,
    )
    .action((name: string | undefined, flags: ConnectFlags) => connect(name, flags));
