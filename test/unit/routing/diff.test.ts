/**
 * Differences, held by applying them: what is there plus the change is what is wanted.
 * @module
 */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { DeviceChange, DeviceConfig, PeerConfig } from '../../../src/noise/device-config.ts';
import { type Cidr, cidr, formatCidr } from '../../../src/noise/ip.ts';
import { diff, diffDevices, diffPlans } from '../../../src/routing/diff.ts';
import { keyBytes, keyText } from '../../../src/routing/key-text.ts';
import { desiredRoutes, type Plan, type Route } from '../../../src/routing/routes.ts';
import { wireguardConfig } from '../../../src/routing/wireguard-config.ts';
import {
  endpoint,
  fourClouds,
  hybrid,
  keyOf,
  lookFrom,
  planText,
  routeText,
  ruleText,
  twoRegions,
} from './clusters.ts';

const links = { wireguard: 'kilo0', private: 'eth0', tunnel: 'tunl0' };

describe('any items', () => {
  interface Item {
    readonly key: string;
    readonly value: number;
  }
  const items = fc.array(
    fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd', 'e'), value: fc.integer({ min: 0, max: 2 }) }),
    { maxLength: 8 },
  );
  const compare = (have: Item[], want: Item[]) =>
    diff(
      have,
      want,
      (item) => item.key,
      (a, b) => a.value === b.value,
    );

  test('taking away, replacing and adding gives what is wanted', () => {
    fc.assert(
      fc.property(items, items, (have, want) => {
        const { remove, replace, add } = compare(have, want);
        const left = have.filter((item) => !remove.includes(item));
        const result = [
          ...left.map((item) => replace.find((pair) => pair.have === item)?.want ?? item),
          ...add,
        ];
        // The first of several wanted with one key is meant.
        const wanted = want.filter((item, i) => want.findIndex((other) => other.key === item.key) === i);
        const sorted = (list: Item[]) => list.map(({ key, value }) => `${key}${value}`).toSorted();
        expect(sorted(result)).toEqual(sorted(wanted));
      }),
    );
  });

  test('what is right already needs nothing', () => {
    fc.assert(
      fc.property(items, (want) => {
        const once = want.filter((item, i) => want.findIndex((other) => other.key === item.key) === i);
        expect(compare(once.toReversed(), once)).toEqual({ remove: [], replace: [], add: [] });
      }),
    );
  });
});

describe('routes and rules', () => {
  const plan = (name: string, cluster: typeof twoRegions) =>
    desiredRoutes(lookFrom(name, 'location', cluster), { links });
  const empty: Plan = { routes: [], rules: [] };

  test('a member that leaves takes its routes, also those of table 1107, and its rules', () => {
    const without = { nodes: twoRegions.nodes.filter((member) => member.name !== 'eu-3') };
    const { routes, rules } = diffPlans(plan('eu-1', twoRegions), plan('eu-1', without));
    expect(routes.remove.map(routeText)).toEqual([
      '10.42.2.0/24 via 10.1.0.3 dev tunl0 src 10.1.0.1 onlink',
      '10.1.0.3/32 via 10.1.0.3 dev tunl0 src 10.1.0.1 onlink table 1107',
    ]);
    expect(rules.remove.map(ruleText)).toEqual([
      'rule from 10.42.0.0/24 to 10.1.0.3/32 lookup 1107',
      'rule to 10.1.0.3/32 iif kilo0 lookup 1107',
    ]);
    expect([...routes.add, ...routes.replace, ...rules.add, ...rules.replace]).toEqual([]);
  });

  test('a new gateway replaces a route in place', () => {
    const [route] = plan('eu-2', twoRegions).routes;
    const moved: Route = { ...route!, via: Uint8Array.of(10, 1, 0, 9) };
    expect(diffPlans({ ...empty, routes: [moved] }, { ...empty, routes: [route!] }).routes).toEqual({
      remove: [],
      replace: [{ have: moved, want: route }],
      add: [],
    });
  });

  test('a rule that is there twice loses one', () => {
    const { rules } = plan('eu-2', twoRegions);
    const found = diffPlans({ routes: [], rules: [...rules, rules[0]!] }, { routes: [], rules });
    expect(found.rules.remove.map(ruleText)).toEqual(['rule from 10.42.1.0/24 to 10.1.0.1/32 lookup 1107']);
  });

  test('from nothing to everything and back', () => {
    const all = plan('eu-1', twoRegions);
    const up = diffPlans(empty, all);
    expect(planText({ routes: up.routes.add, rules: up.rules.add })).toEqual(planText(all));
    const down = diffPlans(all, empty);
    expect(planText({ routes: down.routes.remove, rules: down.rules.remove })).toEqual(planText(all));
  });
});

/** A device as slow words: what a set does, one section after the other. */
const applied = (device: DeviceConfig, change: DeviceChange): DeviceConfig => {
  const peers = new Map(device.peers.map((section) => [keyText(section.publicKey), section]));
  for (const section of change.peers) {
    const key = keyText(section.publicKey);
    if (section.remove === true) {
      peers.delete(key);
      continue;
    }
    const old = peers.get(key);
    if (old === undefined && section.updateOnly === true) continue;
    const kept = section.replaceAllowedIps === true ? [] : (old?.allowedIps ?? []);
    const gained = section.allowedIps ?? [];
    const isGained = (range: Cidr): boolean =>
      gained.some((other) => formatCidr(other) === formatCidr(range));
    for (const [other, loser] of peers)
      if (other !== key)
        peers.set(other, { ...loser, allowedIps: loser.allowedIps.filter((range) => !isGained(range)) });
    const { remove: _r, updateOnly: _u, replaceAllowedIps: _p, removeAllowedIps: _a, ...fields } = section;
    peers.set(key, {
      ...old,
      ...fields,
      allowedIps: [...kept.filter((range) => !isGained(range)), ...gained],
    });
  }
  const { replacePeers: _, ...fields } = change;
  return { ...device, ...fields, peers: [...peers.values()] };
};

const described = (device: DeviceConfig) => ({
  listenPort: device.listenPort,
  peers: device.peers
    .map((section) => [
      keyText(section.publicKey),
      section.presharedKey === undefined || section.presharedKey.every((byte) => byte === 0)
        ? ''
        : keyText(section.presharedKey),
      section.persistentKeepalive ?? 0,
      section.endpoint?.port,
      ...section.allowedIps.map(formatCidr).toSorted(),
    ])
    .toSorted((a, b) => (String(a[0]) < String(b[0]) ? -1 : 1)),
});

describe('devices', () => {
  const ranges = ['10.42.0.0/24', '10.42.1.0/24', '10.42.2.0/24', '10.42.3.0/24'];
  /** Each range has one holder at most, as in a device. */
  const device: fc.Arbitrary<DeviceConfig> = fc
    .record({
      listenPort: fc.constantFrom(51820, 51821),
      peers: fc.uniqueArray(
        fc.record({
          name: fc.constantFrom('a', 'b', 'c', 'd'),
          keepalive: fc.constantFrom(0, 25),
          port: fc.constantFrom(1, 2),
          secret: fc.constantFrom('', 's', 't'),
        }),
        { selector: ({ name }) => name },
      ),
      holders: fc.array(fc.nat({ max: 3 }), { minLength: ranges.length, maxLength: ranges.length }),
    })
    .map(({ listenPort, peers, holders }) => ({
      listenPort,
      peers: peers.map(
        (shape, i): PeerConfig => ({
          publicKey: keyBytes(keyOf(shape.name)),
          ...(shape.secret === '' ? {} : { presharedKey: keyBytes(keyOf(shape.secret)) }),
          endpoint: { address: Uint8Array.of(8, 8, 8, 8), port: shape.port },
          persistentKeepalive: shape.keepalive,
          allowedIps: ranges.filter((_, r) => holders[r] === i).map(cidr),
        }),
      ),
    }));

  test('a change makes a device what is wanted, and then there is none', () => {
    fc.assert(
      fc.property(device, device, (have, want) => {
        const change = diffDevices(have, want);
        const result = change === null ? have : applied(have, change);
        expect(described(result)).toEqual(described(want));
        expect(diffDevices(result, want)).toBeNull();
      }),
      { numRuns: 400 },
    );
  });

  test('peers that stay as they are are not named, so their sessions go on', () => {
    fc.assert(
      fc.property(device, device, (have, want) => {
        const named = new Set(diffDevices(have, want)?.peers.map((section) => keyText(section.publicKey)));
        for (const section of described(want).peers)
          if (described(have).peers.some((other) => JSON.stringify(other) === JSON.stringify(section)))
            expect(named.has(String(section[0]))).toBe(false);
      }),
    );
  });

  const leader = wireguardConfig(lookFrom('gcp-1', 'location', hybrid))!;

  test('a Peer without an endpoint hides no later change', () => {
    // The laptop has none, neither wanted nor there; the node that comes after it must still be added.
    const fewer = {
      ...leader,
      peers: leader.peers.filter((section) => keyText(section.publicKey) !== keyOf('metal-1')),
    };
    expect(diffDevices(fewer, leader)?.peers.map((section) => keyText(section.publicKey))).toEqual([
      keyOf('metal-1'),
    ]);
  });

  test('where a Peer without an endpoint came from is left as the device learnt it', () => {
    const roamed = {
      ...leader,
      peers: leader.peers.map((section) =>
        keyText(section.publicKey) === keyOf('laptop')
          ? { ...section, endpoint: { address: Uint8Array.of(9, 9, 9, 9), port: 4242 } }
          : section,
      ),
    };
    expect(diffDevices(roamed, leader)).toBeNull();
  });

  test('what a device reports in other words is the same', () => {
    const reported = {
      ...leader,
      fwmark: 0,
      peers: leader.peers
        .map((section) => ({ ...section, presharedKey: new Uint8Array(32), persistentKeepalive: 0 }))
        .toReversed(),
    };
    expect(diffDevices(reported, leader)).toBeNull();
  });

  test('a key, a port or a mark alone is a change', () => {
    const full = wireguardConfig(lookFrom('ali-1', 'full', fourClouds))!;
    const privateKey = keyBytes(keyOf('private'));
    expect(diffDevices(full, { ...full, privateKey })).toEqual({ privateKey, peers: [] });
    expect(
      diffDevices({ ...full, privateKey }, { ...full, privateKey: Uint8Array.from(privateKey) }),
    ).toBeNull();
    expect(diffDevices(full, { ...full, listenPort: 4242 })).toEqual({ listenPort: 4242, peers: [] });
    expect(diffDevices(full, { ...full, fwmark: 7 })).toEqual({ fwmark: 7, peers: [] });
    const address = endpoint('9.9.9.9:1').address!;
    const moved = full.peers.map((section, i) =>
      i === 1 ? { ...section, endpoint: { address, port: 1 } } : section,
    );
    expect(diffDevices(full, { ...full, peers: moved })?.peers).toEqual([
      { publicKey: full.peers[1]!.publicKey, updateOnly: true, endpoint: { address, port: 1 } },
    ]);
  });
});
