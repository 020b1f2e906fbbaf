/**
 * The `ipam` part of a configuration: host-local's names and defaults, and what goes beyond them (exclude,
 * reservations, quarantine).
 * Source: containernetworking/plugins, host-local.
 * @module
 */
import { CniError } from '../cni-error.ts';
import { asJsonObject, type JsonObject } from '../json-object.ts';
import type { Request } from '../request.ts';
import type { Route } from '../result.ts';
import { parseRoutes } from '../result-parts.ts';
import {
  type AddressRange,
  checkRangeSets,
  type Excluded,
  parseExcluded,
  parseRange,
  type RangeSet,
} from './address-pool.ts';
import { type IpAddress, parseAddress } from './ip-address.ts';

export interface IpamConfig {
  readonly sets: readonly RangeSet[];
  readonly excluded: readonly Excluded[];
  readonly routes: readonly Route[];
  readonly resolvConf: string;
  readonly requested: readonly IpAddress[];
  /** Seconds an address rests after it was given back. */
  readonly quarantine: number;
}

/** "namespace/name", or the name alone where no namespace is told; '' without either. */
export function podName(args: ReadonlyMap<string, string>): string {
  const name = args.get('K8S_POD_NAME') ?? '';
  const namespace = args.get('K8S_POD_NAMESPACE') ?? '';
  return namespace === '' ? name : `${namespace}/${name}`;
}

/**
 * `ipam` without a type is built in when it names addresses; so is a bare top-level `subnet`.
 * Neither: a layer 2 attachment, as in Go's bridge.
 */
export function parseIpam(request: Request): IpamConfig | undefined {
  const { config } = request;
  const ipam = config.object('ipam');
  const type = ipam.string('type');
  // A plugin of its own gives the addresses.
  if (type !== '' && type !== 'host-local') return undefined;
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
  const requested = requestedAddresses(request);
  const reservations = parseReservations(ipam);
  return {
    sets,
    // What is kept for one pod is not for the others; asked for by address it can be had.
    excluded: [
      ...parseExcluded(ipam.strings('exclude')),
      ...[...reservations.values()]
        .flat()
        .map(({ family, value }) => ({ family, first: value, last: value })),
    ],
    routes: parseRoutes(ipam),
    resolvConf: ipam.string('resolvConf'),
    requested: requested.length > 0 ? requested : reservedFor(request, reservations),
    quarantine: quarantine(ipam),
  };
}

type Reservations = ReadonlyMap<string, readonly IpAddress[]>;

/** `{"namespace/pod": "10.42.0.9"}`, or a list of addresses, one for each set. */
function parseReservations(ipam: JsonObject): Reservations {
  ipam.object('reservations');
  const written = (ipam.raw('reservations') ?? {}) as Record<string, unknown>;
  const reservations = new Map<string, readonly IpAddress[]>();
  for (const [pod, value] of Object.entries(written)) {
    const addresses = (Array.isArray(value) ? value : [value]).map((text) => {
      const address = typeof text === 'string' ? parseAddress(text) : undefined;
      if (address === undefined)
        throw new CniError(
          'ERR_CNI_CONFIG',
          `"ipam.reservations": ${JSON.stringify(text)} for ${pod} is not an IP address`,
        );
      return address;
    });
    reservations.set(pod, addresses);
  }
  return reservations;
}

function reservedFor({ args }: Request, reservations: Reservations): readonly IpAddress[] {
  return reservations.get(podName(args)) ?? reservations.get(args.get('K8S_POD_NAME') ?? '') ?? [];
}

function quarantine(ipam: JsonObject): number {
  const seconds = ipam.integer('quarantine');
  if (seconds < 0 || seconds > 86_400)
    throw new CniError(
      'ERR_CNI_CONFIG',
      `"ipam.quarantine": ${seconds} is not a number of seconds up to a day, 86400`,
    );
  return seconds;
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
