/**
 * The folder of network configurations as runtimes read it: sorted by name, the first one wins.
 * Source: go-cni (containerd) loads `.conf`, `.conflist` and `.json`, and takes the first.
 * @module
 */
import { readdirSync, readFileSync } from 'node:fs';
import { errorCode } from '../files.ts';
import { JsonObject } from '../json-object.ts';
import { parseNetworkConfig } from '../network-config.ts';
import { newestVersion, type Request } from '../request.ts';

export const pluginType = 'kilowire';

export interface ConfFile {
  readonly path: string;
  readonly file: string;
  /** '' when it cannot be read as a configuration. */
  readonly network: string;
  /** Types of its plugins, in order. */
  readonly types: readonly string[];
  /** Our part of it, if it has one. */
  readonly plugin: JsonObject | undefined;
  /** The same as it was written. */
  readonly raw: object;
  readonly problem: string;
}

export function readConfFolder(directory: string): readonly ConfFile[] {
  let names: readonly string[];
  try {
    names = readdirSync(directory);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
  return names
    .filter((name) => /\.(conf|conflist|json)$/.test(name))
    .sort()
    .map((name) => readConfFile(directory, name));
}

export function readConfFile(directory: string, file: string): ConfFile {
  const path = `${directory}/${file}`;
  const nothing = { path, file, network: '', types: [], plugin: undefined, raw: {} };
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      return { ...nothing, problem: 'it is not a JSON object' };
    const object = new JsonObject(value, '');
    const plugins = object.has('plugins') ? object.objects('plugins') : [object];
    const ours = plugins.findIndex((plugin) => plugin.string('type') === pluginType);
    const written = object.has('plugins') ? object.list('plugins')[ours] : value;
    return {
      path,
      file,
      network: object.string('name'),
      types: plugins.map((plugin) => plugin.string('type')),
      plugin: plugins[ours],
      raw: typeof written === 'object' && written !== null ? written : {},
      problem: '',
    };
  } catch (error) {
    return { ...nothing, problem: (error as Error).message };
  }
}

/** The request the runtime would make for this plugin, without a container. */
export function requestFor(network: string, plugin: JsonObject): Request {
  return {
    verb: 'STATUS',
    containerId: '',
    netns: '',
    ifname: '',
    args: new Map(),
    path: [],
    cniVersion: newestVersion,
    network,
    config: plugin,
    stdin: '',
  };
}

/** Why our own parser refuses it; '' when it does not. */
export function problemOf(network: string, plugin: JsonObject): string {
  try {
    parseNetworkConfig(requestFor(network, plugin), {});
    return '';
  } catch (error) {
    return (error as Error).message;
  }
}
