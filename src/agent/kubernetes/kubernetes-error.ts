/**
 * What can go wrong between us and the Kubernetes API, with a stable code and a sentence for the person in charge.
 * Source: Kubernetes API conventions, "Response Status Kind" (reason, code, details.retryAfterSeconds).
 * @module
 */

export type KubernetesErrorCode =
  | 'ERR_KUBERNETES_CONFIG'
  | 'ERR_KUBERNETES_CREDENTIAL'
  | 'ERR_KUBERNETES_UNREACHABLE'
  | 'ERR_KUBERNETES_TIMEOUT'
  | 'ERR_KUBERNETES_SILENT'
  | 'ERR_KUBERNETES_PROTOCOL'
  | 'ERR_KUBERNETES_UNAUTHORIZED'
  | 'ERR_KUBERNETES_FORBIDDEN'
  | 'ERR_KUBERNETES_NOT_FOUND'
  | 'ERR_KUBERNETES_CONFLICT'
  | 'ERR_KUBERNETES_EXPIRED'
  | 'ERR_KUBERNETES_BUSY'
  | 'ERR_KUBERNETES_REFUSED';

export interface KubernetesErrorOptions extends ErrorOptions {
  /** HTTP status, or the code of a Status object. */
  readonly status?: number;
  /** The API's own word, such as AlreadyExists. */
  readonly reason?: string;
  /** And its own sentence. */
  readonly said?: string;
  readonly retryAfterMs?: number;
}

export class KubernetesError extends Error {
  override readonly name = 'KubernetesError';
  readonly code: KubernetesErrorCode;
  readonly status: number | undefined;
  readonly reason: string | undefined;
  readonly said: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(code: KubernetesErrorCode, message: string, options: KubernetesErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.status = options.status;
    this.reason = options.reason;
    this.said = options.said;
    this.retryAfterMs = options.retryAfterMs;
  }
}

export const isKubernetesError = (
  error: unknown,
  ...codes: readonly KubernetesErrorCode[]
): error is KubernetesError =>
  error instanceof KubernetesError && (codes.length === 0 || codes.includes(error.code));

/** What the API said no with: a Status object, or, where it knows no such path, plain text. */
export const refusal = (
  status: number,
  what: string,
  body: unknown,
  retryAfter: string | undefined,
): KubernetesError => {
  const told = statusOf(body);
  const reason = told.reason ?? '';
  const said = told.message ?? (typeof body === 'string' ? body.trim().slice(0, 200) : '');
  const seconds = Number(retryAfter ?? Number.NaN);
  const options = {
    status,
    ...(reason === '' ? {} : { reason }),
    ...(said === '' ? {} : { said }),
    ...(Number.isFinite(seconds) ? { retryAfterMs: seconds * 1000 } : {}),
  };
  const sentence = (advice: string): string =>
    `The API answered ${status} to ${what}${said === '' ? '' : `: ${said}`}.${advice}`;
  const code = codeOf(status, reason);
  return new KubernetesError(code, sentence(ADVICE[code] ?? ''), options);
};

const codeOf = (status: number, reason: string): KubernetesErrorCode => {
  if (status === 410 || reason === 'Expired' || reason === 'Gone') return 'ERR_KUBERNETES_EXPIRED';
  if (status === 401) return 'ERR_KUBERNETES_UNAUTHORIZED';
  if (status === 403) return 'ERR_KUBERNETES_FORBIDDEN';
  if (status === 404) return 'ERR_KUBERNETES_NOT_FOUND';
  if (status === 409) return 'ERR_KUBERNETES_CONFLICT';
  if (status === 429 || status >= 500) return 'ERR_KUBERNETES_BUSY';
  return 'ERR_KUBERNETES_REFUSED';
};

const ADVICE: Partial<Record<KubernetesErrorCode, string>> = {
  ERR_KUBERNETES_UNAUTHORIZED: ' Check the service account token or the credentials in the kubeconfig.',
  ERR_KUBERNETES_FORBIDDEN: ' Give this account the rights in the ClusterRole of the manifest.',
};

const statusOf = (body: unknown): { readonly message?: string; readonly reason?: string } => {
  if (typeof body !== 'object' || body === null) return {};
  const { message, reason } = body as Record<string, unknown>;
  return {
    ...(typeof message === 'string' ? { message } : {}),
    ...(typeof reason === 'string' ? { reason } : {}),
  };
};
