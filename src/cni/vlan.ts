/**
 * VLANs of a network: `vlan`, `vlanTrunk`, `preserveDefaultVlan`. The bridge filters by VLAN; with a gateway a second
 * pair of interfaces, <bridge>.<vlan>, is the node's own leg in that VLAN.
 * Checks and texts: containernetworking/plugins bridge.
 * @module
 */
import { addPortVlans, deletePortVlans, filterVlans, type PortVlan } from '../linux/bridge-vlan.ts';
import { EEXIST } from '../linux/errno.ts';
import { changeLink, getLink, type Link, newLink } from '../linux/link.ts';
import { isNetlinkError, type NetlinkSocket } from '../linux/netlink.ts';
import { hostVethName, macAddress } from './attachment-name.ts';
import { CniError } from './cni-error.ts';
import type { JsonObject } from './json-object.ts';

export interface Vlans {
  /** 0: none, only the trunk. */
  readonly id: number;
  readonly trunk: readonly PortVlan[];
  readonly keepsDefault: boolean;
}

const wrong = (message: string): CniError => new CniError('ERR_CNI_CONFIG', message);

export function parseVlans(config: JsonObject): Vlans | undefined {
  const id = config.integer('vlan');
  if (id < 0 || id > 4094) throw wrong(`invalid VLAN ID ${id} (must be between 0 and 4094)`);
  const trunk = config.objects('vlanTrunk').flatMap(parseTrunk);
  if (id === 0 && trunk.length === 0) return undefined;
  return { id, trunk, keepsDefault: config.boolean('preserveDefaultVlan') };
}

function parseTrunk(entry: JsonObject): readonly PortVlan[] {
  const number = (key: 'minID' | 'maxID' | 'id'): number | undefined => {
    const value = entry.optionalInteger(key);
    if (value !== undefined && (value < 1 || value > 4094)) throw wrong(`incorrect trunk ${key} parameter`);
    return value;
  };
  const first = number('minID');
  const last = number('maxID');
  const one = number('id');
  if (first !== undefined && last === undefined)
    throw wrong('minID and maxID should be configured simultaneously, maxID is missing');
  if (first === undefined && last !== undefined)
    throw wrong('minID and maxID should be configured simultaneously, minID is missing');
  if (first !== undefined && last !== undefined && first > last)
    throw wrong('minID is greater than maxID in trunk parameter');
  return [
    ...(first === undefined || last === undefined ? [] : [{ first, last, native: false }]),
    ...(one === undefined ? [] : [{ first: one, last: one, native: false }]),
  ];
}

const native = (id: number): PortVlan => ({ first: id, last: id, native: true });

export function ensureFiltering(socket: NetlinkSocket, bridge: Link): void {
  if (bridge.bridge?.vlanFiltering !== 1) socket.request(filterVlans(bridge.index));
}

export function joinVlans(socket: NetlinkSocket, port: string, { id, trunk, keepsDefault }: Vlans): void {
  const link = getLink(socket, port);
  if (link === undefined)
    throw new CniError('ERR_CNI_TRY_AGAIN', `"${port}" was deleted while it was set up`);
  // A trunk without a VLAN of its own has the default one for what carries no tag.
  const own = native(id === 0 ? 1 : id);
  socket.request(addPortVlans(link.index, [own, ...trunk]));
  if (id > 1 && !keepsDefault) socket.request(deletePortVlans(link.index, [native(1)]));
}

/** The node's leg in the VLAN; it stays, like the bridge. */
export function ensureVlanGateway(socket: NetlinkSocket, bridge: Link, vlans: Vlans, mtu: number): Link {
  const name = `${bridge.name}.${vlans.id}`;
  if (name.length > 15) throw wrong(`"${name}" is too long for the name of the VLAN's gateway interface`);
  const port = hostVethName({ containerId: bridge.name, ifname: `vlan${vlans.id}` });
  const request = newLink({
    kind: 'veth',
    name: port,
    mac: macAddress(port),
    mtu: mtu === 0 ? undefined : mtu,
    master: bridge.index,
    up: true,
    peer: { name, mac: macAddress(name), mtu: mtu === 0 ? undefined : mtu },
  });
  try {
    socket.request(request);
  } catch (error) {
    if (!isNetlinkError(error, EEXIST)) throw error;
  }
  joinVlans(socket, port, { ...vlans, trunk: [] });
  const gateway = getLink(socket, name);
  if (gateway === undefined)
    throw new CniError('ERR_CNI_TRY_AGAIN', `"${name}" was deleted while it was set up`);
  if (!gateway.up) socket.request(changeLink(gateway.index, { up: true }));
  return gateway;
}
