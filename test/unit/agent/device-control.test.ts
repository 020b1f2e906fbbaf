/**
 * What a change of endpoints becomes before it goes to the device.
 * @module
 */
import { describe, expect, it } from 'vitest';
import { dialledAnew } from '../../../src/agent/host/device-control.ts';
import type { DeviceStatus, PeerStatus } from '../../../src/noise/device-config.ts';
import { cidr, type Endpoint, parseEndpoint } from '../../../src/noise/ip.ts';

const publicKey = new Uint8Array(32).fill(1);
const at = (text: string): Endpoint => parseEndpoint(text) as Endpoint;
const peer = (endpoint: string, said: Partial<PeerStatus> = {}): PeerStatus => ({
  publicKey,
  endpoint: at(endpoint),
  persistentKeepalive: 25,
  allowedIps: [cidr('10.42.1.0/24')],
  lastHandshake: { seconds: 0, nanoseconds: 0 },
  txBytes: 0,
  rxBytes: 0,
  ...said,
});
const device = (...peers: PeerStatus[]): DeviceStatus => ({ peers });
const wanted = peer('203.0.113.34:51820');
const move = { publicKey, updateOnly: true, endpoint: at('203.0.113.34:51820') };

describe('a peer that moves', () => {
  it('is made anew when it never said a word, so that it is dialled at once', () => {
    expect(dialledAnew(move, device(peer('192.168.10.11:51820')), { peers: [wanted] })).toEqual([
      { publicKey, remove: true },
      wanted,
    ]);
  });

  it.each([
    ['it has a session', { lastHandshake: { seconds: 1_800_000_000, nanoseconds: 0 } }],
    ['it is shaking hands', { rxBytes: 148 }],
  ])('keeps what it has when %s', (_, said) => {
    const have = device(peer('192.168.10.11:51820', said));
    expect(dialledAnew(move, have, { peers: [wanted] })).toEqual([move]);
  });

  it('is left alone when nobody would dial it anyway, or when it is not there (any more)', () => {
    const have = device(peer('192.168.10.11:51820'));
    expect(dialledAnew(move, have, { peers: [{ ...wanted, persistentKeepalive: 0 }] })).toEqual([move]);
    expect(dialledAnew(move, device(), { peers: [wanted] })).toEqual([move]);
    expect(dialledAnew(move, have, { peers: [] })).toEqual([move]);
  });

  it('is not made anew for anything but its endpoint', () => {
    const change = { publicKey, updateOnly: true, persistentKeepalive: 25 };
    expect(dialledAnew(change, device(peer('192.168.10.11:51820')), { peers: [wanted] })).toEqual([change]);
  });
});
