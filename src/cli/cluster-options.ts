/**
 * The flags that say which cluster: kgctl's names and kubectl's ways, before or after the command's name.
 * Source: `kgctl --help`; kubectl's --kubeconfig, --context, $KUBECONFIG.
 * @module
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { ClusterSnapshot } from '../admin/cluster-snapshot.ts';
import type { GranularityFlag, Mesh } from '../admin/mesh.ts';
import type { KubernetesClient } from '../agent/kubernetes/client.ts';
import type { ClusterAccess } from '../agent/kubernetes/cluster-access.ts';
import { kubeconfigPaths } from './kubeconfig-paths.ts';
import { remark } from './output.ts';
import { version } from './version.ts';

export interface ClusterFlags {
  readonly backend: 'kubernetes';
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly master?: string;
  readonly meshGranularity: GranularityFlag;
  readonly topologyLabel: string;
}

const GRANULARITIES: readonly GranularityFlag[] = ['location', 'full', 'cross', 'auto'];

export const granularity = (text: string): GranularityFlag => {
  const found = GRANULARITIES.find((word) => word === text);
  if (found !== undefined) return found;
  throw new InvalidArgumentError(
    `mesh granularity ${text} unknown; possible values are: ${GRANULARITIES.join(', ')}.`,
  );
};

const backend = (text: string): string => {
  if (text === 'kubernetes') return text;
  throw new InvalidArgumentError(`backend ${text} unknown; possible values are: kubernetes.`);
};

export const portNumber = (text: string): number => {
  const port = /^\d{1,9}$/.test(text) ? Number(text) : -1;
  if (port >= 1 && port <= 0xffff) return port;
  throw new InvalidArgumentError(`invalid port: port must be in range [1:65535], but got ${text}.`);
};

export const portOption = (): Option =>
  new Option('--port <port>', 'UDP port of WireGuard')
    .argParser(portNumber)
    .default(undefined, "the endpoint's, 51820");

const options = (): Option[] => [
  new Option('--backend <name>', 'where nodes and peers are kept: kubernetes')
    .argParser(backend)
    .default('kubernetes'),
  new Option('--kubeconfig <file>', "how to reach the API (default: $KUBECONFIG, ~/.kube/config, k3s' own)"),
  new Option('--context <name>', 'the context of the kubeconfig to use'),
  new Option('--master <url>', 'the API server, in place of the one in the kubeconfig'),
  new Option('--mesh-granularity <how>', 'location, full, cross, or auto: what the nodes say')
    .argParser(granularity)
    .default('auto'),
  new Option('--topology-label <label>', 'Node label that is the location').default(
    'topology.kubernetes.io/region',
  ),
];

export const withCluster = (command: Command): Command => {
  for (const option of options()) command.addOption(option);
  return command;
};

/** kgctl takes them before its command too; there they need not be shown. */
export const withPersistentFlags = (program: Command): Command => {
  for (const option of [...options(), portOption()]) program.addOption(option.hideHelp());
  return program;
};

/** Whether anything says where the API is. */
export const isToldOfCluster = (
  flags: Pick<ClusterFlags, 'kubeconfig' | 'master'>,
  environment: NodeJS.ProcessEnv,
): boolean =>
  flags.master !== undefined ||
  kubeconfigPaths(flags.kubeconfig, environment).length > 0 ||
  Boolean(environment.KUBERNETES_SERVICE_HOST);

export const openClient = async (flags: ClusterFlags): Promise<KubernetesClient> => {
  const { KubernetesClient } = await import('../agent/kubernetes/client.ts');
  return new KubernetesClient(await accessOf(flags), { userAgent: `kilowire/${version()}` });
};

/** Of several files the first that has what is asked for. */
const accessOf = async (flags: ClusterFlags): Promise<ClusterAccess> => {
  const { clusterAccess } = await import('../agent/kubernetes/kubeconfig.ts');
  const { kubeconfig, context, master = '' } = flags;
  const given = kubeconfig ?? (master === '' ? undefined : '');
  const paths = kubeconfigPaths(given, process.env);
  let first: unknown;
  for (const path of paths.length > 0 ? paths : ['']) {
    try {
      return await clusterAccess({
        kubeconfig: path,
        master,
        ...(context === undefined ? {} : { context }),
        environment: process.env,
        warn: remark,
      });
    } catch (error) {
      first ??= error;
    }
  }
  throw first;
};

/** Reads the cluster once. */
export const openSnapshot = (flags: ClusterFlags): Promise<ClusterSnapshot> =>
  withClient(flags, (client) => snapshotBy(client, flags));

/** And computes what its agents compute. */
export const openMesh = (flags: ClusterFlags): Promise<Mesh> =>
  withClient(flags, (client) => meshBy(client, flags));

/** The same, and something with it for which the API is asked again. */
export const withMesh = <Result>(
  flags: ClusterFlags,
  work: (mesh: Mesh, client: KubernetesClient) => Promise<Result>,
): Promise<Result> => withClient(flags, async (client) => await work(await meshBy(client, flags), client));

const withClient = async <Result>(
  flags: ClusterFlags,
  work: (client: KubernetesClient) => Promise<Result>,
): Promise<Result> => {
  const client = await openClient(flags);
  try {
    return await work(client);
  } finally {
    client.close();
  }
};

const snapshotBy = async (
  client: KubernetesClient,
  { topologyLabel }: ClusterFlags,
): Promise<ClusterSnapshot> => {
  const { readCluster } = await import('../admin/cluster-snapshot.ts');
  return await readCluster(client, topologyLabel);
};

const meshBy = async (client: KubernetesClient, flags: ClusterFlags): Promise<Mesh> => {
  const { meshOf } = await import('../admin/mesh.ts');
  return await meshOf(await snapshotBy(client, flags), { granularity: flags.meshGranularity });
};
