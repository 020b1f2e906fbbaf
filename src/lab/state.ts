/**
 * The record of a running lab, /run/kilowire-lab/state.json, so that check, status and down work from another process and
 * a killed run can be cleaned up after. It is written before what it names is made, and it holds no secret: a node's
 * private key is in its agent's own file (0600), the laptop's in its device only.
 * @module
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LabError } from './lab-error.ts';
import type { LabOptions } from './plan.ts';
import { identify, isAlive, type ProcessIdentity } from './processes.ts';

export const RUN_DIRECTORY = '/run/kilowire-lab';
const STATE_VERSION = 1;

export interface LabProcess extends ProcessIdentity {
  readonly role: 'device' | 'agent' | 'daemon';
  /** The node or client it serves; the daemon serves all. */
  readonly of: string;
}

export interface LabState {
  readonly version: typeof STATE_VERSION;
  readonly options: LabOptions;
  /** `building` until every step is done, then `up`. */
  phase: 'building' | 'up';
  /** The process that will take it down itself; null once `lab up` has left it running. */
  owner: ProcessIdentity | null;
  readonly namespaces: string[];
  readonly processes: LabProcess[];
  /** Directories that were made because they did not exist, removed again when empty. */
  readonly directories: string[];
  /** By node or client name. */
  readonly publicKeys: Record<string, string>;
  /** By node name; only leaders of a segment have one. */
  readonly wireguardIPs: Record<string, string>;
  /** By pod name. */
  readonly podIPs: Record<string, string>;
}

export type Found =
  | { readonly kind: 'none' }
  /** Somebody is building it, or runs `kilowire lab`. */
  | { readonly kind: 'owned'; readonly owner: ProcessIdentity; readonly state: LabState }
  | { readonly kind: 'up'; readonly state: LabState }
  /** Its maker is gone and did not clean up, or the file cannot be read. */
  | { readonly kind: 'abandoned'; readonly state: LabState | null };

const isProcess = (value: unknown): value is ProcessIdentity =>
  typeof value === 'object' &&
  value !== null &&
  Number.isInteger((value as ProcessIdentity).pid) &&
  (value as ProcessIdentity).pid > 1 &&
  Number.isFinite((value as ProcessIdentity).startTime);

const isTextMap = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  Object.values(value).every((item) => typeof item === 'string');

const isTextList = (value: unknown): boolean =>
  Array.isArray(value) && value.every((item) => typeof item === 'string');

/** Reads a state out of text; null when it is not one. */
export function parseState(text: string): LabState | null {
  let value: Partial<LabState> | null;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null || value.version !== STATE_VERSION) return null;
  const { options, phase, owner, namespaces, processes, directories, publicKeys, wireguardIPs, podIPs } =
    value;
  if (options?.nodesPerCloud !== 1 && options?.nodesPerCloud !== 2) return null;
  if (options.granularity !== 'full' && options.granularity !== 'location') return null;
  if (phase !== 'building' && phase !== 'up') return null;
  if (owner !== null && !isProcess(owner)) return null;
  if (!isTextList(namespaces) || !isTextList(directories)) return null;
  if (!Array.isArray(processes) || !processes.every(isProcess)) return null;
  if (![publicKeys, wireguardIPs, podIPs].every(isTextMap)) return null;
  return value as LabState;
}

export class StateFile {
  readonly directory: string;
  readonly #path: string;

  constructor(directory: string = RUN_DIRECTORY) {
    this.directory = directory;
    this.#path = join(directory, 'state.json');
  }

  /** What is recorded, judged by whether its owner lives. */
  find(): Found {
    let text: string;
    try {
      text = readFileSync(this.#path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { kind: 'none' };
      throw new LabError(
        'ERR_LAB_STATE',
        `The lab's record ${this.#path} cannot be read: run this as root.`,
        {
          cause: error,
        },
      );
    }
    const state = parseState(text);
    if (state === null) return { kind: 'abandoned', state };
    if (state.owner !== null)
      return isAlive(state.owner)
        ? { kind: 'owned', owner: state.owner, state }
        : { kind: 'abandoned', state };
    return state.phase === 'up' ? { kind: 'up', state } : { kind: 'abandoned', state };
  }

  /** Takes the lab for this process; of two that try at once, one gets it. */
  claim(options: LabOptions): LabState {
    mkdirSync(this.directory, { recursive: true, mode: 0o700 });
    const state: LabState = {
      version: STATE_VERSION,
      options,
      phase: 'building',
      owner: identify(process.pid),
      namespaces: [],
      processes: [],
      directories: [],
      publicKeys: {},
      wireguardIPs: {},
      podIPs: {},
    };
    try {
      writeFileSync(this.#path, JSON.stringify(state), { mode: 0o600, flag: 'wx' });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      throw new LabError('ERR_LAB_BUSY', 'Another process has just begun a lab: wait for it to end.', {
        cause: error,
      });
    }
    return state;
  }

  save(state: LabState): void {
    const next = `${this.#path}.${process.pid}`;
    writeFileSync(next, JSON.stringify(state), { mode: 0o600 });
    renameSync(next, this.#path);
  }

  /** Removes the record and the whole run directory: the last act of taking a lab down. */
  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}
