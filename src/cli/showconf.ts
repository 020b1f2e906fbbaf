/**
 * `kilowire showconf node|peer NAME`: WireGuard configurations of members of the mesh.
 * Source: `kgctl showconf` (texts, flags and exits). Its faults are not: a missing endpoint is left out, a name stays a
 * name, the keepalive is in seconds, and -o counts without --as-peer too.
 * @module
 */
import { Command, InvalidArgumentError, Option } from 'commander';
import { type Cidr, parseCidr } from '../noise/ip.ts';
import {
  formatPrintedPeer,
  nodeAsPeer,
  type PrintedPeer,
  peerAsPeer,
  peersOfNode,
  peersOfPeer,
  showNode,
  showPeer,
} from '../routing/peer-config.ts';
import { peerManifest } from '../routing/peer-manifest.ts';
import { shownPeer } from '../routing/show-json.ts';
import { type ClusterFlags, openMesh, portOption, withCluster } from './cluster-options.ts';
import { print, remark } from './output.ts';

type Format = 'wireguard' | 'json' | 'yaml';

interface ShowFlags extends ClusterFlags {
  readonly asPeer?: boolean;
  readonly output: Format;
  readonly allowedIps: readonly Cidr[];
  readonly port?: number;
}

const FORMATS: readonly Format[] = ['json', 'wireguard', 'yaml'];

const format = (text: string): Format => {
  const found = FORMATS.find((word) => word === text);
  if (found !== undefined) return found;
  throw new InvalidArgumentError(
    `output format ${text} unknown; possible values are: ${FORMATS.join(', ')}.`,
  );
};

const ranges = (text: string, before: readonly Cidr[] = []): Cidr[] => [
  ...before,
  ...text.split(',').map((part) => {
    const cidr = parseCidr(part);
    if (cidr === null)
      throw new InvalidArgumentError(`allowed-ips must contain only valid CIDRs; got "${part}".`);
    return cidr;
  }),
];

const withShowFlags = (command: Command): Command =>
  command
    .option('--as-peer', 'as a Peer that another cluster could apply')
    .addOption(
      new Option('-o, --output <format>', 'wireguard, json or yaml').argParser(format).default('wireguard'),
    )
    .addOption(
      new Option('--allowed-ips <ranges>', 'further ranges of it, with --as-peer')
        .argParser(ranges)
        .default([] as Cidr[], 'none'),
    );

/** Prints values in JSON or YAML; as kgctl does, JSON ends without a line break where nobody looks. */
const printValue = async (value: unknown, output: Format): Promise<void> => {
  if (output === 'json') {
    const text = JSON.stringify(value, null, 2);
    if (process.stdout.isTTY) print(text);
    else process.stdout.write(text);
    return;
  }
  const { stringify } = await import('yaml');
  print(stringify(value, { indentSeq: false, lineWidth: 0 }));
};

const printPeer = async (name: string, peer: PrintedPeer, output: Format): Promise<void> => {
  if (output === 'wireguard') return print(formatPrintedPeer(peer));
  const manifest = peerManifest(name, peer);
  const { apiVersion, kind, metadata, spec } = manifest;
  await printValue(output === 'json' ? { kind, apiVersion, metadata, spec } : manifest, output);
};

const warnOfIgnored = ({ asPeer, allowedIps }: ShowFlags): void => {
  if (asPeer !== true && allowedIps.length > 0)
    remark('kilowire: --allowed-ips is left out: it means something with --as-peer only.');
};

const showNodeConf = async (name: string, flags: ShowFlags): Promise<void> => {
  const { topologyFrom } = await import('../admin/mesh.ts');
  const topology = topologyFrom(await openMesh(flags), name);
  // A segment is known to others by its leader.
  if (!topology.isLeader) return remark(`Node "${name}" is not a leader node`);
  warnOfIgnored(flags);
  if (flags.asPeer === true) return printPeer(name, nodeAsPeer(topology, flags.allowedIps), flags.output);
  const port = flags.port ?? topology.self.endpoint.port;
  if (flags.output === 'wireguard') return print(showNode(topology, port) ?? '');
  const peers = (peersOfNode(topology) ?? []).map(shownPeer);
  await printValue({ interface: { listenPort: port }, peers }, flags.output);
};

const showPeerConf = async (name: string, flags: ShowFlags): Promise<void> => {
  const { topologyFrom } = await import('../admin/mesh.ts');
  const topology = topologyFrom(await openMesh(flags));
  warnOfIgnored(flags);
  if (flags.asPeer === true)
    return printPeer(name, peerAsPeer(topology, name, flags.allowedIps), flags.output);
  if (flags.output === 'wireguard') return print(showPeer(topology, name));
  await printValue({ peers: peersOfPeer(topology, name).map(shownPeer) }, flags.output);
};

const verb = (
  name: 'node' | 'peer',
  description: string,
  act: (name: string, flags: ShowFlags) => Promise<void>,
): Command =>
  withCluster(
    withShowFlags(new Command(name).description(description))
      .argument('<name>', `name of the ${name}`)
      .addOption(portOption())
      .allowExcessArguments(false),
  ).action((given: string, flags: ShowFlags) => act(given, flags));

const takeBack = (command: Command): Command => {
  // kgctl takes them before node and peer too.
  for (const option of command.options) option.hideHelp();
  return command;
};

export const showconfCommand = (): Command =>
  takeBack(withCluster(withShowFlags(new Command('showconf')).addOption(portOption())))
    .description('show the WireGuard configuration of a node or peer')
    .enablePositionalOptions()
    .addHelpText(
      'after',
      `
Examples:
  kilowire showconf node aws-1
  kilowire showconf peer laptop > laptop.conf && wg setconf wg0 laptop.conf
  kilowire showconf node aws-1 --as-peer -o yaml --allowed-ips 10.43.0.0/16 | kubectl --context other apply -f -`,
    )
    .addCommand(
      verb('node', 'what the device of a node has; nothing when it does not lead', showNodeConf).addHelpText(
        'after',
        `
The private key is never part of it.

Examples:
  kilowire showconf node aws-1
  kilowire showconf node aws-1 -o json | jq -r '.peers[].endpoint'
  kilowire showconf node aws-1 --as-peer -o yaml`,
      ),
    )
    .addCommand(
      verb('peer', 'what a peer outside the cluster loads to be in the mesh', showPeerConf).addHelpText(
        'after',
        `
It has no [Interface]: the peer's own key and address are for the peer to add.

Examples:
  kilowire showconf peer laptop > laptop.conf && wg setconf wg0 laptop.conf
  kilowire showconf peer laptop --as-peer -o yaml`,
      ),
    );
