/**
 * Links, addresses, routes, rules and neighbours in real namespaces, read back with iproute2, which knows nothing of us.
 *
 *     kwf-left                         kwf-right
 *     br0 10.99.0.1, fd99::1 ── v0 ══ eth0 10.99.0.2, fd99::2
 * @module
 */
import { execFileSync, spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { deleteAddress, listAddresses, newAddress, replaceAddress } from '../../src/linux/address.ts';
import { EEXIST, ENETUNREACH, ENODEV } from '../../src/linux/errno.ts';
import {
  changeBridgePort,
  changeLink,
  deleteLink,
  getLink,
  linkIndex,
  listLinks,
  newLink,
} from '../../src/linux/link.ts';
import {
  createNamedNamespace,
  deleteNamedNamespace,
  enterNamespace,
  openNamespace,
  openRouteSocketIn,
} from '../../src/linux/namespaces.ts';
import {
  deleteNeighbour,
  listNeighbours,
  NUD_PERMANENT,
  replaceNeighbour,
} from '../../src/linux/neighbour.ts';
import { isNetlinkError, NetlinkError, type NetlinkSocket } from '../../src/linux/netlink.ts';
import { watchReadable } from '../../src/linux/readiness.ts';
import {
  appendRoute,
  deleteRoute,
  listRoutes,
  lookupRoute,
  newRoute,
  replaceRoute,
} from '../../src/linux/route.ts';
import { RTM_NEWLINK, RTNLGRP_LINK, subscribeToRoutes } from '../../src/linux/rtnetlink.ts';
import { deleteRule, listRules, newRule } from '../../src/linux/rule.ts';

const LEFT = 'kwf-left';
const RIGHT = 'kwf-right';

type Json = Record<string, unknown>;

const iproute = (namespace: string, ...args: readonly string[]): Json[] => {
  const output = execFileSync('ip', ['-n', namespace, '-j', '-d', ...args], { encoding: 'utf8' });
  return output.trim() === '' ? [] : (JSON.parse(output) as Json[]);
};

const errorOf = (fn: () => void): NetlinkError => {
  try {
    fn();
  } catch (error) {
    if (isNetlinkError(error)) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
};

describe.skipIf(process.getuid?.() !== 0)('rtnetlink', () => {
  let left: NetlinkSocket;
  let right: NetlinkSocket;
  let leftPath: string;
  let rightPath: string;
  let bridge: number;
  let eth0: number;

  beforeAll(() => {
    deleteNamedNamespace(LEFT);
    deleteNamedNamespace(RIGHT);
    leftPath = createNamedNamespace(LEFT);
    rightPath = createNamedNamespace(RIGHT);
    left = openRouteSocketIn(leftPath);
    right = openRouteSocketIn(rightPath);
    left.request(
      newLink({
        kind: 'bridge',
        name: 'br0',
        mac: '02:00:00:00:00:01',
        mtu: 1420,
        up: true,
        bridge: { multicastSnooping: 0, forwardDelay: 0, ageingTime: 10_000 },
      }),
    );
    bridge = linkIndex(left, 'br0');
    const namespace = openNamespace(rightPath);
    left.request(
      newLink({
        kind: 'veth',
        name: 'v0',
        mtu: 1420,
        master: bridge,
        up: true,
        peer: { name: 'eth0', mac: '02:00:00:00:00:02', mtu: 1420, namespace },
      }),
    );
    closeSync(namespace);
    eth0 = linkIndex(right, 'eth0');
    left.batch([
      newAddress({ link: bridge, address: '10.99.0.1/24', broadcast: '10.99.0.255', label: 'br0:a' }),
      newAddress({ link: bridge, address: 'fd99::1/64', flags: 2 }),
    ]);
    right.batch([
      changeLink(eth0, { up: true }),
      newAddress({ link: eth0, address: '10.99.0.2/24' }),
      newAddress({ link: eth0, address: 'fd99::2/64', flags: 2 }),
    ]);
  });

  afterAll(() => {
    left?.close();
    right?.close();
    deleteNamedNamespace(LEFT);
    deleteNamedNamespace(RIGHT);
  });

  test('a veth made in one message joins two namespaces: ping goes through, IPv4 and IPv6', () => {
    for (const address of ['10.99.0.1', 'fd99::1']) {
      execFileSync('ip', ['netns', 'exec', RIGHT, 'ping', '-c', '1', '-W', '2', address]);
    }
  });

  test('iproute2 sees the links as they were asked for', () => {
    expect(iproute(LEFT, 'link', 'show', 'br0')[0]).toMatchObject({
      ifname: 'br0',
      address: '02:00:00:00:00:01',
      mtu: 1420,
      linkinfo: { info_kind: 'bridge', info_data: { mcast_snooping: 0, ageing_time: 10_000 } },
    });
    expect(iproute(LEFT, 'link', 'show', 'v0')[0]).toMatchObject({
      master: 'br0',
      mtu: 1420,
      operstate: 'UP',
    });
    expect(iproute(RIGHT, 'link', 'show', 'eth0')[0]).toMatchObject({
      address: '02:00:00:00:00:02',
      mtu: 1420,
    });
  });

  test('we see what iproute2 made', () => {
    execFileSync('ip', ['-n', LEFT, 'link', 'add', 'br1', 'type', 'bridge', 'ageing_time', '12300']);
    execFileSync('ip', ['-n', LEFT, 'link', 'set', 'br1', 'alias', 'made by hand']);
    const link = getLink(left, 'br1');
    expect(link).toMatchObject({ name: 'br1', kind: 'bridge', up: false, alias: 'made by hand' });
    expect(link?.bridge?.ageingTime).toBe(12_300);
    expect(listLinks(left).map((each) => each.name)).toEqual(['lo', 'br0', 'v0', 'br1']);
    left.request(deleteLink('br1'));
    expect(getLink(left, 'br1')).toBeUndefined();
  });

  test('a link is changed: name, alias, mtu, promiscuity, master, and moved to another namespace', () => {
    left.request(newLink({ kind: 'veth', name: 'm0', peer: { name: 'm1' } }));
    const index = linkIndex(left, 'm0');
    left.batch([
      changeLink(index, {
        name: 'm2',
        alias: 'second',
        mtu: 1400,
        master: bridge,
        promiscuous: true,
        up: true,
      }),
    ]);
    expect(iproute(LEFT, 'link', 'show', 'm2')[0]).toMatchObject({
      ifalias: 'second',
      mtu: 1400,
      master: 'br0',
    });
    expect(iproute(LEFT, 'link', 'show', 'm2')[0]?.flags).toContain('PROMISC');
    left.request(changeLink(index, { master: 0, promiscuous: false }));
    expect(iproute(LEFT, 'link', 'show', 'm2')[0]).not.toHaveProperty('master');
    const namespace = openNamespace(rightPath);
    left.request(changeLink(index, { namespace, name: 'moved' }));
    closeSync(namespace);
    expect(getLink(left, 'm2')).toBeUndefined();
    expect(getLink(right, 'moved')?.mtu).toBe(1400);
    right.request(deleteLink('moved'));
    expect(getLink(left, 'm1')).toBeUndefined();
  });

  test('a bridge port is set to hairpin and isolated', () => {
    const port = linkIndex(left, 'v0');
    left.request(changeBridgePort(port, { hairpin: 1, isolated: 1 }));
    expect(iproute(LEFT, 'link', 'show', 'v0')[0]).toMatchObject({
      linkinfo: { info_slave_data: { hairpin: true, isolated: true } },
    });
    expect(getLink(left, port)?.bridgePort).toMatchObject({ hairpin: 1, isolated: 1 });
    left.request(changeBridgePort(port, { hairpin: 0, isolated: 0 }));
  });

  test('an ipip tunnel carries its ends, where the kernel has ipip', (context) => {
    try {
      left.request(
        newLink({ kind: 'ipip', name: 'tun9', ipip: { local: '10.99.0.1', remote: '10.99.0.2', ttl: 64 } }),
      );
    } catch (error) {
      if (isNetlinkError(error, 95)) return context.skip('this kernel has no ipip');
      throw error;
    }
    expect(iproute(LEFT, 'link', 'show', 'tun9')[0]).toMatchObject({
      linkinfo: { info_kind: 'ipip', info_data: { local: '10.99.0.1', remote: '10.99.0.2', ttl: 64 } },
    });
    expect(getLink(left, 'tun9')?.ipip).toMatchObject({ local: '10.99.0.1', remote: '10.99.0.2' });
    left.request(deleteLink('tun9'));
  });

  test('addresses are as iproute2 shows them, replaced without complaint and deleted', () => {
    const shown = iproute(LEFT, 'address', 'show', 'br0')[0]?.addr_info as Json[];
    expect(shown).toContainEqual(
      expect.objectContaining({
        local: '10.99.0.1',
        prefixlen: 24,
        broadcast: '10.99.0.255',
        label: 'br0:a',
      }),
    );
    expect(shown).toContainEqual(expect.objectContaining({ local: 'fd99::1', prefixlen: 64, nodad: true }));
    left.request(replaceAddress({ link: bridge, address: '10.99.0.1/24' }));
    left.request(newAddress({ link: bridge, address: '10.98.0.1/32', flags: 0x200, peer: '10.98.0.2' }));
    expect(listAddresses(left, { link: bridge, family: 4 }).map((each) => [each.address, each.peer])).toEqual(
      [
        ['10.99.0.1/24', undefined],
        ['10.98.0.1/32', '10.98.0.2'],
      ],
    );
    left.request(deleteAddress({ link: bridge, address: '10.98.0.1/32', peer: '10.98.0.2' }));
    expect(listAddresses(left, { link: bridge, family: 4 })).toHaveLength(1);
  });

  test('routes are as iproute2 shows them: gateway, source, metric, table, onlink, mtu, unreachable', () => {
    right.batch([
      newRoute({ destination: 'default', gateway: '10.99.0.1', source: '10.99.0.2', metric: 7 }),
      newRoute({ destination: 'default', gateway: 'fd99::1', mtu: 1300 }),
      newRoute({ destination: '10.5.0.0/16', gateway: '172.16.0.1', link: eth0, onlink: true, table: 1107 }),
      newRoute({ destination: '10.6.0.0/16', type: 'unreachable', protocol: 17 }),
      newRoute({ destination: '10.7.0.0/16', link: eth0, table: 77 }),
    ]);
    const show = (...args: readonly string[]): Json[] => iproute(RIGHT, ...args);
    expect(show('route', 'show', 'default')[0]).toMatchObject({
      gateway: '10.99.0.1',
      prefsrc: '10.99.0.2',
      metric: 7,
      protocol: 'static',
    });
    expect(show('-6', 'route', 'show', 'default')[0]).toMatchObject({
      gateway: 'fd99::1',
      metrics: [{ mtu: 1300 }],
    });
    expect(show('route', 'show', 'table', '1107')[0]).toMatchObject({
      dst: '10.5.0.0/16',
      gateway: '172.16.0.1',
      dev: 'eth0',
      flags: ['onlink'],
    });
    expect(show('route', 'show', 'type', 'unreachable')[0]).toMatchObject({
      dst: '10.6.0.0/16',
      protocol: '17',
    });
    expect(show('route', 'show', 'table', '77')[0]).toMatchObject({ dst: '10.7.0.0/16', scope: 'link' });
  });

  test('routes are listed by table, family, link and protocol, and none for a table that does not exist', () => {
    expect(listRoutes(right, { table: 1107 })).toMatchObject([
      {
        destination: '10.5.0.0/16',
        gateway: '172.16.0.1',
        onlink: true,
        link: eth0,
        table: 1107,
        type: 'unicast',
      },
    ]);
    expect(listRoutes(right, { protocol: 17 }).map((route) => [route.destination, route.type])).toEqual([
      ['10.6.0.0/16', 'unreachable'],
    ]);
    expect(listRoutes(right, { table: 4242 })).toEqual([]);
    expect(
      listRoutes(right, { table: 254, family: 6 }).find((route) => route.destination === '::/0')?.mtu,
    ).toBe(1300);
  });

  test('a route is replaced, appended to, looked up and deleted', () => {
    const one = { destination: '10.8.0.0/16', gateway: '10.99.0.1' };
    right.request(newRoute(one));
    expect(errorOf(() => right.request(newRoute(one))).errno).toBe(EEXIST);
    right.request(replaceRoute({ destination: '10.8.0.0/16', gateway: '10.99.0.9' }));
    expect(lookupRoute(right, { to: '10.8.1.1' })).toMatchObject({ gateway: '10.99.0.9', link: eth0 });
    right.request(appendRoute(one));
    expect(
      listRoutes(right, { table: 254 }).filter((route) => route.destination === '10.8.0.0/16'),
    ).toHaveLength(2);
    right.batch([deleteRoute({ destination: '10.8.0.0/16' }), deleteRoute(one)]);
    expect(lookupRoute(right, { to: '10.8.1.1' })).toMatchObject({ gateway: '10.99.0.1', metric: undefined });
    expect(iproute(RIGHT, 'route', 'get', '10.8.1.1')[0]).toMatchObject({ gateway: '10.99.0.1' });
  });

  test('rules are as iproute2 shows them, and deleted by what they say', () => {
    right.batch([
      newRule({ priority: 100, from: '10.0.0.0/8', table: 1107, mark: 0x2000, markMask: 0x2000 }),
      newRule({ priority: 101, to: 'fd00::/8', table: 77 }),
      newRule({ priority: 102, table: 254, suppressPrefixLength: 0, incoming: 'eth0', not: true }),
    ]);
    const shown = iproute(RIGHT, 'rule', 'show');
    expect(shown.find((rule) => rule.priority === 100)).toMatchObject({
      src: '10.0.0.0',
      srclen: 8,
      fwmark: '0x2000',
      fwmask: '0x2000',
      table: '1107',
    });
    expect(shown.find((rule) => rule.priority === 102)).toMatchObject({ suppress_prefixlen: 0, iif: 'eth0' });
    expect(iproute(RIGHT, '-6', 'rule', 'show').find((rule) => rule.priority === 101)).toMatchObject({
      dst: 'fd00::',
      dstlen: 8,
    });
    expect(listRules(right, 4).find((rule) => rule.priority === 100)).toMatchObject({
      from: '10.0.0.0/8',
      table: 1107,
      mark: 0x2000,
      markMask: 0x2000,
      action: 'table',
    });
    right.batch([
      deleteRule({ priority: 100, from: '10.0.0.0/8', table: 1107 }),
      deleteRule({ priority: 101, family: 6 }),
      deleteRule({ priority: 102, table: 254 }),
    ]);
    expect(listRules(right, 4).map((rule) => rule.priority)).toEqual([0, 32766, 32767]);
  });

  test('neighbours are set, listed and deleted', () => {
    right.request(replaceNeighbour({ link: eth0, address: '10.99.0.77', mac: '02:00:00:00:00:77' }));
    expect(iproute(RIGHT, 'neigh', 'show', '10.99.0.77')[0]).toMatchObject({
      lladdr: '02:00:00:00:00:77',
      state: ['PERMANENT'],
    });
    expect(listNeighbours(right, eth0).find((each) => each.address === '10.99.0.77')).toMatchObject({
      mac: '02:00:00:00:00:77',
      state: NUD_PERMANENT,
    });
    right.request(deleteNeighbour({ link: eth0, address: '10.99.0.77' }));
    expect(listNeighbours(right, eth0).filter((each) => each.state === NUD_PERMANENT)).toEqual([]);
  });

  test("a refusal says what was asked, the number and the kernel's own words", () => {
    const error = errorOf(() => right.request(newRoute({ destination: '10.9.0.0/16', gateway: '9.9.9.9' })));
    expect(error).toBeInstanceOf(NetlinkError);
    expect(error).toMatchObject({
      code: 'ERR_NETLINK',
      errno: ENETUNREACH,
      errnoName: 'ENETUNREACH',
      request: 'RTM_NEWROUTE',
      extack: 'Nexthop has invalid gateway',
    });
    expect(error.message).toContain('10.9.0.0/16 via 9.9.9.9');
    expect(errorOf(() => linkIndex(right, 'nope')).errno).toBe(ENODEV);
  });

  test('in a batch each request has its own answer, and those after a failed one are carried out', () => {
    const results = right.tryBatch([
      newRoute({ destination: '10.20.0.0/16', gateway: '10.99.0.1' }),
      newRoute({ destination: '10.20.0.0/16', gateway: '10.99.0.1' }),
      newRoute({ destination: '10.21.0.0/16', gateway: '10.99.0.1' }),
    ]);
    expect(results.map((error) => error?.errno)).toEqual([undefined, EEXIST, undefined]);
  });

  test('a thousand routes go in one batch and come back in one dump', () => {
    const routes = Array.from({ length: 1000 }, (_, at) => ({
      destination: `10.${100 + (at >> 8)}.${at & 255}.0/24`,
      gateway: '10.99.0.1',
      table: 5000,
    }));
    right.batch(routes.map(newRoute));
    expect(new Set(listRoutes(right, { table: 5000 }).map((route) => route.destination))).toEqual(
      new Set(routes.map((route) => route.destination)),
    );
  });

  test('dumps stay whole while somebody else changes the table all the time', async () => {
    const script = 'for i in $(seq 1 150); do ip route replace 10.200.$i.0/24 via 10.99.0.1 table 5001; done';
    const churn = spawn('ip', ['netns', 'exec', RIGHT, 'sh', '-c', script], { stdio: 'ignore' });
    const ended = new Promise<void>((resolve) => churn.once('close', () => resolve()));
    let running = true;
    void ended.then(() => {
      running = false;
    });
    const want = 1000;
    while (running) {
      const seen = listRoutes(right, { table: 5000 }).map((route) => route.destination);
      expect(seen).toHaveLength(want);
      expect(new Set(seen).size).toBe(want);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await ended;
  });

  test('a subscription tells of a link the moment it appears', async () => {
    const events = enterNamespace(leftPath, () => subscribeToRoutes([RTNLGRP_LINK]));
    const names: string[] = [];
    let watch: ReturnType<typeof watchReadable> | undefined;
    const seen = new Promise<void>((resolve) => {
      watch = watchReadable(events.fd, () => {
        const { messages, lost } = events.drain();
        expect(lost).toBe(false);
        for (const message of messages) if (message.type === RTM_NEWLINK) names.push('new link');
        if (names.length > 0) resolve();
      });
    });
    left.request(newLink({ kind: 'veth', name: 'ev0', peer: { name: 'ev1' } }));
    await seen;
    watch?.close();
    events.close();
    left.request(deleteLink('ev0'));
    expect(names.length).toBeGreaterThan(0);
  });

  test('requests on a closed socket fail with a sentence', () => {
    const socket = openRouteSocketIn(leftPath);
    socket.close();
    socket.close();
    expect(errorOf(() => getLink(socket, 'lo')).errnoName).toBe('EBADF');
  });
});
