/**
 * `kilowire mesh --file mesh.yaml`: a mesh of plain machines, without an API server.
 * @module
 */
import { hostname } from 'node:os';
import { Command, Option } from 'commander';
import { AdminError } from '../admin/admin-error.ts';
import type { LogLevel } from '../agent/log.ts';
import type { MeshFile } from '../agent/mesh-file/mesh-file.ts';
import { type OutputFormat, outputOption, print, printJson, remark } from './output.ts';

interface MeshFlags {
  readonly file?: string;
  readonly hostname: string;
  readonly stateDirectory: string;
  readonly device: string;
  readonly createInterface: boolean | null;
  readonly logLevel: LogLevel;
  readonly keys?: boolean;
  readonly print?: string;
  readonly annotate?: boolean;
  readonly down?: boolean;
  readonly output: OutputFormat;
}

const run = async (flags: MeshFlags): Promise<void> => {
  if (flags.keys === true) return await showKey(flags);
  if (flags.file === undefined)
    throw new AdminError(
      'ERR_ADMIN_USAGE',
      'Which mesh? Give --file mesh.yaml, or --keys for the key of this machine.',
    );
  const { readMeshFile } = await import('../agent/mesh-file/mesh-keeper.ts');
  if (flags.print !== undefined) return await showNode(await readMeshFile(flags.file), flags.print, flags);
  if (flags.annotate === true) return await showAnnotations(await readMeshFile(flags.file), flags);
  if (process.getuid?.() !== 0)
    throw new Error('It makes an interface and routes, which takes root: run it with sudo.');
  await keep(flags.file, flags);
};

/** Makes the key when there is none: the line for the file is what the others need. */
const showKey = async ({ hostname: name, stateDirectory, output }: MeshFlags): Promise<void> => {
  const { loadNodeKey } = await import('../agent/key-file.ts');
  const { privateKey, publicKey } = loadNodeKey(stateDirectory);
  privateKey.fill(0);
  if (output === 'json') printJson({ name, key: publicKey });
  else print(`  - name: ${name}\n    key: ${publicKey}`);
};

const viewOf = async (file: MeshFile, name: string) => {
  const { fileNodes } = await import('../agent/mesh-file/file-nodes.ts');
  const { snapshotOf } = await import('../admin/cluster-snapshot.ts');
  const { meshOf, topologyFrom } = await import('../admin/mesh.ts');
  const now = Math.floor(Date.now() / 1000);
  const snapshot = snapshotOf({ nodes: fileNodes(file), peers: [], now, topologyLabel: '' });
  const mesh = await meshOf(snapshot, { granularity: file.granularity });
  return topologyFrom({ ...mesh, subnet: file.subnet }, name);
};

const showNode = async (file: MeshFile, name: string, { output }: MeshFlags): Promise<void> => {
  const { formatCidr } = await import('../noise/ip.ts');
  const { peersOfNode, showNode: configOf } = await import('../routing/peer-config.ts');
  const topology = await viewOf(file, name);
  for (const { message } of topology.problems) remark(`kilowire: ${message}`);
  const address = topology.wireguardCIDR === null ? null : formatCidr(topology.wireguardCIDR);
  if (output === 'json') {
    const { shownPeer } = await import('../routing/show-json.ts');
    return printJson({
      name,
      address,
      listenPort: file.port,
      peers: (peersOfNode(topology) ?? []).map(shownPeer),
    });
  }
  const config = configOf(topology, file.port);
  if (config === null) return remark(`kilowire: "${name}" does not lead its location, so it has no tunnel.`);
  print(config.replace('[Interface]\n', `[Interface]\n# Address = ${address}\n`));
};

/** What an administrator gives the Nodes, so that they are the same without the file. */
const showAnnotations = async (file: MeshFile, { output }: MeshFlags): Promise<void> => {
  const { fileNodes } = await import('../agent/mesh-file/file-nodes.ts');
  const { ALLOWED_LOCATION_IPS, FORCE_ENDPOINT, FORCE_INTERNAL_IP, LEADER, LOCATION, PERSISTENT_KEEPALIVE } =
    await import('../agent/annotations.ts');
  const lasting = [
    LOCATION,
    FORCE_ENDPOINT,
    FORCE_INTERNAL_IP,
    PERSISTENT_KEEPALIVE,
    LEADER,
    ALLOWED_LOCATION_IPS,
  ];
  const nodes = fileNodes(file).map(({ metadata: { name, annotations = {} } }) => ({
    name,
    annotations: Object.fromEntries(
      lasting.flatMap((key) => (annotations[key] ? [[key, annotations[key]]] : [])),
    ),
  }));
  if (output === 'json') return printJson({ nodes });
  for (const { name, annotations } of nodes)
    print(
      `kubectl annotate node ${name} ${Object.entries(annotations)
        .map(([key, value]) => `${key}=${value}`)
        .join(' ')}`,
    );
};

const keep = async (path: string, flags: MeshFlags): Promise<void> => {
  const { dropMesh, keepMesh } = await import('../agent/mesh-file/mesh-keeper.ts');
  const { Log } = await import('../agent/log.ts');
  const { version } = await import('./version.ts');
  const options = {
    path,
    hostname: flags.hostname,
    stateDirectory: flags.stateDirectory,
    device: flags.device,
    createInterface: flags.createInterface ?? true,
    log: new Log(flags.logLevel, (line) => process.stdout.write(line)),
    version: version(),
    environment: process.env,
  };
  if (flags.down === true) return await dropMesh(options);
  const end = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => end.abort());
  process.stdout.on('error', () => {}); // nobody reads the log any more
  await keepMesh(options, end.signal);
};

const truth = (text: string): boolean => !/^(?:0|f|false)$/i.test(text);

export const meshCommand = (): Command =>
  new Command('mesh')
    .description('a mesh of plain machines by a file, without an API server (Linux, root)')
    .option('--file <file>', 'who takes part: docs/mesh-file.md')
    .option('--hostname <name>', 'which node of the file this machine is', hostname())
    .option('--keys', 'print the public key of this machine as a line for the file; made when there is none')
    .option('--print <node>', 'print the WireGuard configuration that a node has by the file')
    .option('--annotate', 'print the commands that give the Nodes of a cluster the same facts')
    .option('--down', 'take interface, routes and rules off this machine')
    .option('--state-directory <directory>', "where the machine's key is; the agent's own", '/var/lib/kilo')
    .addOption(
      new Option('--device <who>', 'makes the missing interface')
        .choices(['userspace', 'kernel', 'auto'])
        .default('userspace'),
    )
    .addOption(
      new Option('--create-interface [bool]', 'make it when it is missing').argParser(truth).default(true),
    )
    .addOption(
      new Option('--log-level <level>', 'of the log on standard output')
        .choices(['all', 'debug', 'info', 'warn', 'error', 'none'])
        .default('info'),
    )
    .addOption(outputOption())
    .allowExcessArguments(false)
    .addHelpText(
      'after',
      `
It follows changes of the file, and leaves everything as it is when it ends: an agent of a cluster goes on from there
(kilowire agent --mesh-file) without a lost packet. Exit status: 0 at its end, 1 when it failed.

Examples:
  kilowire mesh --keys
  sudo kilowire mesh --file /etc/kilowire/mesh.yaml
  kilowire mesh --file mesh.yaml --print aws-1
  sudo kilowire mesh --file mesh.yaml --down`,
    )
    .action(run);
