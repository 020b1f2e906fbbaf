/**
 * The result of ADD in each version: documents written by hand from the specification's own examples.
 * @module
 */
import { describe, expect, test } from 'vitest';
import { type Result, resultDocument } from '../../../src/cni/result.ts';

const result: Result = {
  interfaces: [
    { name: 'cni0', mac: '00:11:22:33:44:55', mtu: 1420 },
    { name: 'veth3243', mac: '55:44:33:22:11:11', mtu: 1420 },
    { name: 'eth0', mac: '99:88:77:66:55:44', mtu: 1420, sandbox: '/var/run/netns/blue' },
  ],
  ips: [
    { address: '10.1.0.5/16', gateway: '10.1.0.1', interface: 2 },
    { address: 'fd00:1::5/64', gateway: 'fd00:1::1', interface: 2 },
  ],
  routes: [
    { dst: '0.0.0.0/0' },
    { dst: '10.0.0.0/8', gw: '10.1.0.9', mtu: 1400 },
    { dst: '::/0', gw: 'fd00:1::1' },
  ],
  dns: { nameservers: ['10.1.0.1'] },
};

const interfacesBefore11 = [
  { name: 'cni0', mac: '00:11:22:33:44:55' },
  { name: 'veth3243', mac: '55:44:33:22:11:11' },
  { name: 'eth0', mac: '99:88:77:66:55:44', sandbox: '/var/run/netns/blue' },
];

const routes = [
  { dst: '0.0.0.0/0' },
  { dst: '10.0.0.0/8', gw: '10.1.0.9', mtu: 1400 },
  { dst: '::/0', gw: 'fd00:1::1' },
];

describe('resultDocument', () => {
  test.each(['0.1.0', '0.2.0'] as const)('%s has one address a family and no interfaces', (version) => {
    expect(resultDocument(result, version)).toEqual({
      cniVersion: version,
      ip4: {
        ip: '10.1.0.5/16',
        gateway: '10.1.0.1',
        routes: [{ dst: '0.0.0.0/0' }, { dst: '10.0.0.0/8', gw: '10.1.0.9' }],
      },
      ip6: { ip: 'fd00:1::5/64', gateway: 'fd00:1::1', routes: [{ dst: '::/0', gw: 'fd00:1::1' }] },
      dns: { nameservers: ['10.1.0.1'] },
    });
  });

  test.each(['0.3.0', '0.3.1', '0.4.0'] as const)('%s marks each address with its IP version', (version) => {
    expect(resultDocument(result, version)).toEqual({
      cniVersion: version,
      interfaces: interfacesBefore11,
      ips: [
        { version: '4', address: '10.1.0.5/16', gateway: '10.1.0.1', interface: 2 },
        { version: '6', address: 'fd00:1::5/64', gateway: 'fd00:1::1', interface: 2 },
      ],
      routes,
      dns: { nameservers: ['10.1.0.1'] },
    });
  });

  test('1.0.0 drops the IP version', () => {
    expect(resultDocument(result, '1.0.0')).toEqual({
      cniVersion: '1.0.0',
      interfaces: interfacesBefore11,
      ips: [
        { address: '10.1.0.5/16', gateway: '10.1.0.1', interface: 2 },
        { address: 'fd00:1::5/64', gateway: 'fd00:1::1', interface: 2 },
      ],
      routes,
      dns: { nameservers: ['10.1.0.1'] },
    });
  });

  test('1.1.0 adds the mtu of interfaces', () => {
    expect(resultDocument(result, '1.1.0')).toEqual({
      cniVersion: '1.1.0',
      interfaces: interfacesBefore11.map((entry) => ({ ...entry, mtu: 1420 })),
      ips: [
        { address: '10.1.0.5/16', gateway: '10.1.0.1', interface: 2 },
        { address: 'fd00:1::5/64', gateway: 'fd00:1::1', interface: 2 },
      ],
      routes,
      dns: { nameservers: ['10.1.0.1'] },
    });
  });

  test('dns is there when empty before 1.0.0, and left out from then on', () => {
    const bare = { ...result, dns: {} };
    expect(resultDocument(bare, '0.2.0')).toHaveProperty('dns', {});
    expect(resultDocument(bare, '0.4.0')).toHaveProperty('dns', {});
    expect(resultDocument(bare, '1.0.0')).not.toHaveProperty('dns');
    expect(resultDocument(bare, '1.1.0')).not.toHaveProperty('dns');
  });

  test('an attachment without address cannot be told in 0.2.0', () => {
    expect(() => resultDocument({ ...result, ips: [] }, '0.2.0')).toThrow(
      'cannot convert: no valid IP addresses',
    );
  });
});
