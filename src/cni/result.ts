/**
 * The result of ADD, and its shape in each version of the specification.
 * Source: CNI specification 0.2.0, 0.4.0, 1.0.0, 1.1.0, "Result types"; what Go's types print where they differ
 * (`dns` is always there before 1.0.0, `ips` where 0.3.0 says `ip`).
 * @module
 */
import { CniError } from './cni-error.ts';
import type { CniVersion } from './request.ts';

export interface Interface {
  readonly name: string;
  readonly mac: string;
  readonly mtu?: number;
  /** Path of the network namespace; absent for an interface of the host. */
  readonly sandbox?: string;
}

export interface Ip {
  /** "10.42.0.5/24" */
  readonly address: string;
  readonly gateway?: string;
  /** Index into `interfaces`. */
  readonly interface?: number;
}

export interface Route {
  readonly dst: string;
  readonly gw?: string;
  readonly mtu?: number;
  readonly advmss?: number;
  readonly priority?: number;
  readonly table?: number;
  readonly scope?: number;
}

export interface Dns {
  readonly nameservers?: readonly string[];
  readonly domain?: string;
  readonly search?: readonly string[];
  readonly options?: readonly string[];
}

export interface Result {
  readonly interfaces: readonly Interface[];
  readonly ips: readonly Ip[];
  readonly routes: readonly Route[];
  readonly dns: Dns;
}

const isV6 = (text: string): boolean => text.includes(':');

/** The document to print for a caller that speaks `cniVersion`. */
export function resultDocument(result: Result, cniVersion: CniVersion): object {
  switch (cniVersion) {
    case '0.1.0':
    case '0.2.0':
      return oldestDocument(result, cniVersion);
    case '0.3.0':
    case '0.3.1':
    case '0.4.0':
      return {
        cniVersion,
        interfaces: result.interfaces.map(withoutMtu),
        ips: result.ips.map((ip) => ({ version: isV6(ip.address) ? '6' : '4', ...ip })),
        routes: result.routes,
        dns: result.dns,
      };
    case '1.0.0':
    case '1.1.0':
      return {
        cniVersion,
        interfaces: cniVersion === '1.0.0' ? result.interfaces.map(withoutMtu) : result.interfaces,
        ips: result.ips,
        routes: result.routes,
        ...(Object.keys(result.dns).length === 0 ? {} : { dns: result.dns }),
      };
  }
}

function withoutMtu({ mtu: _, ...rest }: Interface): Interface {
  return rest;
}

/** At most one address a family, its routes beneath it, no interfaces. */
function oldestDocument(result: Result, cniVersion: CniVersion): object {
  const familyOf = (v6: boolean) => {
    const ip = result.ips.find(({ address }) => isV6(address) === v6);
    if (ip === undefined) return undefined;
    const routes = result.routes
      .filter(({ dst }) => isV6(dst) === v6)
      .map(({ dst, gw }) => ({ dst, ...(gw === undefined ? {} : { gw }) }));
    return {
      ip: ip.address,
      ...(ip.gateway === undefined ? {} : { gateway: ip.gateway }),
      ...(routes.length === 0 ? {} : { routes }),
    };
  };
  const ip4 = familyOf(false);
  const ip6 = familyOf(true);
  if (ip4 === undefined && ip6 === undefined)
    throw new CniError('ERR_CNI_CONFIG', 'cannot convert: no valid IP addresses');
  return {
    cniVersion,
    ...(ip4 === undefined ? {} : { ip4 }),
    ...(ip6 === undefined ? {} : { ip6 }),
    dns: result.dns,
  };
}
