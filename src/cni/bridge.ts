/**
 * The bridge the containers of a network are ports of: made when it is missing, completed when it is not whole,
 * never removed. Fifty ADDs may do this at once, so "exists already" is an answer like any other.
 * @module
 */
import { readFileSync } from '#sys';
import { deleteAddress, IFA_F_NODAD, listAddresses, newAddress } from '../linux/address.ts';
import { EEXIST } from '../linux/errno.ts';
import { changeLink, getLink, type Link, newLink } from '../linux/link.ts';
import { readSysctl, writeSysctl } from '../linux/namespaces.ts';
import { isNetlinkError, type NetlinkSocket, type Request } from '../linux/netlink.ts';
import { macAddress, ownMacPrefix } from './attachment-name.ts';
import { CniError } from './cni-error.ts';
import { errorCode } from './files.ts';
import { bounds, formatAddress, type IpPrefix, parsePrefix } from './ipam/ip-address.ts';

export interface BridgeConfig {
  readonly bridge: string;
  /** 0: the kernel's default. Applied when the bridge is made. */
  readonly mtu: number;
  readonly promiscMode: boolean;
  readonly forceAddress: boolean;
}

const zeroMac = '00:00:00:00:00:00';

export function ensureBridge(socket: NetlinkSocket, config: BridgeConfig): Link {
  const name = config.bridge;
  const bridge = getLink(socket, name) ?? createBridge(socket, config);
  if (bridge.kind !== 'bridge')
    throw new CniError(
      'ERR_CNI_CONFIG',
      `failed to create bridge "${name}": "${name}" already exists but is not a bridge`,
    );
  const change: { up?: boolean; promiscuous?: boolean; mac?: string } = {};
  if (!bridge.up) change.up = true;
  if (config.promiscMode && (bridge.attributes.promiscuity ?? 0) === 0) change.promiscuous = true;
  // A bridge nobody gave an address has none, or a random one, and takes its ports' ones as they come and go.
  if (bridge.mac === zeroMac) change.mac = randomMac();
  else if (!keepsItsMac(bridge)) change.mac = bridge.mac;
  if (Object.keys(change).length === 0) return bridge;
  socket.request(changeLink(bridge.index, change));
  return change.mac === undefined ? bridge : { ...bridge, mac: change.mac };
}

function createBridge(socket: NetlinkSocket, { bridge: name, mtu }: BridgeConfig): Link {
  const request = newLink({
    kind: 'bridge',
    name,
    mac: randomMac(),
    mtu: mtu === 0 ? undefined : mtu,
    up: true,
  });
  try {
    socket.request(request);
  } catch (error) {
    if (!isNetlinkError(error, EEXIST)) throw error;
  }
  const bridge = getLink(socket, name);
  if (bridge === undefined)
    throw new CniError('ERR_CNI_TRY_AGAIN', `bridge "${name}" was deleted while it was set up; try again`);
  writeIfThere(`net/ipv6/conf/${name}/accept_ra`, '0');
  return bridge;
}

/** Gives the bridge the gateways' addresses ("10.42.0.1/24"), and lets the kernel forward for their families. */
export function ensureGateways(
  socket: NetlinkSocket,
  bridge: Link,
  gateways: readonly string[],
  forceAddress: boolean,
): void {
  const present = listAddresses(socket, { link: bridge.index });
  const requests: Request[] = [];
  for (const gateway of gateways) {
    if (present.some(({ address }) => address === gateway)) continue;
    for (const { address } of present.filter((other) => conflicts(other.address, gateway))) {
      if (!forceAddress)
        throw new CniError(
          'ERR_CNI_CONFIG',
          `failed to set bridge addr: "${bridge.name}" already has an IP address different from ${gateway}`,
          {
            details: `it has ${address}, probably from an earlier subnet; set "forceAddress": true, or run: ip address del ${address} dev ${bridge.name}`,
          },
        );
      requests.push(deleteAddress({ link: bridge.index, address }));
    }
    requests.push(newAddress({ link: bridge.index, address: gateway, ...familyDefaults(gateway) }));
  }
  for (const error of socket.tryBatch(requests)) {
    if (error === undefined || error.errno === EEXIST || error.request === 'RTM_DELADDR') continue;
    throw error;
  }
  for (const path of new Set(gateways.map(forwardingPath))) enableSysctl(path);
}

/** IPv4: one subnet a bridge. IPv6: as many as do not overlap; link-local ones are nobody's business. */
function conflicts(present: string, wanted: string): boolean {
  const a = parsePrefix(present);
  const b = parsePrefix(wanted);
  if (a === undefined || b === undefined || a.family !== b.family) return false;
  return a.family === 4 || overlap(a, b);
}

function overlap(a: IpPrefix, b: IpPrefix): boolean {
  const left = bounds(a);
  const right = bounds(b);
  return left.first <= right.last && right.first <= left.last;
}

function familyDefaults(address: string): { flags?: number; broadcast?: string } {
  const prefix = parsePrefix(address);
  if (prefix === undefined || prefix.family === 6) return { flags: IFA_F_NODAD };
  return { broadcast: formatAddress({ family: 4, value: bounds(prefix).last }) };
}

const forwardingPath = (gateway: string): string =>
  gateway.includes(':') ? 'net/ipv6/conf/all/forwarding' : 'net/ipv4/ip_forward';

/** Writing 1 again would not be nothing: it resets the settings of every interface. */
export function enableSysctl(path: string): void {
  if (readSysctl(path) !== '1') writeSysctl(path, '1');
}

/** For settings a kernel without IPv6 does not have. */
function writeIfThere(path: string, value: string): void {
  try {
    writeSysctl(path, value);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
}

/**
 * Not set again when it is set already: that would make the kernel forget all neighbours on the bridge.
 * addr_assign_type 3 is NET_ADDR_SET (include/uapi/linux/netdevice.h); netlink does not tell it.
 */
function keepsItsMac({ name, mac }: Link): boolean {
  if (mac.startsWith(ownMacPrefix)) return true;
  try {
    return readFileSync(`/sys/class/net/${name}/addr_assign_type`, 'utf8').trim() === '3';
  } catch (error) {
    // sysfs shows the namespace it was mounted in, which need not be this one.
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

function randomMac(): string {
  return macAddress(crypto.randomUUID());
}
