/**
 * CHECK: is the attachment still as it was handed out? Also what no result tells of: the lease, the bridge's
 * address, hairpin, isolation, masquerading, host ports.
 * @module
 */
import { listAddresses } from '../../linux/address.ts';
import { getLink, type Link } from '../../linux/link.ts';
import { openRouteSocketIn, readSysctl } from '../../linux/namespaces.ts';
import type { NetlinkSocket } from '../../linux/netlink.ts';
import { listRoutes } from '../../linux/route.ts';
import { openRouteSocket } from '../../linux/rtnetlink.ts';
import { natPlan, withNat } from '../attachment-nat.ts';
import { missingLimits } from '../bandwidth.ts';
import { CniError } from '../cni-error.ts';
import { formatPrefix, networkOf, parsePrefix } from '../ipam/ip-address.ts';
import { LeaseStore } from '../ipam/lease-store.ts';
import { isIsolated } from '../isolation.ts';
import { type Netns, openNetns } from '../netns.ts';
import { type NetworkConfig, parseNetworkConfig } from '../network-config.ts';
import { type PreviousResult, parsePreviousResult } from '../previous-result.ts';
import { RecordStore } from '../record.ts';
import type { Environment, Request } from '../request.ts';
import { isGuarded } from '../spoof-guard.ts';

const wrong = (message: string): CniError => new CniError('ERR_CNI_CHECK', message);

export function check(request: Request, env: Environment): void {
  const config = parseNetworkConfig(request, env);
  if (config.prevResult === undefined) throw new CniError('ERR_CNI_CONFIG', 'Required prevResult missing');
  const previous = parsePreviousResult(config.prevResult, request.cniVersion);
  const netns = openNetns(request.netns);
  try {
    const pod = previous.interfaces.find(({ name, sandbox }) => name === request.ifname && sandbox !== '');
    if (pod === undefined) throw wrong(`Interface name ${request.ifname} not found`);
    if (pod.sandbox !== netns.path)
      throw wrong(`Sandbox in prevResult ${pod.sandbox} doesn't match configured netns: ${netns.path}`);
    config.ipamPlugin?.run('CHECK');
    checkLeases(request, config, previous);
    const host = checkRecord(request, config, netns);
    withSocket(openRouteSocket(), (socket) => checkHost(socket, request, config, previous, host));
    withSocket(openRouteSocketIn(netns.fd), (socket) => checkPod(socket, pod, previous, config));
  } finally {
    netns.close();
  }
  checkNat(request, config, previous);
}

/** Answers the name of the host's interface. An attachment from before this plugin has no record, and may have none. */
function checkRecord(request: Request, config: NetworkConfig, netns: Netns): string | undefined {
  const record = new RecordStore(config, config.name).read(request);
  if (record === undefined) return undefined;
  if (record.state !== 'done')
    throw wrong(`the ADD of ${request.containerId} did not finish; run DEL and ADD again`);
  if (record.netnsId !== netns.id)
    throw wrong(`${request.containerId} was attached in another network namespace, ${record.netns}`);
  return record.hostVeth;
}

function checkLeases(request: Request, config: NetworkConfig, previous: PreviousResult): void {
  if (config.ipam === undefined) return;
  const store = new LeaseStore(config.leases, request, '');
  for (const { address } of previous.ips) {
    const text = address.split('/')[0] ?? '';
    if (!store.isOurs(text))
      throw wrong(`host-local: Failed to find address added by container ${request.containerId}: ${text}`);
  }
}

function checkHost(
  socket: NetlinkSocket,
  request: Request,
  config: NetworkConfig,
  previous: PreviousResult,
  hostVeth: string | undefined,
): void {
  const bridge = getLink(socket, config.bridge);
  if (bridge === undefined) throw wrong(`Interface ${config.bridge} not found`);
  if (bridge.kind !== 'bridge') throw wrong(`Interface ${config.bridge} does not have link type of bridge`);
  if (!bridge.up) throw wrong(`Interface ${config.bridge} is down`);
  const told = previous.interfaces.find(({ name, sandbox }) => name === config.bridge && sandbox === '');
  if (told !== undefined && told.mac !== '' && told.mac !== bridge.mac)
    throw wrong(
      `Bridge interface ${config.bridge} Mac doesn't match: ${told.mac} not found, it has ${bridge.mac}`,
    );
  if (config.promiscMode && (bridge.attributes.promiscuity ?? 0) === 0)
    throw wrong(`Bridge interface ${config.bridge} is not promiscuous`);
  const leg =
    config.vlans === undefined || config.vlans.id === 0 ? '' : `${config.bridge}.${config.vlans.id}`;
  if (config.isGateway) checkGateways(socket, leg === '' ? bridge : getLink(socket, leg), previous);
  if (hostVeth !== undefined) checkPort(socket, bridge, config, hostVeth);
  if (hostVeth !== undefined && config.bandwidth !== undefined) {
    const missing = missingLimits(socket, request, hostVeth, config.bandwidth);
    if (missing.length > 0) throw wrong(`traffic control has lost ${missing.join(', ')}`);
  }
  const pod = previous.interfaces.find(({ name, sandbox }) => name === request.ifname && sandbox !== '');
  if (config.macSpoofCheck && hostVeth !== undefined && !isGuarded(config.name, hostVeth, pod?.mac ?? ''))
    throw wrong(`nftables has lost the MAC address of ${hostVeth}`);
  if (config.ingressPolicy !== 'open' && !isIsolated(config.bridge))
    throw wrong(`nftables has lost the ingress policy of ${config.bridge}`);
}

function checkGateways(socket: NetlinkSocket, bridge: Link | undefined, previous: PreviousResult): void {
  if (bridge === undefined) throw wrong('the gateway interface of the VLAN was not found');
  const present = listAddresses(socket, { link: bridge.index }).map(({ address }) => address);
  for (const { address, gateway } of previous.ips) {
    if (gateway === '') continue;
    const wanted = `${gateway}/${address.split('/')[1]}`;
    if (!present.includes(wanted)) throw wrong(`Failed to match addr ${wanted} on interface ${bridge.name}`);
    const forwarding = gateway.includes(':') ? 'net/ipv6/conf/all/forwarding' : 'net/ipv4/ip_forward';
    if (readSysctl(forwarding) !== '1') throw wrong(`${forwarding} is off: nothing leaves the node`);
  }
}

function checkPort(socket: NetlinkSocket, bridge: Link, config: NetworkConfig, name: string): void {
  const port = getLink(socket, name);
  if (port === undefined || port.master !== bridge.index)
    throw wrong(`CNI veth created for bridge ${bridge.name} was not found`);
  if (!port.up) throw wrong(`Interface ${name} is down`);
  if (config.hairpinMode && port.bridgePort?.hairpin !== 1)
    throw wrong(`Interface ${name} has no hairpin mode`);
  if (config.portIsolation && port.bridgePort?.isolated !== 1)
    throw wrong(`Interface ${name} is not isolated`);
}

function checkPod(
  socket: NetlinkSocket,
  told: PreviousResult['interfaces'][number],
  previous: PreviousResult,
  { leavesDown }: NetworkConfig,
): void {
  const link = getLink(socket, told.name);
  if (link === undefined) throw wrong(`Interface name ${told.name} not found`);
  if (link.kind !== 'veth') throw wrong(`Interface ${told.name} does not have link type of veth`);
  if (!link.up && !leavesDown) throw wrong(`Interface ${told.name} is down`);
  if (told.mac !== '' && told.mac !== link.mac)
    throw wrong(`Interface ${told.name} Mac doesn't match: ${told.mac} not found, it has ${link.mac}`);
  if (told.mtu !== undefined && told.mtu !== link.mtu)
    throw wrong(`Interface ${told.name} MTU doesn't match: ${told.mtu} not found, it has ${link.mtu}`);
  const present = listAddresses(socket, { link: link.index }).map(({ address }) => address);
  for (const { address, owner } of previous.ips) {
    if (owner !== told.name && owner !== '') continue;
    if (!present.includes(canonical(address)))
      throw wrong(`Failed to match addr ${address} on interface ${told.name}`);
  }
  const routes = listRoutes(socket);
  for (const { dst, gw } of previous.routes) {
    const found = routes.some(
      (route) => route.destination === networkOf(dst) && (gw === '' || route.gateway === gw),
    );
    if (!found)
      throw wrong(`Expected Route ${dst}${gw === '' ? '' : ` via ${gw}`} not found in routing table`);
  }
}

function checkNat(request: Request, config: NetworkConfig, previous: PreviousResult): void {
  if (!config.ipMasq && config.hostPorts.length === 0) return;
  const plan = natPlan(
    request,
    config,
    previous.ips.map(({ address }) => address),
  );
  const missing = withNat(config.name, (table) => table.missing(plan));
  if (missing.length > 0) throw wrong(`nftables has lost ${missing.join(', ')}`);
}

function canonical(address: string): string {
  const prefix = parsePrefix(address);
  return prefix === undefined ? address : formatPrefix(prefix);
}

function withSocket(socket: NetlinkSocket, use: (socket: NetlinkSocket) => void): void {
  try {
    use(socket);
  } finally {
    socket.close();
  }
}
