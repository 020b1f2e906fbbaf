/**
 * Kilo's cases of Peer translation, and the sentences of its webhook.
 * @module
 */
import { describe, expect, it } from 'vitest';
import type { PeerSpec } from '../../../src/agent/kubernetes/resources.ts';
import { peerOf, whyPeerInvalid } from '../../../src/agent/peer-resource.ts';
import { formatCidr } from '../../../src/noise/ip.ts';
import { formatMeshEndpoint } from '../../../src/routing/node.ts';

const KEY = 'yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=';

const brief = (spec: PeerSpec) => {
  const peer = peerOf({ metadata: { name: 'p' }, spec });
  return {
    ...(peer.allowedIPs.length === 0 ? {} : { ips: peer.allowedIPs.map(formatCidr).join() }),
    ...(peer.endpoint === undefined ? {} : { endpoint: formatMeshEndpoint(peer.endpoint) }),
    ...(peer.key === '' ? {} : { key: peer.key }),
    ...(peer.presharedKey === undefined ? {} : { psk: peer.presharedKey }),
    ...(peer.persistentKeepalive === 0 ? {} : { keepalive: peer.persistentKeepalive }),
  };
};

describe("a Peer's record, by Kilo's cases", () => {
  it.each<[string, PeerSpec, object]>([
    ['empty', {}, {}],
    ['null for its ranges', { allowedIPs: null }, {}],
    ['invalid ranges', { allowedIPs: ['10.0.0.1', 'foo'] }, {}],
    ['valid ranges', { allowedIPs: ['10.0.0.1/24', '10.0.0.2/32'] }, { ips: '10.0.0.1/24,10.0.0.2/32' }],
    ['invalid endpoint address', { endpoint: { dnsOrIP: { ip: 'foo' }, port: 51820 } }, {}],
    ['only a port', { endpoint: { dnsOrIP: {}, port: 51820 } }, {}],
    ['endpoint', { endpoint: { dnsOrIP: { ip: '10.0.0.1' }, port: 51820 } }, { endpoint: '10.0.0.1:51820' }],
    [
      'IPv6 endpoint',
      { endpoint: { dnsOrIP: { ip: 'ff60::2' }, port: 51820 } },
      { endpoint: '[ff60::2]:51820' },
    ],
    [
      'name',
      { endpoint: { dnsOrIP: { dns: 'example.com' }, port: 51820 } },
      { endpoint: 'example.com:51820' },
    ],
    [
      'name and address',
      { endpoint: { dnsOrIP: { dns: 'example.com', ip: '10.0.0.1' }, port: 51820 } },
      { endpoint: 'example.com:51820' },
    ],
    ['empty key', { publicKey: '' }, {}],
    ['key', { publicKey: KEY }, { key: KEY }],
    ['keepalive below zero', { persistentKeepalive: -1 }, {}],
    ['keepalive', { persistentKeepalive: 1 }, { keepalive: 1 }],
    ['preshared key', { presharedKey: KEY }, { psk: KEY }],
    ['invalid preshared key', { presharedKey: 'foo' }, {}],
  ])('%s', (_name, spec, expected) => expect(brief(spec)).toEqual(expected));
});

describe('validation, in the words of the webhook', () => {
  const good: PeerSpec = { allowedIPs: ['10.5.0.1/32'], publicKey: KEY };
  it.each<[PeerSpec, string | null]>([
    [good, null],
    [{ ...good, allowedIPs: [] }, null],
    [
      { ...good, allowedIPs: ['10.5.0.1'] },
      'failed to parse "10.5.0.1" as a valid IP address: invalid CIDR address: 10.5.0.1',
    ],
    [{ ...good, endpoint: { dnsOrIP: {}, port: 1 } }, 'either an endpoint DNS name IP address must be given'],
    [
      { ...good, endpoint: { dnsOrIP: { ip: '1.2.3' }, port: 1 } },
      'failed to parse "1.2.3" as a valid IP address',
    ],
    [
      { ...good, endpoint: { dnsOrIP: { ip: '1.2.3.4' }, port: 0 } },
      'port must be a valid UDP port number, got 0',
    ],
    [
      { ...good, endpoint: { dnsOrIP: { ip: '1.2.3.4' }, port: 65536 } },
      'port must be a valid UDP port number, got 65536',
    ],
    [
      { ...good, persistentKeepalive: -5 },
      'persistent keepalive must be greater than or equal to zero; got -5',
    ],
    [
      { ...good, publicKey: '!abc' },
      'WireGuard public key is not base64 encoded: illegal base64 data at input byte 0',
    ],
    [{ ...good, publicKey: '' }, 'WireGuard public key has invalid length'],
    [{ ...good, publicKey: 'QUJD' }, 'WireGuard public key has invalid length'],
    [{ ...good, presharedKey: 'not looked at' }, null],
  ])('%o', (spec, expected) => expect(whyPeerInvalid({ metadata: { name: 'p' }, spec })).toBe(expected));

  it('a name is held to RFC 1123', () => {
    const spec = { ...good, endpoint: { dnsOrIP: { dns: 'No Name' }, port: 1 } };
    expect(whyPeerInvalid({ metadata: { name: 'p' }, spec })).toMatch(
      /^a lowercase RFC 1123 subdomain must consist of /,
    );
  });
});
