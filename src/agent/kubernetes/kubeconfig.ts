/**
 * A kubeconfig file: which cluster, and by which of its many ways to prove who we are.
 * Source: Kubernetes "Organizing Cluster Access Using kubeconfig Files", kubeconfig (v1) reference.
 * @module
 */
import { dirname, isAbsolute, join } from 'node:path';
import { array, boolean, type InferOutput, looseObject, nullish, optional, safeParse, string } from 'valibot';
import {
  type ClusterAccess,
  type Credentials,
  inClusterAccess,
  isInCluster,
  readPart,
  TokenFile,
} from './cluster-access.ts';
import { ExecCredential } from './exec-credential.ts';
import { KubernetesError } from './kubernetes-error.ts';

const Cluster = looseObject({
  server: optional(string()),
  'certificate-authority': optional(string()),
  'certificate-authority-data': optional(string()),
  'insecure-skip-tls-verify': optional(boolean()),
  'tls-server-name': optional(string()),
});
const User = looseObject({
  token: optional(string()),
  tokenFile: optional(string()),
  'client-certificate': optional(string()),
  'client-certificate-data': optional(string()),
  'client-key': optional(string()),
  'client-key-data': optional(string()),
  exec: optional(
    looseObject({
      apiVersion: optional(string()),
      command: string(),
      args: nullish(array(string())),
      env: nullish(array(looseObject({ name: string(), value: string() }))),
      provideClusterInfo: optional(boolean()),
    }),
  ),
});
const Context = looseObject({ cluster: optional(string()), user: optional(string()) });
const Kubeconfig = looseObject({
  'current-context': nullish(string()),
  clusters: nullish(array(looseObject({ name: optional(string()), cluster: optional(Cluster) }))),
  users: nullish(array(looseObject({ name: optional(string()), user: nullish(User) }))),
  contexts: nullish(array(looseObject({ name: optional(string()), context: optional(Context) }))),
});

export interface AccessOptions {
  /** --kubeconfig; '' means the pod's own account. */
  readonly kubeconfig?: string;
  /** --master: takes the place of the server in the file. */
  readonly master?: string;
  readonly context?: string;
  readonly environment: NodeJS.ProcessEnv;
  /** Told when the file names no cluster and the pod's own account is used, as client-go does. */
  readonly warn?: (message: string) => void;
}

/** How the flags say to reach the API. */
export const clusterAccess = async (options: AccessOptions): Promise<ClusterAccess> => {
  const { kubeconfig = '', master = '', environment } = options;
  if (kubeconfig !== '') return await fromFile(kubeconfig, options);
  if (master !== '') return { server: serverUrl(master, '--master'), credentials: async () => ({}) };
  return inClusterAccess(environment);
};

const fromFile = async (path: string, options: AccessOptions): Promise<ClusterAccess> => {
  const { parse } = await import('yaml');
  let document: unknown;
  try {
    document = parse(readPart(path, 'the kubeconfig'));
  } catch (cause) {
    if (cause instanceof KubernetesError) throw cause;
    throw wrong(path, 'it is not YAML', cause);
  }
  const result = safeParse(Kubeconfig, document ?? {});
  if (!result.success) {
    const [issue] = result.issues;
    const at = issue.path?.map(({ key }) => String(key)).join('.') ?? '';
    throw wrong(path, `${at === '' ? 'the document' : at} is not as it should be (${issue.message})`);
  }
  const file = result.output;
  const wanted = options.context ?? file['current-context'] ?? '';
  const context = file.contexts?.find(({ name }) => name === wanted)?.context;
  if (context === undefined && options.context !== undefined)
    throw wrong(path, `it has no context "${wanted}"`);
  const cluster = file.clusters?.find(({ name }) => name === (context?.cluster ?? ''))?.cluster;
  const server = options.master || cluster?.server || '';
  if (server === '') {
    // Kilo's manifests before 2026-07 shipped such a file, and lived by this fall-back.
    if (!isInCluster(options.environment))
      throw wrong(path, 'its current context names no cluster with a server');
    options.warn?.(`${path} names no cluster in its current context; the pod's own service account is used.`);
    return inClusterAccess(options.environment);
  }
  const user = file.users?.find(({ name }) => name === (context?.user ?? ''))?.user ?? {};
  const near = (part: string): string => (isAbsolute(part) ? part : join(dirname(path), part));
  const authority = partOf(
    cluster?.['certificate-authority-data'],
    cluster?.['certificate-authority'],
    near,
    'the certificate authority',
  );
  return {
    server: serverUrl(server, path),
    ...(authority === undefined ? {} : { authority }),
    ...(cluster?.['insecure-skip-tls-verify'] === true ? { insecure: true } : {}),
    ...(cluster?.['tls-server-name'] === undefined ? {} : { serverName: cluster['tls-server-name'] }),
    credentials: credentialsOf(user, near),
  };
};

const credentialsOf = (
  user: InferOutput<typeof User>,
  near: (path: string) => string,
): ClusterAccess['credentials'] => {
  const certificate = partOf(
    user['client-certificate-data'],
    user['client-certificate'],
    near,
    'the client certificate',
  );
  const key = partOf(user['client-key-data'], user['client-key'], near, "the client certificate's key");
  const fixed: Credentials =
    certificate === undefined || key === undefined ? {} : { clientCertificate: { certificate, key } };
  // client-go: a token in a file comes before one in the kubeconfig.
  if (user.tokenFile !== undefined) {
    const file = new TokenFile(near(user.tokenFile));
    return async (renew) => ({ ...fixed, authorization: `Bearer ${file.read(renew)}` });
  }
  if (user.token !== undefined) {
    const authorization = `Bearer ${user.token}`;
    return async () => ({ ...fixed, authorization });
  }
  if (user.exec !== undefined) {
    const { command, args, env, apiVersion } = user.exec;
    const credential = new ExecCredential({
      command: command.includes('/') ? near(command) : command,
      args: args ?? [],
      environment: Object.fromEntries((env ?? []).map(({ name, value }) => [name, value])),
      apiVersion: apiVersion ?? 'client.authentication.k8s.io/v1',
    });
    return async (renew) => ({ ...fixed, ...(await credential.get(renew)) });
  }
  return async () => fixed;
};

/** Data in the file goes before a path. */
const partOf = (
  data: string | undefined,
  path: string | undefined,
  near: (path: string) => string,
  what: string,
): string | Buffer | undefined => {
  if (data !== undefined && data !== '') return Buffer.from(data, 'base64');
  return path === undefined || path === '' ? undefined : readPart(near(path), what);
};

const serverUrl = (text: string, where: string): URL => {
  const url = URL.parse(text.includes('://') ? text : `http://${text}`);
  if (url !== null && (url.protocol === 'https:' || url.protocol === 'http:')) return url;
  throw new KubernetesError(
    'ERR_KUBERNETES_CONFIG',
    `"${text}" (${where}) is not the address of an API server.`,
  );
};

const wrong = (path: string, what: string, cause?: unknown): KubernetesError =>
  new KubernetesError(
    'ERR_KUBERNETES_CONFIG',
    `The kubeconfig ${path} cannot be used: ${what}.`,
    cause === undefined ? {} : { cause },
  );
