/**
 * The network configuration as a value: the names and defaults of Go's bridge and host-local, so that a
 * conflist written for them works when only its `type` is changed.
 * Source: containernetworking/plugins bridge and host-local documentation; CNI specification 1.1.0 §1.
 * @module
 */
import { CniError } from './cni-error.ts';
import { type HostPort, parseHostPorts } from './host-port.ts';
import {
  type AddressRange,
  checkRangeSets,
  type Excluded,
  parseExcluded,
  parseRange,
  type RangeSet,
} from './ipam/address-pool.ts';
import { type IpAddress, parseAddress, parsePrefix } from './ipam/ip-address.ts';
import { asJsonObject, type JsonObject } from './json-object.ts';
import type { Environment, Request } from './request.ts';
import type { Dns, Route } from './result.ts';

export interface IpamConfig {
  readonly sets: readonly RangeSet[];
  readonly excluded: readonly Excluded[];
  readonly routes: readonly Route[];
  readonly resolvConf: string;
  readonly requested: readonly IpAddress[];
}

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
  readonly hostPorts: readonly HostPort[];
  /** 0: the kernel's default. */
  readonly mtu: number;
  /** undefined: no addresses, a layer 2 attachment. */
  readonly ipam: IpamConfig | undefined;
  readonly dns: Dns;
  /** MAC address asked for; '' when none was. */
  readonly mac: string;
  readonly prevResult: JsonObject | undefined;
}

const defaultDataDir = '/var/lib/cni/networks';
const defaultStateDir = '/var/lib/cni/kilowire';

export function parseNetworkConfig(request: Request, env: Environment): NetworkConfig {
  const { config } = request;
  refuseUnsupported(config);
  const isDefaultGateway = config.boolean('isDefaultGateway');
  const hairpinMode = config.boolean('hairpinMode');
  const promiscMode = config.boolean('promiscMode');
  if (hairpinMode && promiscMode)
    throw new CniError('ERR_CNI_CONFIG', 'cannot set hairpin mode and promiscuous mode at the same time');
  return {
    name: request.network,
    bridge: linkName(config.string('bridge', 'cni0')),
    isGateway: config.boolean('isGateway') || isDefaultGateway,
    isDefaultGateway,
    forceAddress: config.boolean('forceAddress'),
    ipMasq: config.boolean('ipMasq'),
    hairpinMode,
    promiscMode,
    portIsolation: config.boolean('portIsolation'),
    hostPorts: parseHostPorts(config.object('runtimeConfig')),
    mtu: mtu(config),
    ipam: parseIpam(request),
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

/** What this version does not do is said, not skipped: a network that silently lacks what was asked is worse. */
function refuseUnsupported(config: JsonObject): void {
  for (const key of ['vlan', 'vlanTrunk', 'macspoofchk', 'enabledad', 'disableContainerInterface']) {
    const value = config.raw(key);
    const asked = Array.isArray(value) ? value.length > 0 : Boolean(value);
    if (asked)
      throw new CniError('ERR_CNI_UNSUPPORTED_FIELD', `"${key}": ${JSON.stringify(value)} is not supported`);
  }
}

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
    (request.args.get('MAC') ?? '');
  if (asked !== '' && !/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(asked))
    throw new CniError('ERR_CNI_CONFIG', `failed to make veth pair: address ${asked}: invalid MAC address`);
  return asked.toLowerCase();
}

/**
 * `ipam` without a type is built in when it names addresses; so is a bare top-level `subnet`.
 * Neither: a layer 2 attachment, as in Go's bridge.
 */
function parseIpam(request: Request): IpamConfig | undefined {
  const { config } = request;
  const ipam = config.object('ipam');
  const type = ipam.string('type');
  if (type !== '' && type !== 'host-local')
    throw new CniError(
      'ERR_CNI_UNSUPPORTED_FIELD',
      `"ipam.type": "${type}" is not supported; leave it out or write "host-local", both are built in`,
    );
  const runtime = config.object('runtimeConfig');
  const named = [
    ...rangeSetsOf(runtime.list('ipRanges'), 'runtimeConfig.ipRanges'),
    ...(ipam.string('subnet') === '' ? [] : [[parseRange(ipam)]]),
    ...rangeSetsOf(ipam.list('ranges'), 'ipam.ranges'),
  ];
  const sets = named.length > 0 || config.string('subnet') === '' ? named : [[parseRange(config)]];
  if (sets.length === 0) {
    if (type === '') return undefined;
    throw new CniError('ERR_CNI_CONFIG', 'no IP ranges specified');
  }
  checkRangeSets(sets);
  checkFamilies(request, sets);
  return {
    sets,
    excluded: parseExcluded(ipam.strings('exclude')),
    routes: parseRoutes(ipam),
    resolvConf: ipam.string('resolvConf'),
    requested: requestedAddresses(request),
  };
}

/** A list of sets; also a flat list of ranges, which some runtimes send for `ipRanges`: each is then a set. */
function rangeSetsOf(list: readonly unknown[], path: string): readonly RangeSet[] {
  return list.map((set, index): readonly AddressRange[] =>
    Array.isArray(set)
      ? set.map((range, at) => parseRange(asJsonObject(range, `${path}[${index}][${at}]`)))
      : [parseRange(asJsonObject(set, `${path}[${index}]`))],
  );
}

function checkFamilies({ cniVersion }: Request, sets: readonly RangeSet[]): void {
  if (cniVersion !== '0.1.0' && cniVersion !== '0.2.0') return;
  const families = sets.map((set) => set[0]?.family);
  if (new Set(families).size < families.length)
    throw new CniError(
      'ERR_CNI_CONFIG',
      `CNI version ${cniVersion} does not support more than 1 address per family`,
    );
}

export function parseRoutes(ipam: JsonObject): readonly Route[] {
  return ipam.objects('routes').map((object) => {
    const dst = object.string('dst');
    const prefix = parsePrefix(dst);
    if (prefix === undefined) throw new CniError('ERR_CNI_CONFIG', `invalid CIDR address: ${dst}`);
    const gw = object.string('gw');
    if (gw !== '' && parseAddress(gw)?.family !== prefix.family)
      throw new CniError('ERR_CNI_CONFIG', `invalid gateway "${gw}" of the route to ${dst}`);
    const metrics: Record<string, number> = {};
    for (const key of ['mtu', 'advmss', 'priority', 'table', 'scope'] as const) {
      const value = object.optionalInteger(key);
      if (value !== undefined) metrics[key] = value;
    }
    return { dst, ...(gw === '' ? {} : { gw }), ...metrics };
  });
}

function requestedAddresses({ args, config }: Request): readonly IpAddress[] {
  const texts = [
    ...(args.get('IP') ?? '').split(',').filter((text) => text !== ''),
    ...config.object('args').object('cni').strings('ips'),
    ...config.object('runtimeConfig').strings('ips'),
  ];
  const addresses = new Map<string, IpAddress>();
  for (const text of texts) {
    const address = parseAddress(text.split('/')[0] ?? '');
    if (address === undefined) throw new CniError('ERR_CNI_CONFIG', `invalid IP address "${text}" requested`);
    addresses.set(`${address.family}:${address.value}`, address);
  }
  return [...addresses.values()];
}

export function parseDns(dns: JsonObject): Dns {
  const domain = dns.string('domain');
  const lists = {
    nameservers: dns.strings('nameservers'),
    search: dns.strings('search'),
    options: dns.strings('options'),
  };
  return {
    ...(domain === '' ? {} : { domain }),
    ...Object.fromEntries(Object.entries(lists).filter(([, list]) => list.length > 0)),
  };
}
