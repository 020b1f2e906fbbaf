/**
 * Picks an address from each range set of a network and reserves it.
 * Behaviour and texts: containernetworking/plugins, host-local `allocator` (requested address,
 * round robin, exhaustion); the reservation itself is the lease store's.
 * @module
 */
import { CniError } from '../cni-error.ts';
import { candidates, describeSet, type Excluded, isGateway, type RangeSet, rangeOf } from './address-pool.ts';
import { formatAddress, formatPrefix, type IpAddress } from './ip-address.ts';

/** What the allocator needs of a store: test worlds bring their own. */
export interface Reservations {
  reserve(address: string): boolean;
  release(address: string): void;
  last(set: number): IpAddress | undefined;
  setLast(set: number, address: string): void;
  addresses(): readonly string[];
  isResting(address: string): boolean;
}

export interface Allocation {
  /** "10.42.0.5/24" */
  readonly address: string;
  readonly gateway: string;
}

/** After so many names that are taken, reading the directory once is cheaper than trying on. */
const tries = 16;

export function allocate(
  store: Reservations,
  sets: readonly RangeSet[],
  excluded: readonly Excluded[],
  requested: readonly IpAddress[],
): readonly Allocation[] {
  const wanted = [...requested];
  const done: Allocation[] = [];
  const held: string[] = [];
  try {
    sets.forEach((set, index) => {
      const at = wanted.findIndex((address) => rangeOf(set, address) !== undefined);
      const [request] = at < 0 ? [] : wanted.splice(at, 1);
      const address =
        request === undefined ? next(store, set, index, excluded) : exactly(store, set, request);
      const text = formatAddress(address);
      held.push(text);
      store.setLast(index, text);
      done.push(describe(set, address));
    });
    if (wanted.length > 0)
      throw new CniError(
        'ERR_CNI_ADDRESS',
        `failed to allocate all requested IPs: ${wanted.map(formatAddress).join(',')}`,
      );
  } catch (error) {
    for (const address of held.reverse()) store.release(address);
    throw error;
  }
  return done;
}

function exactly(store: Reservations, set: RangeSet, address: IpAddress): IpAddress {
  const text = formatAddress(address);
  if (isGateway(set, address.value))
    throw new CniError('ERR_CNI_ADDRESS', `requested ip ${text} is subnet's gateway`);
  if (!store.reserve(text))
    throw new CniError(
      'ERR_CNI_ADDRESS',
      `requested IP address ${text} is not available in range set ${describeSet(set)}`,
    );
  return address;
}

function next(store: Reservations, set: RangeSet, index: number, excluded: readonly Excluded[]): IpAddress {
  const family = set[0]?.family ?? 4;
  let taken: ReadonlySet<string> | undefined;
  let failed = 0;
  let resting = 0;
  for (const value of candidates(set, store.last(index), excluded)) {
    const address: IpAddress = { family, value };
    const text = formatAddress(address);
    if (taken?.has(text)) continue;
    if (store.isResting(text)) {
      resting++;
      continue;
    }
    if (store.reserve(text)) return address;
    if (++failed === tries) taken = new Set(store.addresses());
  }
  throw new CniError(
    'ERR_CNI_ADDRESS',
    `failed to allocate for range ${index}: no IP addresses available in range set: ${describeSet(set)}`,
    resting === 0 ? {} : { details: `${resting} were given back a moment ago and rest, see ipam.quarantine` },
  );
}

function describe(set: RangeSet, address: IpAddress): Allocation {
  const range = rangeOf(set, address);
  if (range === undefined) throw new CniError('ERR_CNI_INTERNAL', 'an address outside of its range set');
  const { family, gateway, subnet } = range;
  return {
    address: formatPrefix({ ...address, length: subnet.length }),
    gateway: formatAddress({ family, value: gateway }),
  };
}
