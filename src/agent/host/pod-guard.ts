/**
 * Watches what pods send: counts packets for pods of other nodes that leave this one without going into the tunnel, and drops
 * those that come with somebody else's address, on both sides of the WireGuard link. Counters are read back from the kernel.
 *
 *     table inet kilowire-pods
 *       chain forward      (filter, -1)   from the pods' bridge into a tunnel, not from this node's pods: drop
 *                                         from the tunnel, with an address of a pod behind this very end: drop
 *       chain postrouting  (filter, 90)   before addresses are translated: counters
 *
 * Source: nftables (src/linux/nftables.ts); WireGuard's cryptokey routing, which keeps nodes apart and not the pods of one.
 * @module
 */
import { createHash } from 'node:crypto';
import type { NetlinkSocket } from '../../linux/netlink.ts';
import {
  addChain,
  addElements,
  addRule,
  addSet,
  applyNftables,
  type Change,
  openNftablesSocket,
  recreateTable,
  removeTable,
  type Table,
} from '../../linux/nftables.ts';
import { counter, drop } from '../../linux/nftables-action.ts';
import { listRules, rulesetGeneration } from '../../linux/nftables-list.ts';
import { ip, ip6, metaKey } from '../../linux/nftables-match.ts';
import type { Statement } from '../../linux/nftables-rule.ts';
import { type Cidr, formatCidr, isIpv6, network } from '../../noise/ip.ts';
import { PrefixIndex } from '../../routing/ip-prefix.ts';
import type { Links } from '../../routing/links.ts';
import type { Topology } from '../../routing/topology.ts';
import { BRIDGE } from './cni-conflist.ts';
import { lacksNftables } from './segment-size.ts';

export const POD_TABLE: Table = { family: 'inet', name: 'kilowire-pods' };

export interface PodCounts {
  /** Handed to a neighbour of the own location in clear, as it is meant to be. */
  readonly location: number;
  /** Left for a pod behind a tunnel by any other way. */
  readonly outside: number;
  /** Dropped for their source. */
  readonly spoofed: number;
}

interface Wanted {
  readonly own: readonly Cidr[];
  /** All pods behind this end of the tunnels. */
  readonly segment: readonly Cidr[];
  /** Pods of neighbours, reached without a tunnel. */
  readonly neighbours: readonly Cidr[];
  /** Pods that are behind a tunnel. */
  readonly distant: readonly Cidr[];
  readonly wireguard: string;
  /** Links to neighbours. */
  readonly local: readonly string[];
  readonly isLeader: boolean;
}

export const wantedOf = (topology: Topology, links: Links): Wanted => {
  const { self, segment, segments, isLeader } = topology;
  const podsOf = (members: readonly { readonly podCIDRs: readonly Cidr[] }[]): Cidr[] =>
    members.flatMap(({ podCIDRs }) => podCIDRs.map(network));
  const near = segments.filter(({ nodeLocation }) => nodeLocation === segment.nodeLocation);
  const far = segments.filter(({ nodeLocation }) => nodeLocation !== segment.nodeLocation);
  return {
    own: podsOf([self]),
    segment: podsOf(segment.members),
    neighbours: podsOf(near.flatMap(({ members }) => members).filter((member) => member !== self)),
    distant: podsOf(far.flatMap(({ members }) => members)),
    wireguard: links.wireguard,
    local: [links.tunnel, ...(links.private === null ? [] : [links.private])],
    isLeader,
  };
};

export class PodGuard {
  #socket: NetlinkSocket | null = null;
  /** A kernel without nftables: nothing is counted. */
  #isUnable = false;
  /** What was in place, and the rule set's generation then. */
  #right: { readonly topology: Topology; readonly links: string; readonly generation: number } | null = null;

  get #nftables(): NetlinkSocket {
    this.#socket ??= openNftablesSocket();
    return this.#socket;
  }

  /** Makes it so; answers whether anything was changed. */
  keep(topology: Topology, links: Links): boolean {
    return this.#where(() => this.#keep(topology, links), false);
  }

  /** Where the kernel has no nftables nothing is done, and nothing is wrong. */
  #where<Result>(work: () => Result, otherwise: Result): Result {
    if (this.#isUnable) return otherwise;
    try {
      return work();
    } catch (error) {
      this.#isUnable = lacksNftables(error);
      if (!this.#isUnable) throw error;
      return otherwise;
    }
  }

  #keep(topology: Topology, names: Links): boolean {
    const links = Object.values(names).join(' ');
    const generation = rulesetGeneration(this.#nftables);
    const right = this.#right;
    if (right?.topology === topology && right.links === links && right.generation === generation)
      return false;
    const wanted = wantedOf(topology, names);
    const text = JSON.stringify({ ...wanted, ...texts(wanted) });
    const mark = createHash('sha256').update(text).digest('hex').slice(0, 16);
    const there = listRules(this.#nftables, POD_TABLE);
    const ending = ` ${mark}/${there.length}`;
    if (there.length > 0 && there.every(({ comment }) => comment?.endsWith(ending) === true)) {
      this.#right = { topology, links, generation };
      return false;
    }
    applyNftables(this.#nftables, changesFor(wanted, mark));
    return true;
  }

  /** Since the table was last made; null when there is none. */
  counts(): PodCounts | null {
    const rules = this.#where(() => listRules(this.#nftables, POD_TABLE), []);
    if (rules.length === 0) return null;
    const sum = (what: string): number =>
      rules
        .filter(({ comment }) => comment?.startsWith(`${what} `) === true)
        .reduce((total, { counter: counted }) => total + (counted?.packets ?? 0), 0);
    return { location: sum('location'), outside: sum('outside'), spoofed: sum('spoofed') };
  }

  remove(): void {
    this.#where(() => {
      if (listRules(this.#nftables, POD_TABLE).length > 0)
        applyNftables(this.#nftables, [removeTable(POD_TABLE)]);
    }, undefined);
  }

  close(): void {
    this.#socket?.close();
    this.#socket = null;
  }
}

const texts = ({ own, segment, neighbours, distant }: Wanted) => ({
  own: own.map(formatCidr),
  segment: segment.map(formatCidr),
  neighbours: neighbours.map(formatCidr),
  distant: distant.map(formatCidr),
});

/** The rules' comments say what they count, of which state they are, and how many there are of it. */
const changesFor = (wanted: Wanted, mark: string): Change[] => {
  const changes: Change[] = [
    recreateTable(POD_TABLE),
    addChain(POD_TABLE, { name: 'forward', base: { type: 'filter', hook: 'forward', priority: -1 } }),
    addChain(POD_TABLE, { name: 'postrouting', base: { type: 'filter', hook: 'postrouting', priority: 90 } }),
  ];
  const rules: { chain: string; what: string; statements: readonly Statement[] }[] = [];
  const rule = (chain: string, what: string, statements: readonly Statement[]): void => {
    rules.push({ chain, what, statements });
  };
  const { wireguard, local, isLeader } = wanted;
  for (const family of [4, 6] as const) {
    const { saddr, daddr } = family === 4 ? ip : ip6;
    const set = (name: string, ranges: readonly Cidr[]): string | null => {
      const mine = withoutNested(ranges.filter(({ address }) => isIpv6(address) === (family === 6)));
      if (mine.length === 0) return null;
      const spec = {
        name: `${name}${family}`,
        key: [family === 4 ? 'ipv4_addr' : 'ipv6_addr'] as const,
        interval: true,
      };
      changes.push(addSet(POD_TABLE, spec));
      changes.push(
        addElements(
          POD_TABLE,
          spec,
          mine.map((range) => ({ key: formatCidr(range) })),
        ),
      );
      return spec.name;
    };
    const own = set('own', wanted.own);
    const segment = set('segment', wanted.segment);
    const neighbours = set('neighbours', wanted.neighbours);
    const distant = set('distant', wanted.distant);
    if (own === null) continue;
    rule('forward', 'spoofed', [
      metaKey.iifname.is(BRIDGE),
      metaKey.oifname.in([wireguard, local[0] ?? wireguard]),
      saddr.notIn(own),
      counter(),
      drop(),
    ]);
    if (segment !== null)
      rule('forward', 'spoofed', [metaKey.iifname.is(wireguard), saddr.in(segment), counter(), drop()]);
    if (neighbours !== null)
      rule('postrouting', 'location', [
        metaKey.oifname.notIn([wireguard]),
        saddr.in(own),
        daddr.in(neighbours),
        counter(),
      ]);
    if (distant === null) continue;
    const fromOwn = [saddr.in(own), daddr.in(distant), counter()];
    // Whoever does not lead hands them to the leader.
    if (!isLeader) rule('postrouting', 'location', [metaKey.oifname.in(local), ...fromOwn]);
    const ways = isLeader ? [wireguard] : [wireguard, ...local];
    rule('postrouting', 'outside', [metaKey.oifname.notIn(ways), ...fromOwn]);
  }
  const added = rules.map(({ chain, what, statements }) =>
    addRule(POD_TABLE, chain, statements, { comment: `${what} ${mark}/${rules.length}` }),
  );
  return [...changes, ...added];
};

/** An interval set takes no two that overlap. */
const withoutNested = (ranges: readonly Cidr[]): Cidr[] => {
  const kept = new PrefixIndex<true>();
  return ranges
    .toSorted((a, b) => a.prefix - b.prefix)
    .filter((range) => {
      if (kept.covering(range.address, range.prefix) !== undefined) return false;
      kept.set(range, true);
      return true;
    });
};
