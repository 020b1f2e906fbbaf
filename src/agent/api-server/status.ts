/**
 * How the API says no.
 * Source: Kubernetes API conventions, "Response Status Kind"; reasons and codes as a kube-apiserver 1.35 gives them.
 * @module
 */

export interface StatusOptions {
  readonly details?: Readonly<Record<string, unknown>>;
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly retryAfterSeconds?: number;
}

/** Thrown by whatever answers a request; becomes a Status object. */
export class ApiStatus extends Error {
  override readonly name = 'ApiStatus';
  readonly code: number;
  readonly reason: string;
  readonly options: StatusOptions;

  constructor(code: number, reason: string, message: string, options: StatusOptions = {}) {
    super(message);
    this.code = code;
    this.reason = reason;
    this.options = options;
  }

  get body(): Readonly<Record<string, unknown>> {
    const { details, metadata, retryAfterSeconds } = this.options;
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: metadata ?? {},
      status: 'Failure',
      message: this.message,
      reason: this.reason,
      ...(details === undefined && retryAfterSeconds === undefined
        ? {}
        : { details: { ...details, ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }) } }),
      code: this.code,
    };
  }
}

export const notFound = (resource: string, name: string): ApiStatus =>
  new ApiStatus(404, 'NotFound', `${resource} "${name}" not found`, { details: { name, kind: resource } });

export const badRequest = (message: string): ApiStatus => new ApiStatus(400, 'BadRequest', message);

export const invalid = (resource: string, name: string, message: string): ApiStatus =>
  new ApiStatus(422, 'Invalid', `${resource} "${name}" is invalid: ${message}`, {
    details: { name, kind: resource },
  });

export const unsupportedMediaType = (given: string, accepted: readonly string[]): ApiStatus =>
  new ApiStatus(
    415,
    'UnsupportedMediaType',
    `the body of the request was in an unknown format (${given}) - accepted media types include: ${accepted.join(', ')}`,
  );

export const expired = (version: number, metadata: Readonly<Record<string, unknown>> = {}): ApiStatus =>
  new ApiStatus(410, 'Expired', `The resourceVersion ${version} is too old.`, { metadata });

export const conflict = (resource: string, name: string): ApiStatus =>
  new ApiStatus(
    409,
    'Conflict',
    `Operation cannot be fulfilled on ${resource} "${name}": the object has been modified; please apply your changes to the latest version and try again`,
    { details: { name, kind: resource } },
  );
