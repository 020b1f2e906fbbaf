/**
 * Clients as values: addresses from a pool, the Peer they become, the list, and the file they load.
 * @module
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkPools, freeAddress, occupiedBy, parsePools } from '../../../src/admin/clients/address-pool.ts';
import { clientPatch, composeClient } from '../../../src/admin/clients/client.ts';
import { clientConf } from '../../../src/admin/clients/client-conf.ts';
import { listClients } from '../../../src/admin/clients/client-list.ts';
import { type ClusterSnapshot, snapshotOf } from '../../../src/admin/cluster-snapshot.ts';
import { meshOf } from '../../../src/admin/mesh.ts';
import type { NodeResource, PeerResource } from '../../../src/agent/kubernetes/resources.ts';
import { peerTerms } from '../../../src/agent/peer-terms.ts';
import { parseConf } from '../../../src/noise/conf-file.ts';
import { cidr, formatAddress, formatCidr, parseAddress } from '../../../src/noise/ip.ts';

// 2026-11-21T12:00:00Z, by date(1).
const NOW = 1_795_262_400;
const key = (letter: string): string => `${letter.repeat(42)}E=`;

const node = (
  name: string,
  location: string,
  endpoint: string,
  pods: string,
  privateIP: string,
): NodeResource => ({
  metadata: {
    name,
    annotations: {
      'kilo.squat.ai/location': location,
      'kilo.squat.ai/key': key(name),
      'kilo.squat.ai/endpoint': endpoint,
      'kilo.squat.ai/internal-ip': privateIP,
      'kilo.squat.ai/last-seen': String(NOW),
      'kilo.squat.ai/granularity': 'location',
    },
  },
  spec: { podCIDR: pods },
});

const NODES = [
  node('a', 'one', '203.0.113.1:51820', '10.42.1.0/24', '10.0.1.5/24'),
  node('b', 'two', 'b.example.org:51820', '10.42.2.0/24', '10.0.2.5/24'),
];

const snapshot = (...peers: PeerResource[]): ClusterSnapshot =>
  snapshotOf({ nodes: NODES, peers, now: NOW, topologyLabel: 'topology.kubernetes.io/region' });

const peer = (
  name: string,
  allowedIPs: string[],
  annotations: Record<string, string> = {},
): PeerResource => ({
  metadata: { name, annotations },
  spec: { allowedIPs, publicKey: key(name.charAt(0)) },
});

const text = (address: Uint8Array | null): string | null =>
  address === null ? null : formatAddress(address);

describe('the pool', () => {
  it('gives the first address that nobody has', () => {
    const pool = cidr('10.5.0.0/16');
    expect(text(freeAddress(pool, []))).toBe('10.5.0.1');
    expect(text(freeAddress(pool, [cidr('10.5.0.1/32'), cidr('10.5.0.3/32')]))).toBe('10.5.0.2');
    expect(text(freeAddress(pool, [cidr('10.5.0.1/32'), cidr('10.5.0.2/32')]))).toBe('10.5.0.3');
    expect(text(freeAddress(cidr('fd05::/64'), [cidr('fd05::1/128')]))).toBe('fd05::2');
  });

  it('neither gives the base nor the broadcast address, and ends', () => {
    const pool = cidr('10.5.0.0/30');
    expect(text(freeAddress(pool, [cidr('10.5.0.1/32')]))).toBe('10.5.0.2');
    expect(freeAddress(pool, [cidr('10.5.0.1/32'), cidr('10.5.0.2/32')])).toBeNull();
    expect(freeAddress(pool, [cidr('0.0.0.0/0')])).toBeNull();
    expect(freeAddress(cidr('fd05::/64'), [cidr('fd00::/8')])).toBeNull();
  });

  it('never gives an address that lies in somebody’s range', () => {
    const range = fc
      .tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 24, max: 32 }))
      .map(([last, prefix]) => cidr(`10.5.0.${last}/${prefix}`));
    fc.assert(
      fc.property(fc.array(range, { maxLength: 20 }), (taken) => {
        const given = freeAddress(cidr('10.5.0.0/23'), taken);
        if (given === null) return false; // 10.5.1.0/24 is always free
        const [, , third = 0, last = 0] = given;
        const within = taken.some(({ address, prefix }) => {
          const size = 2 ** (32 - prefix);
          return third === 0 && Math.floor((address[3] ?? 0) / size) === Math.floor(last / size);
        });
        return !within;
      }),
    );
  });

  it('is refused where it overlaps what the mesh has', () => {
    const occupied = occupiedBy(snapshot(), cidr('10.4.0.0/16'));
    expect(() => checkPools(parsePools('10.5.0.0/16,fd05::/64'), occupied)).not.toThrow();
    for (const [pool, what] of [
      ['10.4.7.0/24', "the mesh's own addresses"],
      ['10.42.0.0/16', 'pods of a'],
      ['10.0.2.0/25', 'the private network of b'],
    ] as const)
      expect(() => checkPools(parsePools(pool), occupied)).toThrow(what);
    expect(() => parsePools('10.5.0.0')).toThrow('is no range');
    expect(() => parsePools('10.5.0.0/16,10.6.0.0/16')).toThrow('two pools of one family');
  });
});

describe('a client', () => {
  const pools = parsePools('10.5.0.0/16');

  it('is the Peer that a person would have written', () => {
    expect(
      composeClient(
        {
          name: 'phone',
          publicKey: key('P'),
          presharedKey: key('S'),
          pools,
          expires: NOW + 3600,
          allow: ['10.42.0.0/16', '10.43.0.10', 'default/web'],
          email: 'p@example.org',
          tags: ['staff', 'emea'],
        },
        snapshot(peer('laptop', ['10.5.0.1/32'])),
      ),
    ).toEqual({
      apiVersion: 'kilo.squat.ai/v1alpha1',
      kind: 'Peer',
      metadata: {
        name: 'phone',
        annotations: {
          'kilowire.dev/expires': '2026-11-21T13:00:00Z',
          'kilowire.dev/allow': '10.42.0.0/16,10.43.0.10/32,default/web',
          'kilowire.dev/email': 'p@example.org',
          'kilowire.dev/tags': 'staff,emea',
        },
      },
      spec: {
        allowedIPs: ['10.5.0.2/32'],
        persistentKeepalive: 25,
        presharedKey: key('S'),
        publicKey: key('P'),
      },
    });
  });

  it('is refused when its name, key or address is taken, or something cannot be read', () => {
    const there = snapshot(peer('laptop', ['10.5.0.1/32']));
    const add = (more: object) => () =>
      composeClient({ name: 'phone', publicKey: key('P'), pools, ...more }, there);
    expect(add({ name: 'laptop' })).toThrow('There is a client "laptop" already');
    expect(add({ name: 'My Phone' })).toThrow('cannot name a client');
    expect(add({ publicKey: key('l') })).toThrow('"laptop" has this public key already');
    expect(add({ publicKey: key('a') })).toThrow('"a" has this public key already');
    expect(add({ publicKey: 'nonsense' })).toThrow('The public key is none');
    expect(add({ addresses: [parseAddress('10.5.0.1')] })).toThrow('Another Peer has the address 10.5.0.1');
    expect(add({ allow: ['web'] })).toThrow('"web" cannot be allowed');
    expect(add({ pools: parsePools('10.5.0.0/31'), addresses: undefined })).toThrow('no free address');
  });

  it('is changed by a patch of what is named only', () => {
    expect(clientPatch({ enabled: false })).toEqual({
      metadata: { annotations: { 'kilowire.dev/enabled': 'false' } },
    });
    expect(clientPatch({ enabled: true, expires: null, allow: null })).toEqual({
      metadata: {
        annotations: {
          'kilowire.dev/enabled': null,
          'kilowire.dev/expires': null,
          'kilowire.dev/allow': null,
        },
      },
    });
    expect(clientPatch({ publicKey: key('Q'), presharedKey: null })).toEqual({
      spec: { publicKey: key('Q'), presharedKey: null },
    });
  });
});

describe('the terms of a Peer', () => {
  const terms = (annotations: Record<string, string>) => peerTerms({ metadata: { name: 'p', annotations } });

  it('close where they cannot be read', () => {
    expect(terms({})).toEqual({ enabled: true, expires: null, allow: null, faults: [] });
    const bad = terms({
      'kilowire.dev/expires': 'tomorrow',
      'kilowire.dev/allow': 'default/web, ,nonsense, 10.0.0.0/33',
      'kilowire.dev/enabled': 'maybe',
    });
    expect(bad).toMatchObject({ enabled: false, expires: 0, allow: [{ service: 'default/web' }] });
    expect(bad.faults).toHaveLength(3);
    expect(terms({ 'kilowire.dev/allow': '' }).allow).toEqual([]);
  });

  it('know times of every zone', () => {
    for (const time of ['2026-11-21T12:00:00Z', '2026-11-21T13:00:00+01:00', '2026-11-21t12:00:00.5z'])
      expect(terms({ 'kilowire.dev/expires': time }).expires).toBe(NOW);
  });
});

describe('the list', () => {
  it('says who takes part, and who does not and why', async () => {
    const there = snapshot(
      peer('active', ['10.5.0.1/32'], { 'kilowire.dev/expires': '2026-11-21T12:00:01Z' }),
      peer('disabled', ['10.5.0.2/32'], { 'kilowire.dev/enabled': 'false' }),
      peer('expired', ['10.5.0.3/32'], { 'kilowire.dev/expires': '2026-11-21T12:00:00Z' }),
      peer('invalid', ['10.5.0.4']),
    );
    expect(listClients(there).map(({ name, state }) => [name, state])).toEqual([
      ['active', 'active'],
      ['disabled', 'disabled'],
      ['expired', 'expired'],
      ['invalid', 'invalid'],
    ]);
    const mesh = await meshOf(there, { granularity: 'auto' });
    expect(mesh.view.peers.map(({ name }) => name)).toEqual(['active']);
  });
});

describe('the file of a client', () => {
  const mesh = async (...peers: PeerResource[]) => await meshOf(snapshot(...peers), { granularity: 'auto' });

  it('has every location, and is read by wg-quick’s grammar', async () => {
    const others = [peer('router', ['10.5.0.9/32', '192.168.7.0/24']), peer('phone', ['10.5.0.2/32'])];
    Object.assign(others[0]?.spec ?? {}, { endpoint: { dnsOrIP: { ip: '203.0.113.9' }, port: 7 } });
    const laptop = peer('laptop', ['10.5.0.1/32']);
    Object.assign(laptop.spec ?? {}, { presharedKey: key('S'), persistentKeepalive: 25 });
    const { text, leftOut } = clientConf(await mesh(laptop, ...others), 'laptop', {
      privateKey: key('Z'),
      ranges: [cidr('10.43.0.0/16')],
      dns: { servers: [Uint8Array.of(10, 43, 0, 10)], domain: 'cluster.local', split: false },
    });
    expect(leftOut).toEqual([]);
    const { device, quick } = parseConf(text);
    expect(quick.addresses.map(formatCidr)).toEqual(['10.5.0.1/32']);
    expect(quick.dns).toEqual(['10.43.0.10', 'svc.cluster.local']);
    expect(quick.mtu).toBe(1420);
    // Who has no endpoint cannot be dialled: the phone is not in it.
    expect(device.peers.map(({ allowedIps }) => allowedIps.map(formatCidr).join(' '))).toEqual([
      '10.42.1.0/24 10.0.1.5/32 10.4.0.1/32 10.43.0.0/16',
      '10.42.2.0/24 10.0.2.5/32 10.4.0.2/32',
      '10.5.0.9/32 192.168.7.0/24',
    ]);
    expect(device.peers.map(({ presharedKey }) => presharedKey !== undefined)).toEqual([true, true, false]);
    expect(device.peers[1]?.endpointName).toEqual({ host: 'b.example.org', port: 51_820 });
  });

  it('leaves out what would swallow a tunnel’s end, and has a place for the key', async () => {
    const office = peer('office', ['203.0.113.0/24', '0.0.0.0/0']);
    Object.assign(office.spec ?? {}, { endpoint: { dnsOrIP: { ip: '203.0.113.9' }, port: 7 } });
    const { text, leftOut } = clientConf(await mesh(peer('laptop', ['10.5.0.1/32']), office), 'laptop');
    expect(leftOut).toEqual([
      '203.0.113.0/24 is not in the file: the end of a tunnel lies in it.',
      '0.0.0.0/0 is not in the file: it would be the way to everything.',
    ]);
    expect(text).toContain('\nPrivateKey = PRIVATE_KEY\n');
  });

  it('is there for one that is disabled, and asks systemd-resolved where only the cluster is meant', async () => {
    const off = peer('laptop', ['10.5.0.1/32'], { 'kilowire.dev/enabled': 'false' });
    const { text } = clientConf(await mesh(off), 'laptop', {
      dns: { servers: [Uint8Array.of(10, 43, 0, 10)], domain: 'cluster.local', split: true },
    });
    expect(text).toContain(
      'PostUp = resolvectl dns %i 10.43.0.10; resolvectl domain %i ~cluster.local svc.cluster.local',
    );
    expect(() => parseConf(text.replace('PRIVATE_KEY', key('Z')))).not.toThrow();
    expect(() => clientConf({ snapshot: snapshot() } as never, 'nobody')).toThrow(
      'There is no client "nobody"',
    );
  });
});
