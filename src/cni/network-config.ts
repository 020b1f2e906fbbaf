/**
 * The network configuration as a value: the names and defaults of Go's bridge and host-local, so that a
 * conflist written for them works when only its `type` is changed.
 * Source: containernetworking/plugins bridge and host-local documentation; CNI specification 1.1.0 §1.
 * @module
 */
import { type Bandwidth, parseBandwidth } from './bandwidth.ts';
import { CniError } from './cni-error.ts';
import { IpamPlugin } from './delegate.ts';
import { withSubnetFile } from './flannel.ts';
import { type HostPort, type HostPortOptions, parseHostPortOptions, parseHostPorts } from './host-port.ts';
import { type IpamConfig, parseIpam } from './ipam/ipam-config.ts';
import type { JsonObject } from './json-object.ts';
import type { Environment, Request } from './request.ts';
import type { Dns } from './result.ts';
import { parseDns } from './result-parts.ts';
import { parseTuning, type Tuning } from './tuning.ts';
import { parseVlans, type Vlans } from './vlan.ts';

export type { IpamConfig } from './ipam/ipam-config.ts';

export type IngressPolicy = 'open' | 'same-bridge' | 'isolated';

const policies: readonly string[] = ['open', 'same-bridge', 'isolated'];

function parseIngressPolicy(config: JsonObject): IngressPolicy {
  const text = config.string('ingressPolicy') || 'open';
  if (!isPolicy(text)) throw new CniError('ERR_CNI_CONFIG', `unknown ingress policy: "${text}"`);
  return text;
}

const isPolicy = (text: string): text is IngressPolicy => policies.includes(text);

/** Where everything about a network is kept. */
export interface StatePaths {
  readonly stateDir: string;
  /** Directory of the network's leases. */
  readonly leases: string;
}

export interface NetworkConfig extends StatePaths {
  readonly name: string;
  readonly bridge: string;
  readonly isGateway: boolean;
  readonly isDefaultGateway: boolean;
  readonly forceAddress: boolean;
  readonly ipMasq: boolean;
  readonly hairpinMode: boolean;
  readonly promiscMode: boolean;
  readonly portIsolation: boolean;
  readonly ingressPolicy: IngressPolicy;
  readonly hostPorts: readonly HostPort[];
  readonly hostPortOptions: HostPortOptions;
  readonly bandwidth: Bandwidth | undefined;
  readonly tuning: Tuning | undefined;
  /** 0: the kernel's default. */
  readonly mtu: number;
  /** undefined: no addresses of ours. */
  readonly ipam: IpamConfig | undefined;
  /** Gives the addresses in our place; with neither it is a layer 2 attachment. */
  readonly ipamPlugin: IpamPlugin | undefined;
  readonly vlans: Vlans | undefined;
  readonly macSpoofCheck: boolean;
  /** Duplicate address detection for IPv6. */
  readonly detectsDuplicates: boolean;
  /** The container's end stays down. */
  readonly leavesDown: boolean;
  readonly dns: Dns;
  /** MAC address asked for; '' when none was. */
  readonly mac: string;
  readonly prevResult: JsonObject | undefined;
}

const defaultDataDir = '/var/lib/cni/networks';
const defaultStateDir = '/var/lib/cni/kilowire';

export function parseNetworkConfig(asked: Request, env: Environment): NetworkConfig {
  const config = withSubnetFile(asked.config);
  const request = { ...asked, config };
  checkBackend(config);
  const isDefaultGateway = config.boolean('isDefaultGateway');
  const ingressPolicy = parseIngressPolicy(config);
  const hairpinMode = config.boolean('hairpinMode');
  const promiscMode = config.boolean('promiscMode');
  if (hairpinMode && promiscMode)
    throw new CniError('ERR_CNI_CONFIG', 'cannot set hairpin mode and promiscuous mode at the same time');
  const ipam = parseIpam(request);
  const ipamPlugin = IpamPlugin.of(request, env);
  const leavesDown = config.boolean('disableContainerInterface');
  if (leavesDown && (ipam !== undefined || ipamPlugin !== undefined))
    throw new CniError('ERR_CNI_CONFIG', 'cannot use IPAM when DisableContainerInterface flag is set');
  return {
    name: request.network,
    bridge: linkName(config.string('bridge', 'cni0')),
    isGateway: config.boolean('isGateway') || isDefaultGateway,
    isDefaultGateway,
    forceAddress: config.boolean('forceAddress'),
    ipMasq: config.boolean('ipMasq'),
    hairpinMode,
    promiscMode,
    portIsolation: config.boolean('portIsolation') || ingressPolicy === 'isolated',
    ingressPolicy,
    hostPorts: parseHostPorts(config.object('runtimeConfig')),
    hostPortOptions: parseHostPortOptions(config),
    bandwidth: parseBandwidth(config),
    tuning: parseTuning(config, request.ifname),
    mtu: mtu(config),
    ipam,
    ipamPlugin,
    vlans: parseVlans(config),
    macSpoofCheck: config.boolean('macspoofchk'),
    detectsDuplicates: config.boolean('enabledad'),
    leavesDown,
    dns: parseDns(config.object('dns')),
    mac: mac(request),
    ...parseStatePaths(request, env),
    prevResult: config.has('prevResult') ? config.object('prevResult') : undefined,
  };
}

/** All that DEL needs: a configuration that has since been broken or changed must not keep an attachment alive. */
export function parseStatePaths({ config, network }: Request, env: Environment): StatePaths {
  const dataDir = config.object('ipam').string('dataDir') || defaultDataDir;
  const stateDir = config.string('stateDir') || env.KILOWIRE_CNI_STATE_DIR || defaultStateDir;
  return {
    stateDir: absolute('stateDir', stateDir),
    leases: `${absolute('ipam.dataDir', dataDir)}/${network}`,
  };
}

/** Go's plugins ask which; here it is always nftables, beside whatever else filters on the node. */
export function checkBackend(config: JsonObject): void {
  for (const key of ['ipMasqBackend', 'backend']) {
    const backend = config.string(key);
    if (!['', 'nftables', 'iptables'].includes(backend))
      throw new CniError('ERR_CNI_CONFIG', `unknown ipmasq backend "${backend}"`);
  }
}

export const usesNat = ({ ipMasq, hostPorts, ipam, ipamPlugin }: NetworkConfig): boolean =>
  (ipam !== undefined || ipamPlugin !== undefined) && (ipMasq || hostPorts.length > 0);

function mtu(config: JsonObject): number {
  const value = config.integer('mtu');
  if (value !== 0 && (value < 68 || value > 65_535))
    throw new CniError(
      'ERR_CNI_CONFIG',
      `invalid MTU ${value} (must be 0, for the default, or between 68 and 65535)`,
    );
  return value;
}

function linkName(name: string): string {
  if (name === '' || name.length > 15 || /[\s/:]/.test(name) || name === '.' || name === '..')
    throw new CniError('ERR_CNI_CONFIG', `"bridge": ${JSON.stringify(name)} cannot be the name of a link`);
  return name;
}

function absolute(key: string, path: string): string {
  if (!path.startsWith('/'))
    throw new CniError('ERR_CNI_CONFIG', `"${key}" must be an absolute path, not "${path}"`);
  return path.length > 1 ? path.replace(/\/+$/, '') : path;
}

function mac(request: Request): string {
  const asked =
    request.config.object('runtimeConfig').string('mac') ||
    request.config.object('args').object('cni').string('mac') ||
    (request.args.get('MAC') ?? '') ||
    request.config.string('mac');
  if (asked !== '' && !/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(asked))
    throw new CniError('ERR_CNI_CONFIG', `failed to make veth pair: address ${asked}: invalid MAC address`);
  return asked.toLowerCase();
}
