/**
 * Called as `portmap` or `bandwidth`, behind another plugin: what the bridge has folded in, done to an interface that
 * plugin made. Each keeps its own records and its own table, under the network's name with a dot before it, which no
 * network has.
 * Behaviour and texts: containernetworking/plugins portmap and bandwidth.
 * @module
 */
import { getLink } from '../../linux/link.ts';
import { openRouteSocketIn } from '../../linux/namespaces.ts';
import type { NetlinkSocket } from '../../linux/netlink.ts';
import { openRouteSocket } from '../../linux/rtnetlink.ts';
import { fileName } from '../attachment-name.ts';
import { addHostPorts, allowLocal, natPlan, withNat } from '../attachment-nat.ts';
import { type Bandwidth, ifbName, limitBandwidth, missingLimits, parseBandwidth } from '../bandwidth.ts';
import { CniError } from '../cni-error.ts';
import { type HostPort, parseHostPortOptions, parseHostPorts, portName } from '../host-port.ts';
import { podName } from '../ipam/ipam-config.ts';
import { openNetns } from '../netns.ts';
import { checkBackend, parseStatePaths } from '../network-config.ts';
import { type PreviousResult, parsePreviousResult } from '../previous-result.ts';
import { type AttachmentRecord, RecordStore } from '../record.ts';
import type { Environment, Request } from '../request.ts';
import type { Interface } from '../result.ts';
import { bootId, reclaim, reclaimEarlierBoot, undo } from '../undo.ts';
import { validAttachments } from './gc.ts';

export type ChainedType = 'portmap' | 'bandwidth';

interface Work {
  readonly hostPorts: readonly HostPort[];
  readonly bandwidth: Bandwidth | undefined;
}

export function runChained(type: ChainedType, request: Request, env: Environment): string {
  const network = `.${type}.${request.network}`;
  const records = new RecordStore({ ...parseStatePaths(request, env), leases: '' }, network);
  switch (request.verb) {
    case 'ADD':
      return add(records, workOf(type, request), request, network);
    case 'DEL':
      if (records.mentions(request)) reclaim(records, request, () => true);
      return '';
    case 'CHECK':
      check(workOf(type, request), request, network);
      return '';
    case 'GC': {
      const valid = validAttachments(request.config);
      for (const name of valid === undefined ? [] : records.names())
        if (!valid?.has(fileName(name))) reclaim(records, name, () => true);
      return '';
    }
    case 'STATUS':
      workOf(type, request);
      return '';
  }
}

function workOf(type: ChainedType, { config }: Request): Work {
  checkBackend(config);
  if (type === 'bandwidth') return { hostPorts: [], bandwidth: parseBandwidth(config) };
  parseHostPortOptions(config);
  return { hostPorts: parseHostPorts(config.object('runtimeConfig')), bandwidth: undefined };
}

function previousOf({ config, cniVersion }: Request): PreviousResult {
  if (!config.has('prevResult')) throw new CniError('ERR_CNI_CONFIG', 'must be called as chained plugin');
  return parsePreviousResult(config.object('prevResult'), cniVersion);
}

function add(records: RecordStore, work: Work, request: Request, network: string): string {
  const previous = previousOf(request);
  const { hostPorts, bandwidth } = work;
  if (hostPorts.length === 0 && bandwidth === undefined) return passedOn(request, undefined);
  records.prepare();
  reclaimEarlierBoot(records);
  const lock = records.lock(request);
  try {
    const socket = openRouteSocket();
    try {
      const before = records.read(request);
      if (before !== undefined) undo(records, before, socket);
      const shaped = bandwidth === undefined ? '' : hostEnd(socket, previous, request);
      const record = beginning(request, network, work, shaped);
      records.begin(record);
      try {
        if (hostPorts.length > 0) openPorts(records, record, work, request, previous);
        const ifb = bandwidth === undefined ? undefined : limitBandwidth(socket, request, shaped, bandwidth);
        records.finish({ ...record, state: 'done' });
        return passedOn(request, ifb);
      } catch (error) {
        undo(records, record, socket);
        throw error;
      }
    } finally {
      socket.close();
    }
  } finally {
    lock.release();
  }
}

function beginning(request: Request, network: string, work: Work, shaped: string): AttachmentRecord {
  const { containerId, ifname, netns, args } = request;
  const { hostPorts, bandwidth } = work;
  return {
    containerId,
    ifname,
    network,
    state: 'begun',
    bootId: bootId(),
    netns,
    netnsId: '',
    bridge: '',
    // Not ours to delete.
    hostVeth: '',
    leases: '',
    addresses: [],
    nat: hostPorts.length > 0,
    ...(hostPorts.length === 0 ? {} : { hostPorts: hostPorts.map(portName) }),
    ...(bandwidth === undefined ? {} : { shaped }),
    ...(bandwidth === undefined || bandwidth.egressRate === 0 ? {} : { ifb: ifbName(request) }),
    podName: podName(args),
    at: new Date().toISOString(),
    result: undefined,
  };
}

function openPorts(
  records: RecordStore,
  record: AttachmentRecord,
  work: Work,
  request: Request,
  previous: PreviousResult,
): void {
  addHostPorts(records, record, planOf(work, request, previous));
  const host = previous.interfaces.find(({ sandbox }) => sandbox === '');
  if (host !== undefined) allowLocal(host.name);
}

function planOf({ hostPorts }: Work, request: Request, previous: PreviousResult) {
  const addresses = previous.ips
    .filter(({ owner }) => owner === request.ifname || owner === '')
    .map(({ address }) => address);
  if (addresses.length === 0)
    throw new CniError('ERR_CNI_CONFIG', `prevResult has no address of ${request.ifname} for the host ports`);
  return natPlan(
    request,
    { ipMasq: false, hostPorts, hostPortOptions: parseHostPortOptions(request.config) },
    addresses,
  );
}

/** The other end of the container's interface, by index: names of an earlier plugin tell nothing. */
function hostEnd(socket: NetlinkSocket, previous: PreviousResult, request: Request): string {
  const netns = openNetns(request.netns);
  try {
    const inside = openRouteSocketIn(netns.fd);
    try {
      const peer = getLink(inside, request.ifname)?.parent;
      const found = previous.interfaces
        .filter(({ sandbox }) => sandbox === '')
        .map(({ name }) => getLink(socket, name))
        .find((link) => link !== undefined && link.kind === 'veth' && link.index === peer);
      if (found === undefined) throw new CniError('ERR_CNI_CONFIG', 'no host interface found');
      return found.name;
    } finally {
      inside.close();
    }
  } finally {
    netns.close();
  }
}

/** What the earlier plugin answered, with our link when there is one. */
function passedOn({ config, cniVersion }: Request, ifb: Interface | undefined): string {
  const result = { ...(config.raw('prevResult') as Record<string, unknown>) };
  const interfaces = config.object('prevResult').list('interfaces');
  const told = ifb === undefined ? undefined : { name: ifb.name, mac: ifb.mac };
  const hasInterfaces = cniVersion !== '0.1.0' && cniVersion !== '0.2.0';
  return JSON.stringify({
    ...result,
    cniVersion,
    ...(told !== undefined && hasInterfaces ? { interfaces: [...interfaces, told] } : {}),
  });
}

function check(work: Work, request: Request, network: string): void {
  const previous = previousOf(request);
  if (work.hostPorts.length > 0) {
    const missing = withNat(network, (table) => table.missing(planOf(work, request, previous)));
    if (missing.length > 0) throw new CniError('ERR_CNI_CHECK', `nftables has lost ${missing.join(', ')}`);
  }
  if (work.bandwidth === undefined) return;
  const socket = openRouteSocket();
  try {
    const missing = missingLimits(socket, request, hostEnd(socket, previous, request), work.bandwidth);
    if (missing.length > 0)
      throw new CniError('ERR_CNI_CHECK', `traffic control has lost ${missing.join(', ')}`);
  } finally {
    socket.close();
  }
}
