/**
 * What was done for one attachment and why, and whether it is still so: its record held against the kernel.
 * @module
 */
import { listAddresses } from '../../linux/address.ts';
import { getLink } from '../../linux/link.ts';
import { openRouteSocketIn } from '../../linux/namespaces.ts';
import { listRoutes } from '../../linux/route.ts';
import { openRouteSocket } from '../../linux/rtnetlink.ts';
import { fileName } from '../attachment-name.ts';
import { withNat } from '../attachment-nat.ts';
import { LeaseStore } from '../ipam/lease-store.ts';
import { netnsIdAt } from '../netns.ts';
import type { AttachmentRecord } from '../record.ts';
import { AdminError } from './admin-error.ts';
import { type Holder, listHolders } from './holder.ts';
import type { Network } from './network.ts';

export interface Finding {
  readonly what: string;
  /** Sentences. */
  readonly words: string;
  readonly asExpected: boolean;
}

export interface Explanation {
  readonly holder: Holder;
  readonly findings: readonly Finding[];
}

/** By pod ("namespace/name" or the name alone), address, container id or its beginning, or the host's interface. */
export function explain(networks: readonly Network[], query: string): readonly Explanation[] {
  const address = query.split('/')[0] ?? '';
  const matches = (holder: Holder): boolean =>
    holder.podName === query ||
    holder.podName.endsWith(`/${query}`) ||
    holder.addresses.includes(query) ||
    (holder.addresses.includes(address) && query === `${address}/${query.split('/')[1]}`) ||
    holder.record?.hostVeth === query ||
    (query.length >= 4 && holder.containerId.startsWith(query)) ||
    holder.containerId === query;
  const found = networks.flatMap((network) =>
    listHolders(network)
      .filter(matches)
      .map((holder) => ({ holder, findings: findingsOf(network, holder) })),
  );
  if (found.length === 0)
    throw new AdminError(
      'ERR_CNI_ADMIN_MISSING',
      `Nothing is attached that is called "${query}", by pod, address, container or interface; "kilowire cni leases" lists what is.`,
    );
  return found;
}

function findingsOf(network: Network, holder: Holder): readonly Finding[] {
  const { record } = holder;
  const leases = holder.addresses.map((address) => leaseFinding(network, holder, address));
  if (record === undefined)
    return [finding('record', `There is none: ${holder.why}.`, holder.life !== 'dead'), ...leases];
  return [
    recordFinding(record),
    ...leases,
    ...missingLeases(holder, record),
    ...hostFindings(record),
    ...podFindings(record),
    ...natFindings(network, record),
  ];
}

const finding = (what: string, words: string, asExpected: boolean): Finding => ({ what, words, asExpected });

function recordFinding(record: AttachmentRecord): Finding {
  if (record.at === '')
    return finding(
      'record',
      'It cannot be read; DEL or GC takes away what its name tells: the interface, the leases, the host ports.',
      false,
    );
  const who = record.podName === '' ? '' : ` for pod ${record.podName}`;
  if (record.state !== 'done')
    return finding(
      'record',
      `An ADD${who} began at ${record.at} and did not finish; the runtime's DEL, the next ADD or gc undoes it.`,
      false,
    );
  return finding('record', `An ADD${who} at ${record.at} was answered with a result.`, true);
}

function leaseFinding({ paths }: Network, holder: Holder, address: string): Finding {
  const ours = new LeaseStore(paths.leases, holder, '').isOurs(address);
  return ours
    ? finding('lease', `${address} is held for it, by the file ${paths.leases}/${address}.`, true)
    : finding(
        'lease',
        `${address} was given to it, but the lease has gone; somebody else may get it.`,
        false,
      );
}

/** Told in the record, not in the folder of leases. */
function missingLeases(holder: Holder, record: AttachmentRecord): readonly Finding[] {
  return record.addresses
    .filter((address) => !holder.addresses.includes(address))
    .map((address) =>
      finding(
        'lease',
        `${address} was given to it, but the lease has gone; somebody else may get it.`,
        false,
      ),
    );
}

function hostFindings(record: AttachmentRecord): readonly Finding[] {
  const socket = openRouteSocket();
  try {
    const bridge = record.bridge === '' ? undefined : getLink(socket, record.bridge);
    const veth = getLink(socket, record.hostVeth);
    if (veth === undefined)
      return [finding('interface', `${record.hostVeth}, the host's end of its cable, is gone.`, false)];
    if (bridge === undefined)
      return [finding('bridge', `${record.bridge || 'The bridge'} is gone: it reaches nobody.`, false)];
    const plugged = veth.master === bridge.index;
    return [
      finding(
        'interface',
        `${veth.name} is the host's end of its cable, ${veth.up ? 'up' : 'down'}, MTU ${veth.mtu}${
          plugged ? `, a port of the bridge ${bridge.name}` : `, but no port of the bridge ${bridge.name}`
        }.`,
        plugged && veth.up,
      ),
    ];
  } finally {
    socket.close();
  }
}

function podFindings(record: AttachmentRecord): readonly Finding[] {
  const id = netnsIdAt(record.netns);
  if (id === '')
    return [finding('namespace', `Its network namespace ${record.netns || '?'} is gone.`, false)];
  if (id !== record.netnsId)
    return [finding('namespace', `${record.netns} is another network namespace now.`, false)];
  const socket = openRouteSocketIn(record.netns);
  try {
    const link = getLink(socket, record.ifname);
    if (link === undefined)
      return [finding('container', `${record.ifname} is not in ${record.netns} any more.`, false)];
    const present = listAddresses(socket, { link: link.index }).map(({ address }) => address);
    const told = record.result?.ips.map(({ address }) => address) ?? [];
    const lost = told.filter((address) => !present.includes(address));
    const routes = listRoutes(socket)
      .filter((route) => route.link === link.index && route.gateway !== undefined)
      .map(({ destination, gateway }) => `${destination} by way of ${gateway}`);
    const wanted = record.result?.routes?.length ?? 0;
    return [
      finding(
        'container',
        `${record.ifname} in ${record.netns} has ${told.join(', ') || 'no address'}, MAC ${link.mac}${
          link.up ? '' : ', and is down'
        }${lost.length === 0 ? '' : `; somebody took ${lost.join(', ')} away`}.`,
        link.up && lost.length === 0,
      ),
      finding(
        'routes',
        routes.length === 0 ? 'No route leads out of its subnet.' : `Routes: ${routes.join('; ')}.`,
        routes.length > 0 || wanted === 0,
      ),
    ];
  } finally {
    socket.close();
  }
}

function natFindings({ name, config }: Network, record: AttachmentRecord): readonly Finding[] {
  if (!record.nat) return [finding('nftables', 'It asked for no masquerading and no host port.', true)];
  const { ports, subnets } = withNat(name, (table) => ({
    ports: table.hostPorts().filter(({ owner }) => owner === fileName(record)),
    subnets: table.masqueraded(),
  }));
  const table = `table inet kilowire-cni.${name}`;
  return [
    finding(
      'masquerading',
      subnets.length === 0
        ? `${table} masquerades nothing.`
        : `What leaves ${subnets.join(', ')} is masqueraded by ${table}.`,
      subnets.length > 0 || config?.ipMasq !== true,
    ),
    ...ports.map(({ text }) => finding('host port', `${text}, an element of ${table}.`, true)),
  ];
}
