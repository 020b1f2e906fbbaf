/**
 * Where the API is and how to prove who we are, read from the pod's own service account.
 * Source: Kubernetes "Accessing the API from a Pod": environment, token, CA; the token is a symbolic link that the kubelet
 * turns round about every hour, so it is read by path again.
 * @module
 */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { KubernetesError } from './kubernetes-error.ts';

export interface ClientCertificate {
  /** PEM. */
  readonly certificate: string | Buffer;
  readonly key: string | Buffer;
}

export interface Credentials {
  /** The value of the Authorization header; a secret. */
  readonly authorization?: string;
  readonly clientCertificate?: ClientCertificate;
}

/** Everything a client needs to know of a cluster. */
export interface ClusterAccess {
  readonly server: URL;
  /** PEM; the system's authorities without it. */
  readonly authority?: string | Buffer;
  readonly insecure?: boolean;
  /** The name the server's certificate is held against. */
  readonly serverName?: string;
  /** Asked before each request, so it answers from memory when it can. `renew`: the API refused what it gave. */
  readonly credentials: (renew: boolean) => Promise<Credentials>;
}

export const SERVICE_ACCOUNT_DIRECTORY = '/var/run/secrets/kubernetes.io/serviceaccount';

export const isInCluster = (environment: NodeJS.ProcessEnv): boolean =>
  Boolean(environment.KUBERNETES_SERVICE_HOST) && Boolean(environment.KUBERNETES_SERVICE_PORT);

export const inClusterAccess = (
  environment: NodeJS.ProcessEnv,
  directory = SERVICE_ACCOUNT_DIRECTORY,
): ClusterAccess => {
  const { KUBERNETES_SERVICE_HOST: host = '', KUBERNETES_SERVICE_PORT: port = '' } = environment;
  if (host === '' || port === '') {
    throw new KubernetesError(
      'ERR_KUBERNETES_CONFIG',
      'There is no configuration for the Kubernetes API: this is not a pod (KUBERNETES_SERVICE_HOST is not set), so give --kubeconfig or --master.',
    );
  }
  const token = new TokenFile(join(directory, 'token'));
  token.read(true); // a missing token is told at the start, not at the first request
  return {
    server: new URL(`https://${host.includes(':') ? `[${host}]` : host}:${port}`),
    authority: readPart(join(directory, 'ca.crt'), "the API's certificate authority"),
    credentials: async (renew) => ({ authorization: `Bearer ${token.read(renew)}` }),
  };
};

/** A file's text, or a sentence about why not. */
export const readPart = (path: string, what: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new KubernetesError('ERR_KUBERNETES_CONFIG', `Cannot read ${what} from ${path}.`, { cause });
  }
};

/** A token that others replace: read again when the file behind the path is another one. */
export class TokenFile {
  readonly #path: string;
  #token = '';
  #version = '';

  constructor(path: string) {
    this.#path = path;
  }

  read(renew: boolean): string {
    let version: string;
    try {
      const { ino, mtimeMs, size } = statSync(this.#path);
      version = `${ino} ${mtimeMs} ${size}`;
    } catch (cause) {
      throw this.#failure(cause);
    }
    if (!renew && version === this.#version) return this.#token;
    try {
      this.#token = readFileSync(this.#path, 'utf8').trim();
    } catch (cause) {
      throw this.#failure(cause);
    }
    this.#version = version;
    return this.#token;
  }

  #failure(cause: unknown): KubernetesError {
    return new KubernetesError(
      'ERR_KUBERNETES_CREDENTIAL',
      `Cannot read the token for the Kubernetes API from ${this.#path}.`,
      { cause },
    );
  }
}
