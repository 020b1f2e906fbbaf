/**
 * What must change so that what is there becomes what is wanted. Pure: what is there is read back from the
 * kernel and the device each time, never remembered, so a crash loses nothing.
 * Source: rtnetlink(7) for what makes a route or rule the same, wg(8) for peers.
 * @module
 */

import type { DeviceChange, DeviceConfig, PeerChange, PeerConfig } from '../noise/device-config.ts';
import { type Cidr, sameAddress, sameEndpoint } from '../noise/ip.ts';
import { addressKey, networkKey } from './ip-prefix.ts';
import type { Plan, Route, Rule } from './routes.ts';

export interface Difference<Item> {
  readonly remove: readonly Item[];
  /** There already, but not so. */
  readonly replace: readonly { readonly have: Item; readonly want: Item }[];
  readonly add: readonly Item[];
}

/** Items are the same thing when their keys are equal, and as wanted when `same` says so. */
export const diff = <Item>(
  have: readonly Item[],
  want: readonly Item[],
  keyOf: (item: Item) => string,
  same: (have: Item, want: Item) => boolean,
): Difference<Item> => {
  const present = new Map<string, Item>();
  // The kernel may hold a rule twice; the second is one too many.
  const remove: Item[] = [];
  for (const item of have) {
    const key = keyOf(item);
    if (present.has(key)) remove.push(item);
    else present.set(key, item);
  }
  const replace: { have: Item; want: Item }[] = [];
  const add: Item[] = [];
  const wanted = new Set<string>();
  for (const item of want) {
    const key = keyOf(item);
    if (wanted.has(key)) continue;
    wanted.add(key);
    const there = present.get(key);
    if (there === undefined) add.push(item);
    else if (!same(there, item)) replace.push({ have: there, want: item });
  }
  for (const [key, item] of present) if (!wanted.has(key)) remove.push(item);
  return { remove, replace, add };
};

export interface PlanDifference {
  readonly routes: Difference<Route>;
  readonly rules: Difference<Rule>;
}

export const diffPlans = (have: Plan, want: Plan): PlanDifference => ({
  routes: diff(have.routes, want.routes, routeKey, sameRoute),
  rules: diff(have.rules, want.rules, ruleKey, () => true),
});

/** One table holds one route for a destination; all of them have metric 0. */
const routeKey = (route: Route): string => `${route.table} ${networkKey(route.destination)}`;

const sameRoute = (a: Route, b: Route): boolean =>
  a.device === b.device &&
  a.onlink === b.onlink &&
  a.mtu === b.mtu &&
  sameOptional(a.via, b.via) &&
  sameOptional(a.source, b.source);

const ruleKey = (rule: Rule): string => {
  const from = rule.from === undefined ? '' : networkKey(rule.from);
  return [rule.table, rule.inputDevice ?? '', from, networkKey(rule.to)].join(' ');
};

const sameOptional = (a: Uint8Array | undefined, b: Uint8Array | undefined): boolean =>
  a === undefined || b === undefined ? a === b : sameAddress(a, b);

/**
 * The smallest change of a device, null when it is right. Sessions of peers that stay are kept. A peer
 * wanted without an endpoint keeps the one it has: it may have come by itself.
 */
export const diffDevices = (have: DeviceConfig, want: DeviceConfig): DeviceChange | null => {
  const peers = diff(have.peers, want.peers, (peer) => addressKey(peer.publicKey), samePeer);
  const changes: PeerChange[] = [
    ...peers.remove.map(({ publicKey }) => ({ publicKey, remove: true })),
    ...peers.replace.map((pair) => changeOfPeer(pair.have, pair.want)),
    ...peers.add,
  ];
  const key = want.privateKey !== undefined && !sameKey(have.privateKey, want.privateKey);
  const port = want.listenPort !== undefined && have.listenPort !== want.listenPort;
  const mark = want.fwmark !== undefined && (have.fwmark ?? 0) !== want.fwmark;
  if (!key && !port && !mark && changes.length === 0) return null;
  return {
    ...(key && want.privateKey !== undefined ? { privateKey: want.privateKey } : {}),
    ...(port && want.listenPort !== undefined ? { listenPort: want.listenPort } : {}),
    ...(mark && want.fwmark !== undefined ? { fwmark: want.fwmark } : {}),
    peers: changes,
  };
};

const samePeer = (have: PeerConfig, want: PeerConfig): boolean =>
  sameKey(have.presharedKey, want.presharedKey) &&
  (have.persistentKeepalive ?? 0) === (want.persistentKeepalive ?? 0) &&
  !movesEndpoint(have, want) &&
  sameNetworks(have.allowedIps, want.allowedIps);

const changeOfPeer = (have: PeerConfig, want: PeerConfig): PeerChange => ({
  publicKey: want.publicKey,
  updateOnly: true,
  ...(sameKey(have.presharedKey, want.presharedKey)
    ? {}
    : { presharedKey: want.presharedKey ?? new Uint8Array(32) }),
  ...((have.persistentKeepalive ?? 0) === (want.persistentKeepalive ?? 0)
    ? {}
    : { persistentKeepalive: want.persistentKeepalive ?? 0 }),
  ...(movesEndpoint(have, want) && want.endpoint !== undefined ? { endpoint: want.endpoint } : {}),
  ...(sameNetworks(have.allowedIps, want.allowedIps)
    ? {}
    : { replaceAllowedIps: true, allowedIps: want.allowedIps }),
});

const movesEndpoint = (have: PeerConfig, want: PeerConfig): boolean =>
  want.endpoint !== undefined && (have.endpoint === undefined || !sameEndpoint(have.endpoint, want.endpoint));

const sameNetworks = (a: readonly Cidr[], b: readonly Cidr[]): boolean => {
  const networks = new Set(a.map(networkKey));
  return (
    networks.size === new Set(b.map(networkKey)).size && b.every((cidr) => networks.has(networkKey(cidr)))
  );
};

/** No key and a key of zeros are one. Looks at every byte, whatever it finds. */
const sameKey = (a: Uint8Array | undefined, b: Uint8Array | undefined): boolean => {
  let difference = 0;
  for (let i = 0; i < 32; i++) difference |= (a?.[i] ?? 0) ^ (b?.[i] ?? 0);
  return difference === 0;
};
