/**
 * Who lives where in a simulated cluster: names, addresses and Nodes, from a number each.
 * @module
 */
import {
  DEFAULT_TOPOLOGY_LABEL,
  ENDPOINT,
  GRANULARITY,
  INTERNAL_IP,
  KEY,
  LAST_SEEN,
  PERSISTENT_KEEPALIVE,
} from '../agent/annotations.ts';
import type { Stored } from '../agent/api-server/object-store.ts';
import { type Address, type Cidr, cidr, type Endpoint, formatAddress, formatCidr } from '../noise/ip.ts';
import type { Granularity } from '../routing/node.ts';

export interface MemberShape {
  readonly name: string;
  readonly location: string;
  readonly podCIDR: Cidr;
  readonly privateCIDR: Cidr;
  /** Null: behind the NAT of its location. */
  readonly publicAddress: Address | null;
  readonly mapped: Endpoint;
  /** Its location has nobody with a public address: it holds its NAT open. */
  readonly isAtHome: boolean;
}

const PORT = 51820;

/**
 * The first two of each location have public addresses, or all where everybody has tunnels with everybody; in every fifth
 * location nobody has one.
 */
export const shapeOf = (index: number, locations: number, granularity: Granularity): MemberShape => {
  const place = index % locations;
  const within = Math.floor(index / locations);
  const isAtHome = place % 5 === 4;
  const [high, low] = [index >> 8, index & 0xff];
  return {
    name: `n${String(index).padStart(4, '0')}`,
    location: `l${String(place).padStart(2, '0')}`,
    podCIDR: cidr(`10.${64 + high}.${low}.0/24`),
    privateCIDR: cidr(`10.${128 + place}.${within >> 8}.${(within & 0xff) + 1}/16`),
    publicAddress:
      isAtHome || (within >= 2 && granularity === 'location') ? null : Uint8Array.of(198, 18, high, low),
    mapped: { address: Uint8Array.of(198, 19, place, 1), port: 20_000 + within },
    isAtHome,
  };
};

/** As a cluster has it before an agent ran there. */
export const nodeObject = (shape: MemberShape): Stored => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: {
    name: shape.name,
    uid: `uid-${shape.name}`,
    labels: { [DEFAULT_TOPOLOGY_LABEL]: shape.location },
    annotations: shape.isAtHome ? { [PERSISTENT_KEEPALIVE]: '25' } : {},
  },
  spec: { podCIDR: formatCidr(shape.podCIDR) },
});

/** What an agent there would have written. */
export const agentAnnotations = (
  { privateCIDR, publicAddress }: MemberShape,
  key: string,
  granularity: Granularity,
  seconds: number,
): Readonly<Record<string, string>> => ({
  [ENDPOINT]: `${formatAddress(publicAddress ?? privateCIDR.address)}:${PORT}`,
  [INTERNAL_IP]: formatCidr(privateCIDR),
  [KEY]: key,
  [LAST_SEEN]: String(seconds),
  [GRANULARITY]: granularity,
});
