/**
 * The networks of this machine that are ours: from the conflists, and from the records that are left of others.
 * @module
 */
import { readdirSync } from 'node:fs';
import { errorCode } from '../files.ts';
import { JsonObject } from '../json-object.ts';
import {
  type NetworkConfig,
  parseNetworkConfig,
  parseStatePaths,
  type StatePaths,
} from '../network-config.ts';
import { RecordStore } from '../record.ts';
import type { Environment } from '../request.ts';
import { AdminError } from './admin-error.ts';
import { readConfFolder, requestFor } from './conf-folder.ts';

export interface Network {
  readonly name: string;
  readonly paths: StatePaths;
  readonly records: RecordStore;
  /** undefined when no readable conflist tells of it. */
  readonly config: NetworkConfig | undefined;
}

export interface NetworkOptions {
  readonly confDir: string;
  /** Only this one. */
  readonly network?: string | undefined;
  readonly stateDir?: string | undefined;
  readonly dataDir?: string | undefined;
  readonly env?: Environment;
}

export function findNetworks(options: NetworkOptions): readonly Network[] {
  const env = options.env ?? {};
  const networks = new Map<string, Network>();
  for (const { network: name, plugin } of readConfFolder(options.confDir)) {
    if (plugin === undefined || name === '' || networks.has(name)) continue;
    networks.set(name, describe(name, plugin, options, env));
  }
  // What is left of a network whose conflist has gone.
  const { stateDir } = parseStatePaths(requestFor('any', given(options)), env);
  for (const name of folders(stateDir))
    if (!networks.has(name)) networks.set(name, describe(name, given(options), options, env));
  if (options.network === undefined) return [...networks.values()];
  const one = networks.get(options.network);
  if (one === undefined)
    throw new AdminError(
      'ERR_CNI_ADMIN_MISSING',
      `No network "${options.network}" is in ${options.confDir} or ${stateDir}; ${
        networks.size === 0 ? 'there is none' : `there are: ${[...networks.keys()].join(', ')}`
      }.`,
    );
  return [one];
}

function describe(name: string, plugin: JsonObject, options: NetworkOptions, env: Environment): Network {
  const told = parseStatePaths(requestFor(name, plugin), env);
  const paths = {
    stateDir: options.stateDir ?? told.stateDir,
    leases: options.dataDir === undefined ? told.leases : `${options.dataDir}/${name}`,
  };
  return { name, paths, records: new RecordStore(paths, name), config: tryParse(name, plugin, env) };
}

function tryParse(name: string, plugin: JsonObject, env: Environment): NetworkConfig | undefined {
  if (!plugin.has('type')) return undefined;
  try {
    return parseNetworkConfig(requestFor(name, plugin), env);
  } catch {
    return undefined;
  }
}

const given = ({ stateDir, dataDir }: NetworkOptions): JsonObject =>
  new JsonObject(
    {
      ...(stateDir === undefined ? {} : { stateDir }),
      ...(dataDir === undefined ? {} : { ipam: { dataDir } }),
    },
    '',
  );

function folders(path: string): readonly string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
      .map(({ name }) => name)
      .sort();
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}
