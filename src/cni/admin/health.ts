/**
 * Is the plugin installed, does the runtime use it, and does it work? What is wrong comes with what to do.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { listAddresses } from '../../linux/address.ts';
import { getLink, listLinks } from '../../linux/link.ts';
import { readSysctl } from '../../linux/namespaces.ts';
import { openRouteSocket } from '../../linux/rtnetlink.ts';
import { withNat } from '../attachment-nat.ts';
import type { NetworkConfig } from '../network-config.ts';
import { residents } from '../resident/place.ts';
import { type ConfFile, pluginType, problemOf, readConfFolder } from './conf-folder.ts';
import { listHolders } from './holder.ts';
import { executableNames, installedVersion } from './installation.ts';
import { findNetworks, type Network, type NetworkOptions } from './network.ts';

export interface Problem {
  readonly what: string;
  readonly remedy: string;
}

export interface BridgeState {
  readonly name: string;
  readonly exists: boolean;
  readonly up: boolean;
  readonly mtu: number;
  readonly addresses: readonly string[];
  readonly ports: number;
}

export interface NetworkState {
  readonly name: string;
  readonly conflist: string;
  readonly status: string;
  readonly attachments: { readonly alive: number; readonly dead: number; readonly unknown: number };
  readonly bridge: BridgeState | undefined;
  readonly masqueraded: readonly string[];
  readonly hostPorts: number;
}

export interface Health {
  readonly version: string;
  /** Version by path; '' is somebody else's. */
  readonly executables: readonly { readonly path: string; readonly version: string }[];
  readonly conflists: readonly {
    readonly file: string;
    readonly network: string;
    readonly types: readonly string[];
  }[];
  /** The file the runtime takes; '' when there is none. */
  readonly winner: string;
  readonly networks: readonly NetworkState[];
  /** Process ids of those that stay between calls, of any network namespace. */
  readonly residents: readonly number[];
  readonly problems: readonly Problem[];
}

export interface HealthOptions extends NetworkOptions {
  readonly binDir: string;
  readonly version: string;
}

export function examine(options: HealthOptions): Health {
  const problems: Problem[] = [];
  const executables = executableNames
    .map((name) => join(options.binDir, name))
    .filter((path) => existsSync(path))
    .map((path) => ({ path, version: installedVersion(path) }));
  problems.push(...executableProblems(options, executables));
  const conflists = readConfFolder(options.confDir);
  problems.push(...conflistProblems(options, conflists));
  const networks = findNetworks(options).map((network) => {
    const conflist = conflists.find((file) => file.plugin !== undefined && file.network === network.name);
    return networkState(options, network, conflist, problems);
  });
  return {
    version: options.version,
    executables,
    conflists: conflists.map(({ file, network, types }) => ({ file, network, types })),
    winner: conflists[0]?.file ?? '',
    networks,
    residents: residents(),
    problems,
  };
}

function executableProblems(
  { binDir, version }: HealthOptions,
  found: Health['executables'],
): readonly Problem[] {
  const path = join(binDir, pluginType);
  const own = found.find((executable) => executable.path === path);
  if (own === undefined) return [{ what: `${path} is missing`, remedy: 'run: kilowire cni install' }];
  if (own.version === '')
    return [{ what: `${path} is not ours, or does not run`, remedy: 'run: kilowire cni install --force' }];
  if (own.version !== version)
    return [
      { what: `${path} is version ${own.version}, this is ${version}`, remedy: 'run: kilowire cni install' },
    ];
  return [];
}

function conflistProblems({ confDir }: HealthOptions, files: readonly ConfFile[]): readonly Problem[] {
  const problems: Problem[] = files
    .filter(({ problem }) => problem !== '')
    .map(({ path, problem }) => ({
      what: `${path} cannot be read: ${problem}`,
      remedy: 'mend or remove it',
    }));
  const ours = files.filter(({ plugin }) => plugin !== undefined);
  for (const { path, network, plugin } of ours) {
    const problem = plugin === undefined ? '' : problemOf(network, plugin);
    if (problem !== '') problems.push({ what: `${path}: ${problem}`, remedy: 'correct that key' });
  }
  const [first] = files;
  const [own] = ours;
  if (own === undefined)
    problems.push({
      what: `no conflist in ${confDir} has the type "${pluginType}"`,
      remedy: 'run: kilowire cni install --subnet 10.42.0.0/24 (the pod subnet of this node)',
    });
  else if (first !== undefined && first !== own)
    problems.push({
      what: `the runtime takes ${first.file}, which sorts before ${own.file}`,
      remedy: `rename or remove ${first.path}`,
    });
  return problems;
}

function networkState(
  options: HealthOptions,
  network: Network,
  conflist: ConfFile | undefined,
  problems: Problem[],
): NetworkState {
  const holders = listHolders(network);
  const count = (life: string): number => holders.filter((holder) => holder.life === life).length;
  const attachments = { alive: count('alive'), dead: count('dead'), unknown: count('unknown') };
  if (attachments.dead > 0)
    problems.push({
      what: `network ${network.name} holds addresses of ${attachments.dead} dead attachments`,
      remedy: 'run: kilowire cni gc',
    });
  const { config } = network;
  const bridge = config === undefined ? undefined : bridgeState(config.bridge);
  if (config !== undefined && bridge !== undefined)
    problems.push(...bridgeProblems(config, bridge, attachments.alive));
  const nat = withNat(network.name, (table) => ({
    masqueraded: table.masqueraded(),
    hostPorts: table.hostPorts().length,
  }));
  if (config?.ipMasq === true && attachments.alive > 0 && nat.masqueraded.length === 0)
    problems.push({
      what: `nothing masquerades what leaves network ${network.name}: table inet kilowire-cni.${network.name} was emptied or deleted`,
      remedy: 'restart a pod: the next ADD makes the table again',
    });
  const status = conflist === undefined ? '' : askStatus(options, conflist);
  if (conflist !== undefined && status !== '')
    problems.push({
      what: `STATUS of network ${network.name} says: ${status}`,
      remedy: 'see the errors in docs/cni.md',
    });
  return {
    name: network.name,
    conflist: conflist?.file ?? '',
    status,
    attachments,
    bridge,
    ...nat,
  };
}

/** The installed executable's own answer; '' when it would serve an ADD. */
function askStatus({ binDir }: HealthOptions, { network, path, plugin, raw }: ConfFile): string {
  const executable = join(binDir, pluginType);
  if (plugin === undefined || !existsSync(executable)) return 'the executable is missing';
  const { status, stdout, error } = spawnSync(executable, [], {
    env: { CNI_COMMAND: 'STATUS', CNI_PATH: binDir },
    input: JSON.stringify({ ...raw, cniVersion: '1.1.0', name: network }),
    encoding: 'utf8',
    timeout: 10_000,
  });
  if (status === 0) return '';
  try {
    return String((JSON.parse(stdout) as { msg?: unknown }).msg);
  } catch {
    return error?.message ?? `${executable} gave no answer for ${path}`;
  }
}

function bridgeState(name: string): BridgeState {
  const socket = openRouteSocket();
  try {
    const link = getLink(socket, name);
    if (link === undefined) return { name, exists: false, up: false, mtu: 0, addresses: [], ports: 0 };
    return {
      name,
      exists: link.kind === 'bridge',
      up: link.up,
      mtu: link.mtu,
      addresses: listAddresses(socket, { link: link.index }).map(({ address }) => address),
      ports: listLinks(socket).filter(({ master }) => master === link.index).length,
    };
  } finally {
    socket.close();
  }
}

function bridgeProblems(config: NetworkConfig, bridge: BridgeState, alive: number): readonly Problem[] {
  const { name } = bridge;
  // It is made with the first container.
  if (!bridge.exists && bridge.mtu === 0)
    return alive === 0
      ? []
      : [{ what: `the bridge ${name} is gone`, remedy: 'restart the pods of this node' }];
  if (!bridge.exists)
    return [{ what: `${name} is an interface, but no bridge`, remedy: `rename it, or set "bridge"` }];
  const problems: Problem[] = [];
  if (!bridge.up)
    problems.push({ what: `the bridge ${name} is down`, remedy: `run: ip link set ${name} up` });
  if (config.isGateway && readOr('net/ipv4/ip_forward', '1') !== '1')
    problems.push({
      what: 'the kernel forwards nothing: no packet leaves the node',
      remedy: 'run: sysctl net.ipv4.ip_forward=1',
    });
  return problems;
}

function readOr(sysctl: string, otherwise: string): string {
  try {
    return readSysctl(sysctl);
  } catch {
    return otherwise;
  }
}
