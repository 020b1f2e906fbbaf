/**
 * The result of an earlier ADD as the runtime hands it back, in whichever version.
 * Source: CNI specification 1.1.0 §4 "prevResult"; a result without a version has the configuration's (cni#895).
 * @module
 */
import { CniError } from './cni-error.ts';
import type { JsonObject } from './json-object.ts';
import type { CniVersion } from './request.ts';

export interface PreviousResult {
  readonly interfaces: readonly {
    readonly name: string;
    readonly mac: string;
    /** '' for an interface of the host. */
    readonly sandbox: string;
    readonly mtu: number | undefined;
  }[];
  readonly ips: readonly {
    readonly address: string;
    readonly gateway: string;
    /** Name of the interface it is on; '' when that is not told. */
    readonly owner: string;
  }[];
  readonly routes: readonly { readonly dst: string; readonly gw: string }[];
}

export function parsePreviousResult(object: JsonObject, cniVersion: CniVersion): PreviousResult {
  const version = object.string('cniVersion', cniVersion);
  if (version !== cniVersion)
    throw new CniError(
      'ERR_CNI_CONFIG',
      `could not parse prevResult: the configuration is of version ${cniVersion}, the result of "${version}"`,
    );
  const interfaces = object.objects('interfaces').map((entry) => ({
    name: entry.string('name'),
    mac: entry.string('mac').toLowerCase(),
    sandbox: entry.string('sandbox'),
    mtu: entry.integer('mtu') === 0 ? undefined : entry.integer('mtu'),
  }));
  return {
    interfaces,
    ips: object.objects('ips').map((entry) => ({
      address: entry.string('address'),
      gateway: entry.string('gateway'),
      owner: interfaces[entry.integer('interface', -1)]?.name ?? '',
    })),
    routes: object.objects('routes').map((entry) => ({ dst: entry.string('dst'), gw: entry.string('gw') })),
  };
}
