/**
 * Routes and resolver settings as configurations and results both write them.
 * Source: CNI specification 1.1.0, "routes" and "dns".
 * @module
 */
import { CniError } from './cni-error.ts';
import { parseAddress, parsePrefix } from './ipam/ip-address.ts';
import type { JsonObject } from './json-object.ts';
import type { Dns, Route } from './result.ts';

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
