/**
 * STATUS: would an ADD find what it needs? containerd asks every five seconds and takes the node out of service
 * on a "no", so this is quick, changes nothing, and says no only when ADD would.
 * @module
 */

import { accessSync, constants } from '#sys';
import { CniError } from '../cni-error.ts';
import { errorCode, parentOf } from '../files.ts';
import { capacity, describeSet, rangeOf } from '../ipam/address-pool.ts';
import { parseAddress } from '../ipam/ip-address.ts';
import { LeaseStore } from '../ipam/lease-store.ts';
import { type IpamConfig, parseNetworkConfig } from '../network-config.ts';
import type { Environment, Request } from '../request.ts';

export function status(request: Request, env: Environment): void {
  const config = parseNetworkConfig(request, env);
  if (process.getuid?.() !== 0)
    throw new CniError('ERR_CNI_NOT_AVAILABLE', 'it does not run as root, and cannot make interfaces');
  checkWritable(config.stateDir);
  config.ipamPlugin?.run('STATUS');
  if (config.ipam === undefined) return;
  checkWritable(config.leases);
  checkPool(config.ipam, new LeaseStore(config.leases, request, '').addresses());
}

function checkWritable(path: string): void {
  try {
    accessSync(path, constants.W_OK);
  } catch (error) {
    // What is not there yet is made by ADD.
    if (errorCode(error) === 'ENOENT' && path !== '/') checkWritable(parentOf(path));
    else
      throw new CniError(
        'ERR_CNI_NOT_AVAILABLE',
        `${path} cannot be written to: ${(error as Error).message}`,
      );
  }
}

function checkPool({ sets, excluded }: IpamConfig, held: readonly string[]): void {
  const addresses = held.map(parseAddress).filter((address) => address !== undefined);
  sets.forEach((set, index) => {
    const isExcluded = (family: number, value: bigint): boolean =>
      excluded.some((hole) => hole.family === family && hole.first <= value && value <= hole.last);
    const used = addresses.filter(
      (address) => rangeOf(set, address) !== undefined && !isExcluded(address.family, address.value),
    ).length;
    if (BigInt(used) >= capacity(set, excluded))
      throw new CniError(
        'ERR_CNI_NOT_AVAILABLE',
        `no IP addresses available in range set ${index}: ${describeSet(set)}`,
        { details: `${used} leases are held` },
      );
  });
}
