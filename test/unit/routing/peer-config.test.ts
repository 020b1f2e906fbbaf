/**
 * What showconf prints, byte for byte.
 * @module
 */

import { describe, expect, test } from 'vitest';
import { cidr } from '../../../src/noise/ip.ts';
import {
  formatPrintedPeer,
  nodeAsPeer,
  peerAsPeer,
  showNode,
  showPeer,
} from '../../../src/routing/peer-config.ts';
import { peerManifest } from '../../../src/routing/peer-manifest.ts';
import { endpoint, hybrid, keyOf, lookFrom, peer, twoRegions } from './clusters.ts';

const office = peer('office', ['10.5.0.2/32', '172.20.0.0/16'], {
  endpoint: endpoint('vpn.example.com:51820'),
  presharedKey: keyOf('secret'),
  persistentKeepalive: 10,
});
const laptop = peer('laptop', ['10.5.0.1/32']);
const cluster = { ...twoRegions, peers: [laptop, office] };

describe('a node', () => {
  test('shows its interface, the other segments, then the Peers', () => {
    const topology = lookFrom('us-1', 'location', { ...twoRegions, peers: [office] });
    expect(showNode(topology)).toBe(
      `[Interface]
ListenPort = 51820

[Peer]
AllowedIPs = 10.42.0.0/24, 10.1.0.1/32, 10.42.1.0/24, 10.1.0.2/32, 10.42.2.0/24, 10.1.0.3/32, 10.4.0.1/32
Endpoint = 203.0.113.1:51820
PersistentKeepalive = 0
PublicKey = ${keyOf('eu-1')}

[Peer]
AllowedIPs = 10.5.0.2/32, 172.20.0.0/16
Endpoint = vpn.example.com:51820
PersistentKeepalive = 0
PresharedKey = ${keyOf('secret')}
PublicKey = ${keyOf('office')}
`,
    );
  });

  test('that does not lead has none', () => {
    expect(showNode(lookFrom('us-2', 'location', cluster))).toBeNull();
  });

  test('in a cross mesh shows the other locations only', () => {
    const text = showNode(lookFrom('us-2', 'cross', twoRegions), 51999);
    expect(text).toContain('ListenPort = 51999\n');
    expect(text?.split('[Peer]')).toHaveLength(4);
  });

  test('as a Peer is its segment, without what it relays for its location', () => {
    const topology = lookFrom('home-1', 'location', hybrid);
    const printed = nodeAsPeer(topology, [cidr('10.43.0.0/16'), cidr('10.42.3.0/24')]);
    expect(formatPrintedPeer(printed)).toBe(
      `[Peer]
AllowedIPs = 10.42.3.0/24, 192.168.1.10/32, 10.4.0.2/32, 10.43.0.0/16
Endpoint = 192.168.1.10:51820
PersistentKeepalive = 0
PublicKey = ${keyOf('home-1')}
`,
    );
    expect(peerManifest('home-1', printed)).toEqual({
      apiVersion: 'kilo.squat.ai/v1alpha1',
      kind: 'Peer',
      metadata: { name: 'home-1' },
      spec: {
        allowedIPs: ['10.42.3.0/24', '192.168.1.10/32', '10.4.0.2/32', '10.43.0.0/16'],
        endpoint: { dnsOrIP: { ip: '192.168.1.10' }, port: 51820 },
        publicKey: keyOf('home-1'),
      },
    });
  });
});

describe('a Peer', () => {
  test('loads every segment with its own keepalive and secret, and other Peers without the secret', () => {
    expect(showPeer(lookFrom('eu-1', 'location', cluster), 'office')).toBe(
      `[Peer]
AllowedIPs = 10.42.0.0/24, 10.1.0.1/32, 10.42.1.0/24, 10.1.0.2/32, 10.42.2.0/24, 10.1.0.3/32, 10.4.0.1/32
Endpoint = 203.0.113.1:51820
PersistentKeepalive = 10
PresharedKey = ${keyOf('secret')}
PublicKey = ${keyOf('eu-1')}

[Peer]
AllowedIPs = 10.42.3.0/24, 10.2.0.1/32, 10.42.4.0/24, 10.2.0.2/32, 10.42.5.0/24, 10.2.0.3/32, 10.4.0.2/32
Endpoint = 198.51.100.1:51820
PersistentKeepalive = 10
PresharedKey = ${keyOf('secret')}
PublicKey = ${keyOf('us-1')}

[Peer]
AllowedIPs = 10.5.0.1/32
PersistentKeepalive = 10
PublicKey = ${keyOf('laptop')}
`,
    );
  });

  test('sees the ranges nodes offer for their location', () => {
    expect(showPeer(lookFrom('gcp-1', 'location', hybrid), 'laptop')).toContain(
      'AllowedIPs = 10.42.3.0/24, 192.168.1.10/32, 10.4.0.2/32, 192.168.1.0/24\n',
    );
  });

  test('as a Peer of another cluster is itself, its name a name and its keepalive in seconds', () => {
    const topology = lookFrom('eu-1', 'location', cluster);
    expect(peerManifest('office', peerAsPeer(topology, 'office'))).toEqual({
      apiVersion: 'kilo.squat.ai/v1alpha1',
      kind: 'Peer',
      metadata: { name: 'office' },
      spec: {
        allowedIPs: ['10.5.0.2/32', '172.20.0.0/16'],
        endpoint: { dnsOrIP: { dns: 'vpn.example.com' }, port: 51820 },
        persistentKeepalive: 10,
        presharedKey: keyOf('secret'),
        publicKey: keyOf('office'),
      },
    });
    expect(peerManifest('laptop', peerAsPeer(topology, 'laptop')).spec).toEqual({
      allowedIPs: ['10.5.0.1/32'],
      publicKey: keyOf('laptop'),
    });
  });

  test('nobody knows is named in the error', () => {
    expect(() => showPeer(lookFrom('eu-1', 'location', cluster), 'phone')).toThrow(
      'did not find any peer named "phone" in the cluster',
    );
  });

  test('with a bare IPv6 endpoint has it in brackets', () => {
    const v6 = peer('v6', ['fd00::5/128'], { endpoint: endpoint('[2001:db8::1]:51820') });
    expect(showNode(lookFrom('eu-1', 'location', { ...twoRegions, peers: [v6] }))).toContain(
      'AllowedIPs = fd00::5/128\nEndpoint = [2001:db8::1]:51820\n',
    );
  });
});
