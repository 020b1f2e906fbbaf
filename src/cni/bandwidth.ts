/**
 * Limits on what a container receives and sends: capability `bandwidth`, or the same keys in the configuration.
 *
 *     to the container     token bucket on the host's end of the veth
 *     from the container   host's end ─ redirected ─▶ ifb, token bucket there
 *
 * Source: containernetworking/plugins bandwidth; CNI conventions, "bandwidth" (bits a second, and bits).
 * @module
 */
import { EEXIST, ENODEV } from '../linux/errno.ts';
import { changeLink, deleteLink, getLink, newLink } from '../linux/link.ts';
import { isNetlinkError, type NetlinkSocket } from '../linux/netlink.ts';
import {
  addIngress,
  limitRate,
  rateOf,
  redirectIngress,
  type TokenBucket,
  unlimitRate,
} from '../linux/traffic-control.ts';
import { type AttachmentName, shortHash } from './attachment-name.ts';
import { CniError } from './cni-error.ts';
import type { JsonObject } from './json-object.ts';
import type { Interface } from './result.ts';

/** Bits a second and bits; 0 is no limit. */
export interface Bandwidth {
  readonly ingressRate: number;
  readonly ingressBurst: number;
  readonly egressRate: number;
  readonly egressBurst: number;
}

const keys = ['ingressRate', 'ingressBurst', 'egressRate', 'egressBurst'] as const;
const latencySeconds = 0.025;

/** What the configuration says goes before what the runtime asks. */
export function parseBandwidth(config: JsonObject): Bandwidth | undefined {
  const from = keys.some((key) => config.has(key))
    ? config
    : config.object('runtimeConfig').object('bandwidth');
  const [ingressRate = 0, ingressBurst = 0, egressRate = 0, egressBurst = 0] = keys.map((key) =>
    from.integer(key),
  );
  checkPair(ingressRate, ingressBurst);
  checkPair(egressRate, egressBurst);
  if (ingressRate === 0 && egressRate === 0) return undefined;
  return { ingressRate, ingressBurst, egressRate, egressBurst };
}

function checkPair(rate: number, burst: number): void {
  const wrong = (message: string): CniError => new CniError('ERR_CNI_CONFIG', message);
  if (rate < 0 || burst < 0) throw wrong('rate and burst cannot be negative');
  if (burst === 0 && rate !== 0) throw wrong('if rate is set, burst must also be set');
  if (rate === 0 && burst !== 0) throw wrong('if burst is set, rate must also be set');
  if (burst / 8 >= 0xffffffff) throw wrong('burst cannot be more than 4GB');
  if (rate !== 0 && rate < 8) throw wrong(`a rate of ${rate} bits a second lets nothing through`);
}

/** Follows from the attachment, like the veth's name, so that it is found without a record. */
export const ifbName = (name: AttachmentName): string => `bwp${shortHash(name, 12)}`;

function bucket(rateBits: number, burstBits: number): TokenBucket {
  const rate = Math.floor(rateBits / 8);
  const burst = Math.max(1, Math.floor(burstBits / 8));
  return { rate, burst, limit: Math.floor(rate * latencySeconds) + burst };
}

/** Answers the ifb when there is one: Go's plugin tells of it in its result, and containerd hands it back. */
export function limitBandwidth(
  socket: NetlinkSocket,
  name: AttachmentName,
  hostVeth: string,
  limits: Bandwidth,
): Interface | undefined {
  const host = getLink(socket, hostVeth);
  if (host === undefined)
    throw new CniError('ERR_CNI_TRY_AGAIN', `"${hostVeth}" was deleted while its bandwidth was limited`);
  if (limits.ingressRate > 0)
    socket.request(limitRate(host.index, bucket(limits.ingressRate, limits.ingressBurst)));
  if (limits.egressRate === 0) return undefined;
  const ifb = ifbName(name);
  const create = newLink({ kind: 'ifb', name: ifb, mtu: host.mtu, up: true });
  try {
    socket.request(create);
  } catch (error) {
    if (!isNetlinkError(error, EEXIST)) throw error;
    // Its name is nobody else's: it is left from an ADD whose record is lost.
    socket.request(deleteLink(ifb));
    socket.request(create);
  }
  const made = getLink(socket, ifb);
  if (made === undefined) throw new CniError('ERR_CNI_TRY_AGAIN', `"${ifb}" was deleted while it was set up`);
  socket.batch([
    changeLink(made.index, { up: true }),
    addIngress(host.index),
    redirectIngress(host.index, made.index),
    limitRate(made.index, bucket(limits.egressRate, limits.egressBurst)),
  ]);
  return { name: ifb, mac: made.mac, mtu: made.mtu };
}

/** For a link that outlives its limit. */
export function unlimitBandwidth(socket: NetlinkSocket, link: string): void {
  const found = getLink(socket, link);
  if (found !== undefined) unlimitRate(socket, found.index);
}

export function deleteIfb(socket: NetlinkSocket, ifb: string): void {
  try {
    socket.request(deleteLink(ifb));
  } catch (error) {
    if (!isNetlinkError(error, ENODEV)) throw error;
  }
}

/** What of the limits is not in the kernel, in words. */
export function missingLimits(
  socket: NetlinkSocket,
  name: AttachmentName,
  hostVeth: string,
  limits: Bandwidth,
): readonly string[] {
  const wanted = [
    [hostVeth, limits.ingressRate, 'to'],
    [ifbName(name), limits.egressRate, 'from'],
  ] as const;
  return wanted.flatMap(([link, rate, direction]) => {
    if (rate === 0) return [];
    const found = getLink(socket, link);
    const kept = found === undefined ? undefined : rateOf(socket, found.index);
    const same = kept === Math.min(Math.floor(rate / 8), 0xffffffff);
    return same ? [] : [`the limit of ${rate} bits a second ${direction} the container`];
  });
}
