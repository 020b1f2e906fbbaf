/**
 * A packet's way over what hosts really hold: rules, routes, allowed IPs, keys; host by host.
 * Source: ip-rule(8), WireGuard paper §2 (cryptokey routing, both ways).
 * @module
 */
import { type Address, contains, sameAddress } from '../noise/ip.ts';
import { longestMatch } from '../routing/longest-prefix.ts';
import { MAIN_TABLE, type Route } from '../routing/routes.ts';
import { LINKS, type SimulatedHost } from './simulated-host.ts';
import type { Attachment, SimulatedNetwork } from './simulated-network.ts';

export interface Way {
  /** Names of the hosts it came to. */
  readonly hosts: readonly string[];
  readonly end: 'arrived' | 'loop' | 'no-route' | 'no-tunnel' | 'no-way' | 'wrong-source' | 'no-neighbour';
}

const MOST_HOPS = 16;

export interface WalkContext {
  readonly network: SimulatedNetwork;
  readonly attachmentOf: (name: string) => Attachment | undefined;
  /** Sees to it that a host is programmed that has no agent of its own. */
  readonly prepare: (host: SimulatedHost) => void;
  /** Whether datagrams between the two devices arrive. */
  readonly tunnelLives: (from: Attachment, to: Attachment) => boolean;
  /** Whether that host's own pods have the address. */
  readonly hasPod: (name: string, address: Address) => boolean;
}

export const walk = (context: WalkContext, from: string, source: Address, destination: Address): Way => {
  const hosts: string[] = [];
  let at = from;
  let arrivedByTunnel = false;
  for (;;) {
    hosts.push(at);
    const here = context.attachmentOf(at);
    if (here === undefined || !here.up) return { hosts, end: 'no-way' };
    context.prepare(here.host);
    if (context.hasPod(at, destination)) return { hosts, end: 'arrived' };
    if (hosts.length > MOST_HOPS) return { hosts, end: 'loop' };
    const route = lookUp(here.host, source, destination, arrivedByTunnel);
    if (route === undefined) return { hosts, end: 'no-route' };
    if (route.device !== LINKS.wireguard) {
      const next = neighbour(context, here, route.via ?? destination);
      if (next === undefined) return { hosts, end: 'no-neighbour' };
      at = next.host.name;
      arrivedByTunnel = false;
      continue;
    }
    const held = [...here.host.peers.values()].flatMap(({ key, allowedIps }) =>
      allowedIps.filter((range) => contains(range, destination)).map((range) => ({ key, range })),
    );
    const tunnel = longestMatch(held, destination, ({ range }) => range);
    const next = tunnel === undefined ? undefined : context.network.byKey(tunnel.key);
    if (tunnel === undefined || next === undefined) return { hosts, end: 'no-tunnel' };
    context.prepare(next.host);
    if (!next.up || !context.tunnelLives(here, next)) return { hosts, end: 'no-way' };
    const allowed = next.host.peers.get(here.key)?.allowedIps ?? [];
    if (!allowed.some((range) => contains(range, source))) return { hosts, end: 'wrong-source' };
    at = next.host.name;
    arrivedByTunnel = true;
  }
};

const lookUp = (
  { plan }: SimulatedHost,
  source: Address,
  destination: Address,
  arrivedByTunnel: boolean,
): Route | undefined => {
  const inTable = (table: number): Route | undefined => {
    const fitting = plan.routes.filter(
      (route) => route.table === table && contains(route.destination, destination),
    );
    return longestMatch(fitting, destination, (route) => route.destination);
  };
  const rule = plan.rules.find(
    ({ from, to, inputDevice }) =>
      (from === undefined || contains(from, source)) &&
      contains(to, destination) &&
      (inputDevice === undefined || arrivedByTunnel),
  );
  return (rule === undefined ? undefined : inTable(rule.table)) ?? inTable(MAIN_TABLE);
};

const neighbour = ({ network }: WalkContext, here: Attachment, gateway: Address): Attachment | undefined => {
  for (const each of network.attachments)
    if (each.location === here.location && each.privateAddress !== null && each.up)
      if (sameAddress(each.privateAddress, gateway)) return each;
  return undefined;
};
