/**
 * Masquerading and host ports of one network: one nftables table, made once, in which attachments are elements
 * of maps. No rule per container, so nothing is searched for and nothing grows.
 *
 *     table inet kilowire-cni.<network>
 *       chain postrouting (nat, 100)   from @masquerade to outside of it: masquerade
 *                                      marked as a loop back to a pod: masquerade
 *       chain prerouting, output       to an address of this host: jump hostports
 *       chain hostports                from a pod or from 127.0.0.1, or to one of @masq_ports: mark
 *                                      protocol . port : pod's address . port      dnat
 *
 * The mark is portmap's own, bit 13 unless the configuration says another. An element's comment is its attachment, "<container id>:<interface>".
 * @module
 */
import { forgetUdpFlows } from '../linux/conntrack.ts';
import { EEXIST, ENOENT } from '../linux/errno.ts';
import { isNetlinkError, type NetlinkSocket } from '../linux/netlink.ts';
import {
  addElements,
  applyNftables,
  type Change,
  claimElements,
  deleteElements,
  deleteTable,
  openNftablesSocket,
  type Table,
} from '../linux/nftables.ts';
import { listElements } from '../linux/nftables-list.ts';
import type { SetSpec } from '../linux/nftables-set.ts';
import { CniError } from './cni-error.ts';
import { describeHostPort, type HostPort, type HostPortOptions } from './host-port.ts';
import { bounds, parsePrefix } from './ipam/ip-address.ts';
import { families, layOut, layoutKey, made, sets } from './nat-layout.ts';

export interface NatPlan {
  /** "10.42.0.0/24", of each address of the attachment. */
  readonly subnets: readonly string[];
  readonly masquerade: boolean;
  readonly hostPorts: readonly HostPort[];
  readonly options: HostPortOptions;
  /** Addresses without prefix. */
  readonly addresses: readonly string[];
  /** "<container id>:<interface>" */
  readonly owner: string;
}

export class NatTable {
  readonly #socket: NetlinkSocket;
  readonly #table: Table;

  constructor(network: string) {
    this.#table = { family: 'inet', name: `kilowire-cni.${network}` };
    this.#socket = openNftablesSocket();
  }

  close(): void {
    this.#socket.close();
  }

  add(plan: NatPlan): void {
    this.#make(plan.options.markBit);
    const changes = families.flatMap((family) => this.#additions(family, plan));
    try {
      applyNftables(this.#socket, changes);
    } catch (error) {
      if (!isNetlinkError(error, EEXIST)) throw error;
      throw this.#conflict(plan) ?? error;
    }
  }

  /** Takes out the host ports of an attachment, whichever they are. */
  remove(owner: string): void {
    const changes = this.#portsOf((comment) => comment === owner);
    if (changes.length > 0) applyNftables(this.#socket, changes);
  }

  forgetUdpFlows(ports: ReadonlySet<number>): void {
    forgetUdpFlows(this.#socket, ports);
  }

  /** Takes out the host ports of all attachments but these. */
  retain(owners: ReadonlySet<string>): void {
    const changes = this.#portsOf((comment) => comment !== undefined && !owners.has(comment));
    if (changes.length > 0) applyNftables(this.#socket, changes);
  }

  /** What of the plan is not in the kernel, in words. */
  missing(plan: NatPlan): readonly string[] {
    const gone: string[] = [];
    for (const family of families) {
      const { masquerade, hostports, hostipPorts } = sets[family];
      const subnets = plan.masquerade ? ofFamily(plan.subnets, family) : [];
      const present = subnets.length === 0 ? [] : this.#keys(masquerade);
      gone.push(
        ...subnets
          .filter((subnet) => !present.some((other) => contains(other, subnet)))
          .map((subnet) => `masquerading of ${subnet}`),
      );
      const [address] = ofFamily(plan.addresses, family);
      if (address === undefined) continue;
      for (const port of plan.hostPorts.filter(({ hostIp }) => applies(hostIp, family))) {
        const map = isAny(port.hostIp) ? hostports : hostipPorts;
        const key = keyOf(port).join(' ');
        const found = listElements(this.#socket, this.#table, map).find(
          (element) => element.key.join(' ') === key && element.comment === plan.owner,
        );
        if (found === undefined) gone.push(`host port ${describeHostPort(port)}`);
      }
    }
    return gone;
  }

  /** Host ports in the kernel: whose they are, and where they lead. */
  hostPorts(): readonly { readonly owner: string; readonly text: string }[] {
    return families.flatMap((family) =>
      [sets[family].hostports, sets[family].hostipPorts].flatMap((map) =>
        listElements(this.#socket, this.#table, map).map(({ key, data, comment }) => ({
          owner: comment ?? '',
          text: `${key.join(' ')} to ${Array.isArray(data) ? data.join(' ') : ''}`,
        })),
      ),
    );
  }

  /** Subnets that are masqueraded when they leave. */
  masqueraded(): readonly string[] {
    return families.flatMap((family) => this.#keys(sets[family].masquerade));
  }

  /** The network has no attachment any more. */
  destroy(): void {
    try {
      applyNftables(this.#socket, [deleteTable(this.#table)]);
    } catch (error) {
      if (!isNetlinkError(error, ENOENT)) throw error;
    }
  }

  #make(markBit: number): void {
    const present = listElements(this.#socket, this.#table, made).map(({ key }) => Number(key[0]));
    if (present.includes(layoutKey(markBit))) return;
    try {
      applyNftables(this.#socket, layOut(this.#table, markBit, present));
    } catch (error) {
      // Another ADD was faster by a moment.
      if (!isNetlinkError(error, EEXIST)) throw error;
    }
  }

  #additions(family: 4 | 6, plan: NatPlan): readonly Change[] {
    const table = this.#table;
    const { subnets, masquerade, ports, masqPorts, hostports, hostipPorts } = sets[family];
    const nets = new Set(ofFamily(plan.subnets, family));
    const [address] = ofFamily(plan.addresses, family);
    const changes: Change[] = [];
    for (const set of [subnets, ...(plan.masquerade ? [masquerade] : [])])
      for (const subnet of nets) changes.push(...this.#cover(set, subnet));
    if (address === undefined) return changes;
    for (const port of plan.hostPorts.filter(({ hostIp }) => applies(hostIp, family))) {
      const element = { key: keyOf(port), data: [address, port.containerPort], comment: plan.owner };
      changes.push(claimElements(table, isAny(port.hostIp) ? hostports : hostipPorts, [element]));
      const number = [{ key: [port.protocol, port.hostPort] }];
      if (plan.options.snat) changes.push(addElements(table, ports, number));
      if (plan.options.masqueradeAll) changes.push(addElements(table, masqPorts, number));
    }
    return changes;
  }

  /** Deletions of the host ports whose owner is meant, and of the port numbers nobody uses after that. */
  #portsOf(isMeant: (owner: string | undefined) => boolean): readonly Change[] {
    const changes: Change[] = [];
    for (const family of families) {
      const { hostports, hostipPorts, ports, masqPorts } = sets[family];
      const kept = new Set<string>();
      const freed = new Set<string>();
      for (const map of [hostports, hostipPorts]) {
        for (const { key, comment, data } of listElements(this.#socket, this.#table, map)) {
          const meant = isMeant(comment);
          (meant ? freed : kept).add(key.slice(-2).join(' '));
          if (meant && Array.isArray(data)) changes.push(deleteElements(this.#table, map, [{ key, data }]));
        }
      }
      const unused = [...freed].filter((port) => !kept.has(port));
      for (const set of unused.length === 0 ? [] : [ports, masqPorts]) {
        const present = new Set(this.#keysOf(set));
        const gone = unused.filter((port) => present.has(port)).map((port) => ({ key: port.split(' ') }));
        if (gone.length > 0) changes.push(deleteElements(this.#table, set, gone));
      }
    }
    return changes;
  }

  /** A set of intervals refuses overlaps: what a subnet of an earlier configuration covers, or is covered by, decides. */
  #cover(set: SetSpec, subnet: string): readonly Change[] {
    const present = this.#keys(set);
    if (present.some((other) => contains(other, subnet))) return [];
    const inside = present.filter((other) => contains(subnet, other)).map((key) => ({ key }));
    return [
      ...(inside.length === 0 ? [] : [deleteElements(this.#table, set, inside)]),
      addElements(this.#table, set, [{ key: subnet }]),
    ];
  }

  #keys(set: SetSpec): readonly string[] {
    return listElements(this.#socket, this.#table, set).map(({ key }) => key[0] ?? '');
  }

  #keysOf(set: SetSpec): readonly string[] {
    return listElements(this.#socket, this.#table, set).map(({ key }) => key.join(' '));
  }

  #conflict(plan: NatPlan): CniError | undefined {
    for (const family of families) {
      for (const port of plan.hostPorts) {
        const map = sets[family][isAny(port.hostIp) ? 'hostports' : 'hostipPorts'];
        const key = keyOf(port).join(' ');
        const holder = listElements(this.#socket, this.#table, map).find(
          (element) => element.key.join(' ') === key,
        );
        if (holder !== undefined && holder.comment !== plan.owner)
          return new CniError(
            'ERR_CNI_PORT',
            `host port ${describeHostPort(port)} is used by ${holder.comment}`,
          );
      }
    }
    return undefined;
  }
}

function contains(outer: string, inner: string): boolean {
  const a = parsePrefix(outer);
  const b = parsePrefix(inner);
  if (a === undefined || b === undefined) return false;
  return bounds(a).first <= bounds(b).first && bounds(b).last <= bounds(a).last;
}

const isAny = (hostIp: string): boolean => hostIp === '' || hostIp === '0.0.0.0' || hostIp === '::';

const applies = (hostIp: string, family: 4 | 6): boolean =>
  hostIp === '' || hostIp.includes(':') === (family === 6);

const ofFamily = (texts: readonly string[], family: 4 | 6): readonly string[] =>
  texts.filter((text) => text.includes(':') === (family === 6));

function keyOf({ hostIp, protocol, hostPort }: HostPort): readonly string[] {
  return [...(isAny(hostIp) ? [] : [hostIp]), protocol, String(hostPort)];
}
