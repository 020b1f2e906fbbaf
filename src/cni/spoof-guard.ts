/**
 * `macspoofchk`: a container may send with its own MAC address only. One rule for the whole network, containers are
 * elements.
 *
 *     table bridge kilowire-cni.<network>
 *       set guarded    names of host ends
 *       set sources    host end . MAC address
 *       chain prerouting (filter, -300)   from one of @guarded, and not in @sources: drop
 *
 * @module
 */
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
import { drop } from '../linux/nftables-action.ts';
import { listElements } from '../linux/nftables-list.ts';
import { concat, ether, metaKey } from '../linux/nftables-match.ts';
import type { SetSpec } from '../linux/nftables-set.ts';

const made: SetSpec = { name: 'made', key: ['mark'] };
const guarded: SetSpec = { name: 'guarded', key: ['ifname'] };
const sources: SetSpec = { name: 'sources', key: ['ifname', 'ether_addr'] };

const tableOf = (network: string): Table => ({ family: 'bridge', name: `kilowire-cni.${network}` });

export function guard(network: string, hostVeth: string, mac: string): void {
  const table = tableOf(network);
  withSocket((socket) => {
    makeTable(socket, table);
    applyNftables(socket, [
      addElements(table, sources, [{ key: [hostVeth, mac] }]),
      addElements(table, guarded, [{ key: hostVeth }]),
    ]);
  });
}

/** Whatever there is of it. */
export function releaseGuard(network: string, hostVeth: string): void {
  const table = tableOf(network);
  withSocket((socket) => {
    for (const set of [guarded, sources]) {
      const mine = listElements(socket, table, set).filter(({ key }) => key[0] === hostVeth);
      if (mine.length > 0)
        applyNftables(socket, [
          deleteElements(
            table,
            set,
            mine.map(({ key }) => ({ key })),
          ),
        ]);
    }
  });
}

export function isGuarded(network: string, hostVeth: string, mac: string): boolean {
  const table = tableOf(network);
  return withSocket(
    (socket) =>
      listElements(socket, table, guarded).some(({ key }) => key[0] === hostVeth) &&
      listElements(socket, table, sources).some(({ key }) => key[0] === hostVeth && key[1] === mac),
  );
}

export function destroyGuards(network: string): void {
  withSocket((socket) => {
    try {
      applyNftables(socket, [deleteTable(tableOf(network))]);
    } catch (error) {
      if (!isNetlinkError(error, ENOENT)) throw error;
    }
  });
}

function makeTable(socket: NetlinkSocket, table: Table): void {
  if (listElements(socket, table, made).length > 0) return;
  const port = concat(metaKey.iifname, ether.saddr);
  try {
    applyNftables(socket, [
      addTable(table),
      addSet(table, made),
      claimElements(table, made, [{ key: 1 }]),
      addSet(table, guarded),
      addSet(table, sources),
      addChain(table, { name: 'prerouting', base: { type: 'filter', hook: 'prerouting', priority: -300 } }),
      addRule(table, 'prerouting', [metaKey.iifname.in(guarded.name), port.notIn(sources.name), drop()]),
    ]);
  } catch (error) {
    if (!isNetlinkError(error, EEXIST)) throw error;
  }
}

function withSocket<T>(use: (socket: NetlinkSocket) => T): T {
  const socket = openNftablesSocket();
  try {
    return use(socket);
  } finally {
    socket.close();
  }
}
