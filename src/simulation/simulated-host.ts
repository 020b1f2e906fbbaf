/**
 * A simulated host: what its kernel and its WireGuard device hold, changed by an agent's passes as the real ones are, by
 * differences. It outlives its agent.
 * Source: wg(8) (an allowed IP has one holder, the last that was given it; an endpoint follows who is heard).
 * @module
 */
import type { Fault } from '../agent/faults.ts';
import type { HostLinks } from '../agent/host/links.ts';
import type { Surroundings } from '../agent/surroundings.ts';
import type { DeviceChange, DeviceStatus, PeerStatus } from '../noise/device-config.ts';
import { type Cidr, type Endpoint, formatCidr } from '../noise/ip.ts';
import { diffDevices, diffPlans } from '../routing/diff.ts';
import { keyText } from '../routing/key-text.ts';
import { desiredRoutes, type Plan } from '../routing/routes.ts';
import type { Topology } from '../routing/topology.ts';
import { wireguardConfig } from '../routing/wireguard-config.ts';

export const LINKS = { wireguard: 'kilo0', private: 'eth0', tunnel: 'tunl0' } as const;
type HostLink = NonNullable<ReturnType<HostLinks['byName']['get']>>;

/** WireGuard paper §6.1 and §5.4.2. */
const TRY_MS = 5000;
const INITIATION_BYTES = 148;

const NONE: Plan = { routes: [], rules: [] };

export interface HeldPeer extends PeerStatus {
  /** Base64. */
  readonly key: string;
  /** Virtual milliseconds: since when it has been dialled in vain, and what had been sent before. */
  readonly inVain?: { readonly since: number; readonly sent: number } | undefined;
}

/** What a host's device does with datagrams is somebody else's matter. */
export interface DeviceLife {
  /** Of all peers, at this moment: where heard from, and when last. */
  readonly heard: (key: string) => { readonly endpoint: Endpoint; readonly seconds: number } | null;
  /** Virtual milliseconds. */
  readonly now: () => number;
}

export class SimulatedHost {
  readonly name: string;
  readonly addresses: readonly Cidr[];
  /** Routes and rules in the kernel. */
  plan: Plan = NONE;
  /** On the WireGuard link; null when this node does not lead. */
  wireguardCIDR: Cidr | null = null;
  topology: Topology | null = null;
  /** Routes, rules and peers that were changed. */
  touched = 0;
  /** Somebody else has changed it: what the kernel's multicast groups tell an agent. */
  onChange: () => void = () => {};
  /** After each pass. */
  onPass: (host: SimulatedHost) => void = () => {};
  readonly #life: DeviceLife;
  readonly #peers = new Map<string, HeldPeer>();
  /** Allowed IP → key of who was given it last. */
  readonly #holders = new Map<string, string>();
  #listenPort = 0;
  #hasDevice = false;

  constructor(name: string, addresses: readonly Cidr[], life: DeviceLife) {
    this.name = name;
    this.addresses = addresses;
    this.#life = life;
  }

  /** By base64 key. */
  get peers(): ReadonlyMap<string, HeldPeer> {
    return this.#peers;
  }

  /** As if it had never been programmed. */
  forget(): void {
    this.plan = NONE;
    this.#peers.clear();
    this.#holders.clear();
    this.wireguardCIDR = null;
    this.topology = null;
  }

  /** The device's process died: its link, routes and sessions went with it. */
  loseDevice(): void {
    this.#hasDevice = false;
    this.topology = null;
    this.#peers.clear();
    this.wireguardCIDR = null;
    this.plan = { ...this.plan, routes: this.plan.routes.filter(({ device }) => device !== LINKS.wireguard) };
    this.onChange();
  }

  readonly links = (): HostLinks => {
    const names = ['lo', 'eth0', ...(this.#hasDevice ? [LINKS.wireguard] : [])];
    const links = names.map((name, at) => {
      const kind = name === LINKS.wireguard ? 'tun' : '';
      return { index: at + 1, name, kind, mtu: 1500, up: true } as HostLink;
    });
    const route = { address: new Uint8Array(4), prefix: 0, table: 254, type: 'unicast', link: 2, metric: 0 };
    return {
      byName: new Map(links.map((link) => [link.name, link])),
      byIndex: new Map(links.map((link) => [link.index, link])),
      addresses: this.addresses.map((cidr) => ({ link: 2, cidr, isGlobal: true })),
      routes: [],
      rules: [],
      defaultRoutes: [route as unknown as HostLinks['defaultRoutes'][number]],
    };
  };

  readonly device: Surroundings['device'] = {
    ensure: async () => {
      if (this.#hasDevice) return 'adopted';
      this.#hasDevice = true;
      return 'started';
    },
    control: { read: async () => this.#status(), greet: async () => {} },
  };

  #status(): DeviceStatus {
    const peers = [...this.#peers.values()].map((peer): HeldPeer => {
      const heard = this.#life.heard(peer.key);
      const fresh = heard === null ? this.#dialled(peer) : answered(peer, heard);
      this.#peers.set(peer.key, fresh);
      return fresh;
    });
    return { listenPort: this.#listenPort, peers };
  }

  /** There is always something to send; a handshake is tried every five seconds. */
  #dialled(peer: HeldPeer): HeldPeer {
    if (peer.endpoint === undefined) return peer;
    const now = this.#life.now();
    const { since, sent } = peer.inVain ?? { since: now, sent: peer.txBytes };
    const tries = Math.floor((now - since) / TRY_MS);
    return { ...peer, inVain: { since, sent }, txBytes: sent + tries * INITIATION_BYTES };
  }

  readonly host: Surroundings['host'] = {
    apply: async (topology, _links, status) => {
      this.program(topology, status);
      this.onPass(this);
      return [] as readonly Fault[];
    },
    remove: async () => {
      this.forget();
      return [];
    },
  };

  /** Brings kernel and device there, touching what differs. */
  program(topology: Topology, status: DeviceStatus | null = null): void {
    const plan = desiredRoutes(topology, { links: LINKS });
    const { routes, rules } = diffPlans(this.plan, plan);
    for (const { add, remove, replace } of [routes, rules])
      this.touched += add.length + remove.length + replace.length;
    this.plan = plan;
    this.wireguardCIDR = topology.wireguardCIDR;
    const config = wireguardConfig(topology);
    const have = status ?? this.#status();
    const change = config === null ? { replacePeers: true, peers: [] } : diffDevices(have, config);
    if (change !== null) this.#change(change);
    this.topology = topology;
  }

  #change(change: DeviceChange): void {
    if (change.replacePeers === true) this.#peers.clear();
    if (change.listenPort !== undefined) this.#listenPort = change.listenPort;
    for (const each of change.peers) {
      const key = keyText(each.publicKey);
      this.touched++;
      if (each.remove === true) {
        this.#peers.delete(key);
        continue;
      }
      const there = this.#peers.get(key);
      if (there === undefined && each.updateOnly === true) continue;
      for (const cidr of each.allowedIps ?? []) this.#takeFromOthers(key, cidr);
      const kept = each.replaceAllowedIps === true ? [] : (there?.allowedIps ?? []);
      const gone = new Set((each.removeAllowedIps ?? []).map(formatCidr));
      const ranges = new Map(
        [...kept, ...(each.allowedIps ?? [])].map((cidr) => [formatCidr(cidr), cidr] as const),
      );
      for (const text of gone) ranges.delete(text);
      const endpoint = each.endpoint ?? there?.endpoint;
      const keepalive = each.persistentKeepalive ?? there?.persistentKeepalive;
      this.#peers.set(key, {
        key,
        publicKey: each.publicKey,
        allowedIps: [...ranges.values()],
        lastHandshake: there?.lastHandshake ?? { seconds: 0, nanoseconds: 0 },
        txBytes: there?.txBytes ?? 0,
        rxBytes: there?.rxBytes ?? 0,
        inVain: there?.inVain,
        ...(endpoint === undefined ? {} : { endpoint }),
        ...(keepalive === undefined ? {} : { persistentKeepalive: keepalive }),
      });
    }
  }

  /** An allowed IP leads to one peer. */
  #takeFromOthers(key: string, cidr: Cidr): void {
    const text = formatCidr(cidr);
    const holder = this.#holders.get(text);
    this.#holders.set(text, key);
    const peer = holder === undefined || holder === key ? undefined : this.#peers.get(holder);
    if (peer === undefined) return;
    const allowedIps = peer.allowedIps.filter((each) => formatCidr(each) !== text);
    this.#peers.set(peer.key, { ...peer, allowedIps });
  }
}

const answered = (
  peer: HeldPeer,
  { endpoint, seconds }: { readonly endpoint: Endpoint; readonly seconds: number },
): HeldPeer => ({
  ...peer,
  endpoint,
  lastHandshake: { seconds, nanoseconds: 0 },
  inVain: undefined,
});
