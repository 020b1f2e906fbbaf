/**
 * Credentials that a program prints, as clouds hand them out.
 * Source: Kubernetes "client-go credential plugins", ExecCredential (client.authentication.k8s.io/v1).
 * @module
 */
import { execFile } from 'node:child_process';
import type { Credentials } from './cluster-access.ts';
import { KubernetesError } from './kubernetes-error.ts';

const PATIENCE_MS = 30_000;
/** Fetched anew this long before they end. */
const MARGIN_MS = 10_000;

export interface ExecCredentialOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly apiVersion: string;
  /** Unix milliseconds. */
  readonly now?: () => number;
}

export class ExecCredential {
  readonly #options: ExecCredentialOptions;
  readonly #now: () => number;
  #current: Credentials | undefined;
  #ends = Number.POSITIVE_INFINITY;
  #running: Promise<Credentials> | undefined;

  constructor(options: ExecCredentialOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  async get(renew: boolean): Promise<Credentials> {
    if (this.#current !== undefined && !renew && this.#now() < this.#ends - MARGIN_MS) return this.#current;
    // Many requests may ask at once; the program runs once.
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    return await this.#running;
  }

  async #run(): Promise<Credentials> {
    const { command, apiVersion } = this.#options;
    const status = statusOf(await this.#output(), apiVersion);
    if (status === null) {
      throw new KubernetesError(
        'ERR_KUBERNETES_CREDENTIAL',
        `The credential plugin ${command} did not print an ExecCredential of ${apiVersion} with a token or a certificate.`,
      );
    }
    this.#current = status.credentials;
    this.#ends = status.ends;
    return status.credentials;
  }

  #output(): Promise<string> {
    const { command, args, environment, apiVersion } = this.#options;
    const info = JSON.stringify({ apiVersion, kind: 'ExecCredential', spec: { interactive: false } });
    return new Promise((resolve, reject) => {
      const child = execFile(
        command,
        [...args],
        {
          env: { ...process.env, ...environment, KUBERNETES_EXEC_INFO: info },
          timeout: PATIENCE_MS,
          maxBuffer: 1 << 20,
        },
        (cause, stdout, stderr) => {
          if (cause === null) resolve(stdout);
          else reject(failure(command, stderr.trim().split('\n').at(-1) ?? '', cause));
        },
      );
      child.stdin?.end();
    });
  }
}

const failure = (command: string, said: string, cause: unknown): KubernetesError => {
  // The cause of execFile carries the arguments, which may hold secrets: only its reason goes on.
  const { code, signal } = cause as { code?: unknown; signal?: unknown };
  return new KubernetesError(
    'ERR_KUBERNETES_CREDENTIAL',
    `The credential plugin ${command} failed (${String(signal ?? code)})${said === '' ? '' : `: ${said}`}.`,
  );
};

const statusOf = (
  text: string,
  apiVersion: string,
): { readonly credentials: Credentials; readonly ends: number } | null => {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return null; // told by the caller, without the text: it may hold a secret
  }
  const document = parsed as {
    apiVersion?: unknown;
    kind?: unknown;
    status?: Record<string, unknown>;
  } | null;
  if (document?.kind !== 'ExecCredential' || document.apiVersion !== apiVersion) return null;
  const { token, clientCertificateData: certificate, clientKeyData: key } = document.status ?? {};
  const credentials: Credentials = {
    ...(typeof token === 'string' ? { authorization: `Bearer ${token}` } : {}),
    ...(typeof certificate === 'string' && typeof key === 'string'
      ? { clientCertificate: { certificate, key } }
      : {}),
  };
  if (Object.keys(credentials).length === 0) return null;
  const ends = Date.parse(String(document.status?.expirationTimestamp ?? ''));
  return { credentials, ends: Number.isNaN(ends) ? Number.POSITIVE_INFINITY : ends };
};
