/**
 * The error names node:fs and the system call seam carry.
 * @module
 */

/** 'ENOENT', 'EEXIST', … of a failed file or system call; '' for any other error. */
export function errorCode(error: unknown): string {
  if (!(error instanceof Error)) return '';
  if ('errnoName' in error && typeof error.errnoName === 'string') return error.errnoName;
  return 'code' in error && typeof error.code === 'string' ? error.code : '';
}
