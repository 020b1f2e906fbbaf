/**
 * One container's attachment to one network: planned, recorded, built, and undone from the record alone.
 *
 *     lock ─ record 'begun' ─ leases ─ bridge ─ veth ─ addresses, routes ─ record 'done' ─ unlock
 *            └──────────── undone in reverse by this call, or by any later DEL or GC ────────────┘
 *
 * @module
 */
import { parseIp } from '../linux/ip-address.ts';
import { getLink } from '../linux/link.ts';
import type { NetlinkSocket } from '../linux/netlink.ts';
import { openRouteSocket } from '../linux/rtnetlink.ts';
import { type AttachmentName, hostVethName, macAddress } from './attachment-name.ts';
import { addGuard, addNat } from './attachment-nat.ts';
import { ifbName, limitBandwidth } from './bandwidth.ts';
import { ensureBridge, ensureGateways } from './bridge.ts';
import { CniError } from './cni-error.ts';
import { portName } from './host-port.ts';
import { type Allocation, allocate } from './ipam/allocator.ts';
import { ForeignLeases } from './ipam/foreign-leases.ts';
import { podName } from './ipam/ipam-config.ts';
import { LeaseStore } from './ipam/lease-store.ts';
import { isolate } from './isolation.ts';
import { type Netns, netnsIdAt } from './netns.ts';
import { type NetworkConfig, usesNat } from './network-config.ts';
import { waitForPort } from './port-state.ts';
import { type AttachmentRecord, RecordStore } from './record.ts';
import type { Request } from './request.ts';
import { readResolvConf } from './resolv-conf.ts';
import type { Dns, Result, Route } from './result.ts';
import { bootId, reclaimEarlierBoot, undo } from './undo.ts';
import { configurePod, createVeth } from './veth.ts';
import { ensureFiltering, ensureVlanGateway, joinVlans } from './vlan.ts';

export function attach(request: Request, config: NetworkConfig, netns: Netns): Result {
  const records = new RecordStore(config, config.name);
  records.prepare();
  reclaimEarlierBoot(records);
  const lock = records.lock(request);
  try {
    const socket = openRouteSocket();
    try {
      clearWay(records, socket, request, netns);
      const record = beginning(request, config, netns, freeVethName(socket, request));
      records.begin(record);
      const begun = { nat: false };
      try {
        const result = build(records, record, config, netns, socket, begun);
        records.finish({
          ...record,
          state: 'done',
          addresses: result.ips.map(({ address }) => address.split('/')[0] ?? ''),
          result,
        });
        return result;
      } catch (error) {
        undo(records, { ...record, ...begun }, socket);
        forgetForeign(config);
        throw error;
      }
    } finally {
      socket.close();
    }
  } finally {
    lock.release();
  }
}

/** Undoes what an earlier ADD of the same attachment left; refuses when that attachment is alive. */
function clearWay(records: RecordStore, socket: NetlinkSocket, name: AttachmentName, netns: Netns): void {
  const record = records.read(name);
  if (record === undefined) return;
  const alive =
    record.state === 'done' &&
    record.bootId === bootId() &&
    // A deleted namespace takes its links along only after a while.
    (record.netnsId === netns.id || record.netnsId === netnsIdAt(record.netns)) &&
    getLink(socket, record.hostVeth) !== undefined;
  if (alive)
    throw new CniError(
      'ERR_CNI_ATTACHED',
      `${record.addresses.join(', ') || name.ifname} has been allocated to ${name.containerId}, duplicate allocation is not allowed`,
      {
        details: `container ${name.containerId} has ${name.ifname} on network ${record.network} since ${record.at}${
          record.netnsId === netns.id ? '' : `, in ${record.netns}`
        }; run DEL for it first`,
      },
    );
  undo(records, record, socket);
}

/** The plugin that gave the addresses, or was about to, takes them back; what made the ADD fail is what is told. */
function forgetForeign({ ipamPlugin }: NetworkConfig): void {
  try {
    ipamPlugin?.run('DEL');
  } catch {
    // The runtime's own DEL calls it again.
  }
}

/** The name follows from the attachment; only when a stranger has it does another one. */
function freeVethName(socket: NetlinkSocket, name: AttachmentName): string {
  for (let salt = 0; salt < 16; salt++) {
    const candidate = hostVethName(name, salt);
    if (getLink(socket, candidate) === undefined) return candidate;
  }
  throw new CniError(
    'ERR_CNI_KERNEL',
    `16 names for the host's interface are taken, the last ${hostVethName(name, 15)}`,
  );
}

function beginning(
  request: Request,
  config: NetworkConfig,
  netns: Netns,
  hostVeth: string,
): AttachmentRecord {
  return {
    containerId: request.containerId,
    ifname: request.ifname,
    network: config.name,
    state: 'begun',
    bootId: bootId(),
    netns: netns.path,
    netnsId: netns.id,
    bridge: config.bridge,
    hostVeth,
    leases: config.ipam === undefined ? '' : config.leases,
    addresses: [],
    nat: usesNat(config),
    ...extrasOf(request, config),
    podName: podName(request.args),
    at: new Date().toISOString(),
    result: undefined,
  };
}

/** What only some attachments have, left out of the record of the others. */
function extrasOf(name: AttachmentName, config: NetworkConfig): Partial<AttachmentRecord> {
  const { bandwidth, hostPorts, ingressPolicy, ipam } = config;
  return {
    ...(hostPorts.length === 0 ? {} : { hostPorts: hostPorts.map(portName) }),
    ...(bandwidth === undefined || bandwidth.egressRate === 0 ? {} : { ifb: ifbName(name) }),
    ...(ingressPolicy === 'open' ? {} : { isolated: true }),
    ...(config.macSpoofCheck ? { guarded: true } : {}),
    ...(ipam === undefined || ipam.quarantine === 0 ? {} : { quarantine: ipam.quarantine }),
  };
}

function build(
  records: RecordStore,
  record: AttachmentRecord,
  config: NetworkConfig,
  netns: Netns,
  socket: NetlinkSocket,
  /** Told before it is done: who may not touch nftables need not undo what was never begun. */
  begun: { nat: boolean },
): Result {
  const foreign = config.ipamPlugin?.add(config.isGateway);
  const allocations = foreign?.allocations ?? reserve(records, record, config);
  const bridge = ensureBridge(socket, config);
  if (config.vlans !== undefined) ensureFiltering(socket, bridge);
  const leg =
    config.isGateway && config.vlans !== undefined && config.vlans.id !== 0
      ? ensureVlanGateway(socket, bridge, config.vlans, config.mtu)
      : undefined;
  if (config.isGateway) ensureGateways(socket, leg ?? bridge, gatewaysOf(allocations), config.forceAddress);
  const ipv4 = allocations.find(({ address }) => !address.includes(':'))?.address.split('/')[0];
  const hostMac = macAddress(record.hostVeth);
  const mac =
    config.mac || macAddress(`${record.hostVeth}:pod`, ipv4 === undefined ? undefined : parseIp(ipv4));
  if (record.guarded) addGuard(records, record, mac);
  createVeth(socket, bridge, netns, {
    hostName: record.hostVeth,
    hostMac,
    name: record.ifname,
    mac,
    mtu: config.mtu,
    hairpin: config.hairpinMode,
    isolated: config.portIsolation,
  });
  if (config.vlans !== undefined) joinVlans(socket, record.hostVeth, config.vlans);
  const routes = routesOf(config, foreign?.routes ?? config.ipam?.routes ?? [], allocations);
  const link = configurePod(netns, {
    name: record.ifname,
    addresses: allocations.map(({ address }) => address),
    routes: routes.map((route) => withGateway(route, allocations)),
    tuning: config.tuning,
    detectsDuplicates: config.detectsDuplicates,
    leavesDown: config.leavesDown,
  });
  const ifb =
    config.bandwidth === undefined
      ? undefined
      : limitBandwidth(socket, record, record.hostVeth, config.bandwidth);
  if (record.isolated) isolate(records.stateDir, config.name, bridge.name);
  begun.nat = record.nat;
  if (record.nat) addNat(records, record, config, allocations);
  if (!config.leavesDown) waitForPort(socket, record.hostVeth);
  return {
    interfaces: [
      { name: bridge.name, mac: bridge.mac, mtu: bridge.mtu },
      { name: record.hostVeth, mac: hostMac, mtu: link.mtu },
      { name: record.ifname, mac: link.mac, mtu: link.mtu, sandbox: netns.path },
      ...(leg === undefined ? [] : [{ name: leg.name, mac: leg.mac, mtu: leg.mtu }]),
      ...(ifb === undefined ? [] : [ifb]),
    ],
    ips: allocations.map(({ address, gateway }) => ({
      address,
      ...(gateway === '' ? {} : { gateway }),
      interface: 2,
    })),
    routes,
    dns: dnsOf(config, foreign?.dns),
  };
}

function reserve(
  records: RecordStore,
  record: AttachmentRecord,
  { ipam }: NetworkConfig,
): readonly Allocation[] {
  if (ipam === undefined) return [];
  const leases = new LeaseStore(record.leases, record, record.hostVeth, ipam.quarantine);
  leases.prepare();
  new ForeignLeases(records.foreignLeases, leases).noticeHostLocal(ipam.sets.length);
  const allocations = allocate(leases, ipam.sets, ipam.excluded, ipam.requested);
  leases.discardDraft();
  return allocations;
}

/** "10.42.0.1/24" for each gateway, once. */
function gatewaysOf(allocations: readonly Allocation[]): readonly string[] {
  const known = allocations.filter(({ gateway }) => gateway !== '');
  return [...new Set(known.map(({ address, gateway }) => `${gateway}/${address.split('/')[1]}`))];
}

const isV6 = (text: string): boolean => text.includes(':');
const isDefault = ({ dst }: Route): boolean => dst.endsWith('/0');

/**
 * A default route by way of the gateway, unless the configuration has one that names another.
 * One without a gateway means the same route: Go adds both, and fails because the kernel has the first.
 */
function routesOf(
  config: NetworkConfig,
  configured: readonly Route[],
  allocations: readonly Allocation[],
): readonly Route[] {
  if (!config.isDefaultGateway) return configured;
  const families = [false, true].filter((v6) =>
    allocations.some(({ gateway }) => gateway !== '' && isV6(gateway) === v6),
  );
  const missing = families.filter(
    (v6) => !configured.some((route) => isDefault(route) && isV6(route.dst) === v6 && route.gw !== undefined),
  );
  const kept = configured.filter((route) => !(isDefault(route) && missing.includes(isV6(route.dst))));
  return [...kept, ...missing.map((v6) => withGateway({ dst: v6 ? '::/0' : '0.0.0.0/0' }, allocations))];
}

/** A route without a gateway goes by way of the first one of its family. */
function withGateway(route: Route, allocations: readonly Allocation[]): Route {
  const gw =
    route.gw ??
    allocations.find(({ gateway }) => gateway !== '' && isV6(gateway) === isV6(route.dst))?.gateway;
  return gw === undefined ? route : { ...route, gw };
}

function dnsOf(config: NetworkConfig, foreign: Dns | undefined): Dns {
  if (Object.keys(config.dns).length > 0) return config.dns;
  if (foreign !== undefined) return foreign;
  const path = config.ipam?.resolvConf ?? '';
  return path === '' ? {} : readResolvConf(path);
}
