/**
 * What the CNI executable asks of the kernel, as a program that either runtime can run: argv is the host's and the pod's
 * namespace name. It prints what it reads back as JSON.
 * @module
 */
import { closeSync, openSync } from 'node:fs';
import { sys } from '#sys';
import { listAddresses, newAddress } from '../../src/linux/address.ts';
import { changeBridgePort, changeLink, getLink, linkIndex, newLink } from '../../src/linux/link.ts';
import {
  createNamedNamespace,
  deleteNamedNamespace,
  enterNamespace,
  openNamespace,
  openRouteSocketIn,
  readSysctl,
  writeSysctl,
} from '../../src/linux/namespaces.ts';
import { isNetlinkError } from '../../src/linux/netlink.ts';
import {
  addChain,
  addElements,
  addRule,
  addSet,
  addTable,
  applyNftables,
  openNftablesSocket,
} from '../../src/linux/nftables.ts';
import { masquerade } from '../../src/linux/nftables-action.ts';
import { listElements, listRules } from '../../src/linux/nftables-list.ts';
import { ip } from '../../src/linux/nftables-match.ts';
import { listRoutes, newRoute } from '../../src/linux/route.ts';
import { LOCK_EX, LOCK_NB, SystemError, WOULD_BLOCK } from '../../src/linux/sys.ts';

const [host = '', pod = ''] = process.argv.slice(2);
const hostPath = createNamedNamespace(host);
const podPath = createNamedNamespace(pod);
const outer = openRouteSocketIn(hostPath);
const inner = openRouteSocketIn(podPath);

outer.request(newLink({ kind: 'bridge', name: 'br0', mac: '02:00:00:00:00:01', mtu: 1420, up: true }));
const bridge = linkIndex(outer, 'br0');
const namespace = openNamespace(podPath);
outer.batch([
  newAddress({ link: bridge, address: '10.42.0.1/24' }),
  newLink({
    kind: 'veth',
    name: 'veth1',
    mac: '02:00:00:00:00:03',
    mtu: 1420,
    master: bridge,
    up: true,
    peer: { name: 'eth0', mac: '02:00:00:00:00:02', mtu: 1420, namespace },
  }),
]);
closeSync(namespace);
const port = linkIndex(outer, 'veth1');
outer.request(changeBridgePort(port, { hairpin: 1 }));
const eth0 = linkIndex(inner, 'eth0');
inner.batch([
  changeLink(eth0, { up: true }),
  newAddress({ link: eth0, address: '10.42.0.2/24' }),
  newRoute({ destination: 'default', gateway: '10.42.0.1' }),
]);

const table = { family: 'ip', name: 'kilowire' } as const;
const local = { name: 'local', key: ['ipv4_addr'], interval: true } as const;
const filter = enterNamespace(hostPath, openNftablesSocket);
applyNftables(filter, [
  addTable(table),
  addChain(table, { name: 'post', base: { type: 'nat', hook: 'postrouting', priority: 100 } }),
  addSet(table, local),
  addElements(table, local, [{ key: '10.0.0.0/8' }]),
  addRule(table, 'post', [ip.saddr.is('10.42.0.0/24'), ip.daddr.notIn('local'), masquerade()]),
]);

const forwarding = enterNamespace(hostPath, () => {
  writeSysctl('net/ipv4/ip_forward', 1);
  return readSysctl('net/ipv4/ip_forward');
});

const refusal = (fn: () => void): unknown => {
  try {
    fn();
  } catch (error) {
    if (isNetlinkError(error)) return [error.code, error.errnoName, error.message];
    if (error instanceof SystemError) return [error.code, error.errnoName, error.message];
    return String(error);
  }
  return undefined;
};

const first = openSync('/run/netns', 'r');
const second = openSync('/run/netns', 'r');
const locks = [sys.flock(first, LOCK_EX | LOCK_NB), sys.flock(second, LOCK_EX | LOCK_NB)];
closeSync(first);
closeSync(second);

const link = getLink(outer, port);
const eth = getLink(inner, eth0);
const answer = {
  bridge: getLink(outer, bridge)?.mac,
  port: [
    link?.name,
    link?.mac,
    link?.mtu,
    link?.up,
    link?.kind,
    link?.master === bridge,
    link?.bridgePort?.hairpin,
  ],
  eth0: [eth?.name, eth?.mac, eth?.mtu, eth?.up],
  absent: getLink(outer, 'nope') === undefined,
  addresses: listAddresses(inner, { family: 4 }).map((address) => address.address),
  routes: listRoutes(inner, { table: 254, family: 4 }).map((route) => [route.destination, route.gateway]),
  forwarding,
  rules: listRules(filter, table).map((rule) => rule.expressions.map((expression) => expression.name)),
  elements: listElements(filter, table, local).map((element) => element.key),
  locks: [locks[0], locks[1] === WOULD_BLOCK],
  refused: [
    refusal(() => inner.request(newAddress({ link: eth0, address: '10.42.0.2/24' }))),
    refusal(() => enterNamespace(openSync('/dev/null', 'r'), () => {})),
    refusal(() => sys.unshare(-1)),
  ],
};
deleteNamedNamespace(host);
deleteNamedNamespace(pod);
process.stdout.write(JSON.stringify(answer), () => sys.exit(0));
