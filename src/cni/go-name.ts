/**
 * Called under the name of one of Go's plugins, an error has the code which that plugin gives it. Go's plugins give
 * almost everything one code; only what their skeleton finds has another. The sentence stays ours.
 * Source: containernetworking/cni pkg/skel (typed errors; everything else is ErrInternal).
 * @module
 */
import { asCniError, type CniError, type CniErrorCode, ForeignCniError } from './cni-error.ts';

const goNames = ['bridge', 'portmap', 'bandwidth', 'loopback'];
const internal = 999;

/** What the specification means for the runtime, and Go's plugins have no case for. */
const kept: readonly CniErrorCode[] = [
  'ERR_CNI_UNSUPPORTED_FIELD',
  'ERR_CNI_OWN_NETNS',
  'ERR_CNI_TRY_AGAIN',
  'ERR_CNI_NOT_AVAILABLE',
];

/** `error` of a plugin's own, not of its skeleton. */
export function errorUnderName(name: string, error: unknown): CniError {
  const own = asCniError(error);
  if (!goNames.includes(name) || kept.includes(own.code) || own instanceof ForeignCniError) return own;
  return new ForeignCniError(internal, own.message, own.details);
}
