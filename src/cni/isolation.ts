/**
 * Which containers may open connections to a network's own: `ingressPolicy`, as Go's firewall plugin has it.
 *
 *     open          everyone
 *     same-bridge   those on the same bridge, and whoever is no container
 *     isolated      only whoever is no container: ports of the bridge are isolated from one another, besides
 *
 *     table inet kilowire-cni
 *       set bridges    names of the bridges with a policy
 *       set owners     bridge . network that asked for it
 *       chain forward (filter, 0)   from one of @bridges to another of them: drop
 *
 * The table belongs to all networks of the node: each has to know the others' bridges.
 * @module
 */
import { existsSync } from '#sys';
import { EEXIST, ENOENT } from '../linux/errno.ts';
import { isNetlinkError, type NetlinkSocket } from '../linux/netlink.ts';
import {
  addChain,
  addElements,
  addRule,
  addSet,
  addTable,
  applyNftables,
  claimElements,
  deleteElements,
  deleteTable,
  openNftablesSocket,
  type Table,
} from '../linux/nftables.ts';
import { drop, returnToCaller } from '../linux/nftables-action.ts';
import { listElements } from '../linux/nftables-list.ts';
import { concat, metaKey } from '../linux/nftables-match.ts';
import type { SetSpec } from '../linux/nftables-set.ts';
import { type AttachmentLock, lockNetwork } from './attachment-lock.ts';
import { numericHash } from './attachment-name.ts';

const table: Table = { family: 'inet', name: 'kilowire-cni' };
const made: SetSpec = { name: 'made', key: ['mark'] };
const bridges: SetSpec = { name: 'bridges', key: ['ifname'] };
const owners: SetSpec = { name: 'owners', key: ['ifname', 'mark'] };
/** bridge . the same bridge: a rule cannot compare two names with each other. */
const within: SetSpec = { name: 'within', key: ['ifname', 'ifname'] };

const lockPath = (stateDir: string): string => `${stateDir}/.isolation.lock`;

/** Idempotent. */
export function isolate(stateDir: string, network: string, bridge: string): void {
  locked(stateDir, 'shared', (socket) => {
    makeTable(socket);
    applyNftables(socket, [
      addElements(table, owners, [{ key: [bridge, numericHash(network)], comment: network }]),
      addElements(table, bridges, [{ key: bridge }]),
      addElements(table, within, [{ key: [bridge, bridge] }]),
    ]);
  });
}

/** When the network has no attachment any more; the bridge may still be another's. */
export function releaseIsolation(stateDir: string, network: string, isUnused: () => boolean): void {
  if (!existsSync(lockPath(stateDir)) || !isUnused()) return;
  locked(stateDir, 'alone', (socket) => {
    // One that begins meanwhile has its record, and waits for the lock.
    if (!isUnused()) return;
    const present = listElements(socket, table, owners);
    const mine = present.filter(({ comment }) => comment === network);
    if (mine.length === 0) return;
    if (mine.length === present.length) {
      destroy(socket);
      return;
    }
    const kept = new Set(present.filter((owner) => !mine.includes(owner)).map(({ key }) => key[0]));
    const freed = mine.map(({ key }) => key[0] ?? '').filter((bridge) => !kept.has(bridge));
    applyNftables(socket, [
      deleteElements(
        table,
        owners,
        mine.map(({ key: [bridge = ''] }) => ({ key: [bridge, numericHash(network)] })),
      ),
      ...(freed.length === 0
        ? []
        : [
            deleteElements(
              table,
              bridges,
              freed.map((key) => ({ key })),
            ),
            deleteElements(
              table,
              within,
              freed.map((bridge) => ({ key: [bridge, bridge] })),
            ),
          ]),
    ]);
  });
}

export function isIsolated(bridge: string): boolean {
  const socket = openNftablesSocket();
  try {
    return listElements(socket, table, bridges).some(({ key }) => key[0] === bridge);
  } finally {
    socket.close();
  }
}

function locked(stateDir: string, how: 'shared' | 'alone', act: (socket: NetlinkSocket) => void): void {
  const lock: AttachmentLock = lockNetwork(lockPath(stateDir), how);
  try {
    const socket = openNftablesSocket();
    try {
      act(socket);
    } finally {
      socket.close();
    }
  } finally {
    lock.release();
  }
}

function destroy(socket: NetlinkSocket): void {
  try {
    applyNftables(socket, [deleteTable(table)]);
  } catch (error) {
    if (!isNetlinkError(error, ENOENT)) throw error;
  }
}

function makeTable(socket: NetlinkSocket): void {
  if (listElements(socket, table, made).length > 0) return;
  try {
    applyNftables(socket, [
      addTable(table),
      addSet(table, made),
      claimElements(table, made, [{ key: 1 }]),
      addSet(table, bridges),
      addSet(table, owners),
      addSet(table, within),
      addChain(table, { name: 'forward', base: { type: 'filter', hook: 'forward', priority: 0 } }),
      addRule(table, 'forward', [concat(metaKey.iifname, metaKey.oifname).in(within.name), returnToCaller()]),
      addRule(table, 'forward', [metaKey.iifname.in(bridges.name), metaKey.oifname.in(bridges.name), drop()]),
    ]);
  } catch (error) {
    // Another ADD was faster by a moment.
    if (!isNetlinkError(error, EEXIST)) throw error;
  }
}
