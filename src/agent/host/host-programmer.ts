/**
 * Brings one host to what its topology asks for: links, device, packet filter, routes. Everything is read back first, so
 * only what differs is touched, and a step that fails costs the others nothing.
 * Source: Kilo's order of a reconcile (tunnel address, filter, address, WireGuard, link, routes and rules).
 * @module
 */
import { deleteAddress } from '../../linux/address.ts';
import { changeLink, type Link } from '../../linux/link.ts';
import type { NetlinkSocket } from '../../linux/netlink.ts';
import type { DeviceConfig, DeviceStatus } from '../../noise/device-config.ts';
import { type Cidr, formatCidr, hostCidr, sameCidr } from '../../noise/ip.ts';
import { nthAddress } from '../../routing/ip-prefix.ts';
import type { Links } from '../../routing/links.ts';
import type { Filter } from '../../routing/nat.ts';
import { podCIDROf } from '../../routing/node.ts';
import { hasBounds, withoutBounded } from '../../routing/peer-bounds.ts';
import type { Plan } from '../../routing/routes.ts';
import type { Topology } from '../../routing/topology.ts';
import { type SecretWith, wireguardConfig } from '../../routing/wireguard-config.ts';
import { sentenceOf } from '../agent-error.ts';
import type { Fault } from '../faults.ts';
import type { AgentOptions } from '../options.ts';
import { closedChanges, closedNetworks } from './closed-routes.ts';
import { BRIDGE, keepConflist } from './cni-conflist.ts';
import type { DeviceControl } from './device-control.ts';
import { type HostPlan, HostPlanner, linksFor, tunnelName } from './host-plan.ts';
import { applyPlan } from './kernel-routes.ts';
import { automaticMtu, type HostLinks, readLinks } from './links.ts';
import type { PacketFilter } from './packet-filter.ts';
import { PathMtus } from './path-mtu.ts';
import { type PodCounts, PodGuard } from './pod-guard.ts';
import { SegmentSize } from './segment-size.ts';
import { keepLink, keepTunnel, removeLink } from './wireguard-link.ts';

export interface HostProgrammerOptions {
  readonly options: AgentOptions;
  readonly socket: NetlinkSocket;
  /** Who answers for the link may change with the link. */
  readonly device: { readonly control: DeviceControl };
  readonly filter: PacketFilter;
  /** A secret. */
  readonly privateKey: Uint8Array;
  /** Preshared keys with other nodes. */
  readonly secretWith?: SecretWith | undefined;
  /** Something was changed: what, and how much of it. */
  readonly onChange: (what: string, count: number) => void;
  /** The way to somebody carries more or less than it did. */
  readonly onPath?: () => void;
}

const EMPTY: Plan = { routes: [], rules: [] };

export class HostProgrammer {
  readonly #context: HostProgrammerOptions;
  readonly #planner: HostPlanner;
  readonly #segments = new SegmentSize();
  readonly #pods = new PodGuard();
  /** What was found in place: while the host is the same, it is. */
  #placed: HostPlan | null = null;
  #device: { readonly topology: Topology; readonly config: DeviceConfig | null } | null = null;

  constructor(context: HostProgrammerOptions) {
    this.#context = context;
    const { options, socket, onPath } = context;
    this.#planner = new HostPlanner(options, new PathMtus(socket, onPath));
  }

  /** One pass. What could not be done is answered, not thrown. */
  async apply(topology: Topology, host: HostLinks, status: DeviceStatus | null): Promise<readonly Fault[]> {
    const faults: Fault[] = [];
    const step = async (
      code: string,
      work: () => readonly string[] | Promise<readonly string[]>,
    ): Promise<void> => {
      const tell = (message: string): void => {
        faults.push({ code, subject: { kind: 'host', name: topology.self.name }, message });
      };
      try {
        for (const message of await work()) tell(message);
      } catch (error) {
        tell(sentenceOf(error));
      }
    };
    const planned = this.#planner.of(topology, host);
    const { links, plan } = planned;
    faults.push(...planned.faults);
    let moved = false;
    await step('tunnel', () => {
      moved = this.#tunnel(topology, host, links, plan);
      return [];
    });
    // Another process does the work: meanwhile there is the rest. Routes wait for it: what would be translated before its
    // rule is there, would be for as long as its connection lives.
    const filtered = step('filter', () => this.#filter(planned.filter));
    await step('interface', () => {
      moved = this.#interface(topology, host) || moved;
      return [];
    });
    // Whoever is bound gets no tunnel before his bounds are in force.
    if (hasBounds(topology)) await filtered;
    await step('device', () => this.#configure(filterable(topology, faults), status));
    await filtered;
    await step('routes', () => this.#routes(planned, moved ? readLinks(this.#context.socket) : host));
    await step('segment-size', () => {
      this.#segmentSize();
      return [];
    });
    await step('pod-guard', () => {
      this.#guardPods(topology, links);
      return [];
    });
    await step('cni', () => this.#conflist(topology.self.podCIDRs, host));
    return faults;
  }

  /** Where other plugins care for the pods, they hang elsewhere. */
  #guardPods(topology: Topology, links: Links): void {
    if (this.#context.options.cniPath === null) this.#pods.remove();
    else if (this.#pods.keep(topology, links)) this.#context.onChange('pod-guard', 1);
  }

  /** What pods sent past the tunnels; null where nobody counts. */
  podCounts(): PodCounts | null {
    return this.#pods.counts();
  }

  #segmentSize(): void {
    const { options, onChange } = this.#context;
    if (this.#segments.keep(options.interfaceName)) onChange('segment-size', 1);
  }

  #tunnel(topology: Topology, host: HostLinks, links: Links, plan: Plan): boolean {
    const { options, socket } = this.#context;
    const needed = plan.routes.some(({ device }) => device === links.tunnel);
    if (options.encapsulator === 'flannel') return false;
    const link = host.byName.get(links.tunnel);
    const first = nthAddress(podCIDROf(topology.self), 1);
    if (!needed) {
      // Of a time when it was: then the pods' first address was put there.
      const ours = link === undefined || first === null ? null : hostCidr(first);
      if (link === undefined || ours === null || links.tunnel !== 'tunl0') return false;
      const there = host.addresses.some(
        ({ link: index, cidr }) => index === link.index && sameCidr(cidr, ours),
      );
      if (there) socket.request(deleteAddress({ link: link.index, address: formatCidr(ours) }));
      return there;
    }
    if (links.tunnel === 'cilium_tunl') {
      const down = link !== undefined && !link.up;
      if (down) socket.request(changeLink(link.index, { up: true }));
      return down;
    }
    const outer = links.private === null ? undefined : host.byName.get(links.private);
    const address =
      options.local && options.encapsulation !== 'never' && first !== null ? hostCidr(first) : null;
    const changed = keepTunnel(socket, links.tunnel, { address, outerMtu: outer?.mtu ?? 1500 });
    if (changed) this.#context.onChange('tunnel', 1);
    return changed;
  }

  async #filter(wanted: Filter): Promise<readonly string[]> {
    const { filter, onChange } = this.#context;
    const { written, faults } = await filter.apply(wanted);
    if (written.length > 0) onChange('filter', written.length);
    return faults;
  }

  #interface(topology: Topology, host: HostLinks): boolean {
    const { options, socket, onChange } = this.#context;
    const mtu = options.mtu ?? automaticMtu(host);
    const want = { address: topology.wireguardCIDR, mtu, up: topology.isLeader };
    const changed = keepLink(socket, options.interfaceName, want);
    if (changed) onChange('interface', 1);
    return changed;
  }

  /** Preshared keys change without a word. */
  #configFor(topology: Topology): DeviceConfig | null {
    const { privateKey, secretWith } = this.#context;
    if (this.#device?.topology !== topology || secretWith !== undefined)
      this.#device = { topology, config: wireguardConfig(topology, privateKey, secretWith) };
    return this.#device.config;
  }

  async #configure(topology: Topology, status: DeviceStatus | null): Promise<readonly string[]> {
    const { device, onChange } = this.#context;
    const config = this.#configFor(topology);
    if (status === null) return [];
    if (config === null) {
      // Whoever does not lead has no tunnels: those of an earlier time would only be found stale.
      if (status.peers.length === 0) return [];
      await device.control.change({ replacePeers: true, peers: [] });
      onChange('wireguard', status.peers.length);
      return [];
    }
    const { changed, peers } = await device.control.configure(status, config);
    if (changed) onChange('wireguard', Math.max(1, peers));
    return [];
  }

  #routes(planned: HostPlan, host: HostLinks): readonly string[] {
    if (this.#placed === planned && planned.host === host) return [];
    const { topology, links, plan } = planned;
    const { options, socket, onChange } = this.#context;
    const besideAnother = options.encapsulator !== 'ipip';
    const { added, replaced, removed, faults } = applyPlan(socket, host, links, plan, besideAnother);
    if (added + replaced + removed > 0) onChange('routes', added + replaced + removed);
    const closed = options.failClosed ? closedNetworks(topology, plan, links.wireguard) : [];
    const requests = closedChanges(host.routes, closed);
    const refused = socket.tryBatch(requests).flatMap((error) => error?.message ?? []);
    if (requests.length > 0) onChange('closed', requests.length);
    const isPlaced = added + replaced + removed + requests.length + faults.length === 0;
    this.#placed = isPlaced ? planned : null;
    return [...faults, ...refused];
  }

  #conflist(podCIDRs: readonly Cidr[], host: HostLinks): readonly string[] {
    const { cniPath, cniBinDir, mtu } = this.#context.options;
    const freshMtu = cniBinDir === null ? null : (mtu ?? automaticMtu(host));
    if (cniPath !== null && keepConflist(cniPath, podCIDRs, freshMtu)) this.#context.onChange('cni', 1);
    return [];
  }

  /**
   * Takes everything of ours away, and nothing else. When the node has `departed` from the cluster the interface and the
   * pods' bridge go too; a bridge that still has pods stays, for the runtime to take them off it.
   */
  async remove(topology: Topology | null, departed = false): Promise<readonly string[]> {
    const { options, socket, filter, device } = this.#context;
    const faults: string[] = [];
    const attempt = async (work: () => unknown): Promise<void> => {
      try {
        await work();
      } catch (error) {
        faults.push(sentenceOf(error));
      }
    };
    const host = readLinks(socket);
    const links =
      topology === null
        ? { wireguard: options.interfaceName, private: null, tunnel: tunnelName(options, host) }
        : linksFor(options, host, topology);
    await attempt(async () => faults.push(...(await filter.remove()).faults));
    await attempt(() => this.#segments.remove());
    await attempt(() => this.#pods.remove());
    await attempt(() => faults.push(...applyPlan(socket, host, links, EMPTY).faults));
    await attempt(() => socket.batch(closedChanges(host.routes, [])));
    if (options.cleanUpInterface || departed) {
      await attempt(() => removeLink(socket, options.interfaceName));
    } else if (host.byName.has(options.interfaceName)) {
      await attempt(() =>
        keepLink(socket, options.interfaceName, {
          address: null,
          mtu: options.mtu ?? automaticMtu(host),
          up: false,
        }),
      );
      const privateKey = new Uint8Array(32); // none
      await attempt(() => device.control.change({ privateKey, replacePeers: true, peers: [] }));
    }
    const tunnel = links.tunnel === 'tunl0' ? host.byName.get('tunl0') : undefined;
    if (tunnel !== undefined) await attempt(() => removeTunnel(socket, tunnel));
    const bridge = departed ? host.byName.get(BRIDGE) : undefined;
    const hasPorts = [...host.byIndex.values()].some(({ master }) => master === bridge?.index);
    if (bridge !== undefined && !hasPorts) await attempt(() => removeLink(socket, BRIDGE));
    return faults;
  }
}

/** A host that cannot filter has no tunnel with those whom only its filter would bound. */
const filterable = (topology: Topology, faults: readonly Fault[]): Topology =>
  faults.some(({ code }) => code === 'filter') ? withoutBounded(topology) : topology;

/** The one the kernel's module made cannot be deleted; it is left bare, as one of another kind is. */
const removeTunnel = (socket: NetlinkSocket, { kind, mtu, up }: Link): void => {
  const isIpip = kind === 'ipip';
  keepLink(socket, 'tunl0', { address: null, mtu: isIpip ? 1480 : mtu, up: isIpip ? false : up });
  if (!isIpip) return;
  try {
    removeLink(socket, 'tunl0');
  } catch {
    // EPERM for the module's own
  }
};
