/**
 * Addresses that rest for a while after they were given back, so that what still comes for the last holder finds
 * nobody instead of a stranger.
 *
 *     <dataDir>/<network>/.rest-10.42.0.5     empty; its time of change is when the address was given back
 *
 * host-local passes over names that begin with a dot: what rests for us is free for it.
 * @module
 */
import { closeSync, openSync, statSync } from '#sys';
import { errorCode, removeFile } from '../files.ts';

const path = (directory: string, address: string): string => `${directory}/.rest-${address}`;

export function rest(directory: string, address: string): void {
  closeSync(openSync(path(directory, address), 'w', 0o600));
}

/** Until `seconds` are over; a time that lies in the future is a clock set back, and counts for nothing. */
export function isResting(directory: string, address: string, seconds: number): boolean {
  try {
    const age = Date.now() - statSync(path(directory, address)).mtimeMs;
    if (age >= 0 && age < seconds * 1000) return true;
    removeFile(path(directory, address));
    return false;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}
