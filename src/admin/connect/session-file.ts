/**
 * What a connection made on this host and in the cluster, written down before it is made: whoever comes next can clean up
 * after one that was killed. No secrets: the private key is in the device only.
 * @module
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Session {
  readonly pid: number;
  /** Of the process, from /proc: a number may be given out again. */
  readonly started: string;
  readonly interface: string;
  /** The link was made by it. */
  readonly madeInterface: boolean;
  /** The Peer it made, known again by its key; null: it was there before. */
  readonly madePeer: { readonly name: string; readonly publicKey: string } | null;
}

const pathOf = (directory: string, interfaceName: string): string =>
  join(directory, `connect-${interfaceName}.json`);

/** Null when there is none, or none that can be read. */
export const readSession = (directory: string, interfaceName: string): Session | null => {
  try {
    const found: unknown = JSON.parse(readFileSync(pathOf(directory, interfaceName), 'utf8'));
    return isSession(found) ? found : null;
  } catch {
    return null;
  }
};

const isSession = (value: unknown): value is Session => {
  const { pid, started, interface: name } = (value ?? {}) as Partial<Record<keyof Session, unknown>>;
  return typeof pid === 'number' && typeof started === 'string' && typeof name === 'string';
};

/** Whole or not at all. */
export const writeSession = (directory: string, session: Session): void => {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const path = pathOf(directory, session.interface);
  writeFileSync(`${path}.draft`, `${JSON.stringify(session)}\n`, { mode: 0o600 });
  renameSync(`${path}.draft`, path);
};

export const removeSession = (directory: string, interfaceName: string): void =>
  rmSync(pathOf(directory, interfaceName), { force: true });

/** Field 22 of /proc/PID/stat (proc(5)); '' when there is no such process. */
export const startOf = (pid: number): string => {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name before it may hold anything, but nothing after the last parenthesis does.
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
};

export const isRunning = ({ pid, started }: Session): boolean => startOf(pid) === started;
