/**
 * The one kind of error a runtime ever sees.
 * Source: CNI specification 1.1.0, "Error": codes 0–99 belong to the specification, 100 and up to the plugin.
 * 8 is not in its table, but Go's plugin skeleton uses it for a wrong network namespace, so runtimes know it.
 * @module
 */
import { NetlinkError } from '../linux/netlink.ts';
import { SystemError } from '../linux/sys.ts';
import { errorCode } from './files.ts';

const numbers = {
  ERR_CNI_VERSION: 1,
  ERR_CNI_UNSUPPORTED_FIELD: 2,
  ERR_CNI_UNKNOWN_CONTAINER: 3,
  ERR_CNI_ENVIRONMENT: 4,
  ERR_CNI_IO: 5,
  ERR_CNI_DECODING: 6,
  ERR_CNI_CONFIG: 7,
  ERR_CNI_NETNS: 8,
  ERR_CNI_OWN_NETNS: 8,
  ERR_CNI_TRY_AGAIN: 11,
  ERR_CNI_NOT_AVAILABLE: 50,
  ERR_CNI_KERNEL: 100,
  ERR_CNI_ADDRESS: 101,
  ERR_CNI_ATTACHED: 102,
  ERR_CNI_CHECK: 103,
  ERR_CNI_PERMISSION: 104,
  ERR_CNI_PORT: 105,
  ERR_CNI_INTERNAL: 999,
} as const;

export type CniErrorCode = keyof typeof numbers;

export class CniError extends Error {
  readonly code: CniErrorCode;
  readonly details: string;

  constructor(code: CniErrorCode, message: string, options: { details?: string; cause?: unknown } = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : {});
    this.name = 'CniError';
    this.code = code;
    this.details = options.details ?? '';
  }

  /** The `code` of the error document. */
  get number(): number {
    return numbers[this.code];
  }
}

/** What a plugin we called refused, with the code it gave. */
export class ForeignCniError extends CniError {
  readonly #number: number;

  constructor(number: number, message: string, details: string) {
    super('ERR_CNI_INTERNAL', message, { details });
    this.#number = number;
  }

  override get number(): number {
    return this.#number;
  }
}

/** Gives any failure a CNI code; what already has one keeps it. */
export function asCniError(error: unknown): CniError {
  if (error instanceof CniError) return error;
  if (!(error instanceof Error)) return new CniError('ERR_CNI_INTERNAL', String(error));
  const name = errorCode(error);
  const fromKernel = error instanceof NetlinkError || error instanceof SystemError;
  if (name === 'EPERM' || name === 'EACCES')
    return new CniError(
      'ERR_CNI_PERMISSION',
      fromKernel ? error.message : `run it as root: ${error.message}`,
      {
        cause: error,
      },
    );
  if (fromKernel) return new CniError('ERR_CNI_KERNEL', error.message, { cause: error });
  if ('path' in error && typeof error.path === 'string' && error.path.startsWith('/proc/sys/'))
    return new CniError('ERR_CNI_KERNEL', `a setting of the kernel is out of reach: ${error.message}`, {
      cause: error,
    });
  // What is neither of the kernel's network nor ours comes from node:fs.
  if (name.startsWith('E') && 'syscall' in error)
    return new CniError('ERR_CNI_IO', `the attachment's records cannot be kept: ${error.message}`, {
      cause: error,
    });
  return new CniError('ERR_CNI_INTERNAL', error.message, { cause: error });
}

/** The error document of the specification; `cniVersion` is the one the caller speaks. */
export function errorDocument(error: CniError, cniVersion: string): string {
  return JSON.stringify({
    cniVersion,
    code: error.number,
    msg: error.message,
    ...(error.details === '' ? {} : { details: error.details }),
  });
}
