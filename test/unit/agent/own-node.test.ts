/**
 * What an agent says of its own node, and which addresses it finds.
 * Source: Kilo's order of candidates and its sticky endpoint; faults of it that must not come back.
 * @module
 */
import { describe, expect, it } from 'vitest';
import { nodeRecord } from '../../../src/agent/annotations.ts';
import type { HostLinks } from '../../../src/agent/host/links.ts';
import { ownAddresses } from '../../../src/agent/host/own-addresses.ts';
import { changedAnnotations, discoveredBy, ownEndpoint, ownInternalIP } from '../../../src/agent/own-node.ts';
import { type Address, cidr, formatAddress, formatCidr, parseAddress } from '../../../src/noise/ip.ts';
import { formatMeshEndpoint } from '../../../src/routing/node.ts';

const ip = (text: string): Address => parseAddress(text) ?? new Uint8Array();
const OPTIONS = { port: 51820, prioritisePrivateAddresses: false };
const FOUND = { private: cidr('10.1.0.5/24'), public: ip('203.0.113.5') };

const endpointOf = (annotations: Record<string, string>, addresses = FOUND, options = OPTIONS) => {
  const { endpoint, detected } = ownEndpoint({ annotations }, addresses, options);
  return [endpoint, detected].map((each) => (each === null ? null : formatMeshEndpoint(each)));
};

describe('the endpoint', () => {
  it('is what is found, and marked so', () => {
    expect(endpointOf({})).toEqual(['203.0.113.5:51820', '203.0.113.5:51820']);
  });
  it('is the private one where that is asked for', () => {
    expect(endpointOf({}, FOUND, { port: 1, prioritisePrivateAddresses: true })[0]).toBe('10.1.0.5:1');
  });
  it('is what the user forces, at any port', () => {
    const forced = {
      'kilo.squat.ai/force-endpoint': 'home.example:7',
      'kilo.squat.ai/endpoint': '1.2.3.4:5',
    };
    expect(endpointOf(forced)).toEqual(['home.example:7', null]);
  });
  it('that somebody else set stays, as under Kilo', () => {
    expect(endpointOf({ 'kilo.squat.ai/endpoint': '198.51.100.1:51820' })).toEqual([
      '198.51.100.1:51820',
      null,
    ]);
  });
  it('that was found earlier follows the host to its new address and port', () => {
    const said = {
      'kilo.squat.ai/endpoint': '198.51.100.1:51820',
      'kilowire.dev/detected-endpoint': '198.51.100.1:51820',
    };
    expect(endpointOf(said, FOUND, { ...OPTIONS, port: 51821 })).toEqual([
      '203.0.113.5:51821',
      '203.0.113.5:51821',
    ]);
  });
});

describe('the private address', () => {
  const internal = (annotations: Record<string, string>, onHost: readonly string[]): string | null => {
    const prefixed = Object.fromEntries(
      Object.entries(annotations).map(([name, text]) => [`kilo.squat.ai/${name}`, text]),
    );
    const record = nodeRecord({ metadata: { name: 'n', annotations: prefixed } });
    const found = ownInternalIP({ annotations: prefixed, record }, FOUND, (address) =>
      onHost.includes(formatAddress(address)),
    );
    return found === null ? null : formatCidr(found);
  };
  it('is what is found', () => expect(internal({}, [])).toBe('10.1.0.5/24'));
  it('stays while the host has it', () =>
    expect(internal({ 'internal-ip': '10.1.0.9/24' }, ['10.1.0.9'])).toBe('10.1.0.9/24'));
  it('is found anew when the host has lost it', () =>
    expect(internal({ 'internal-ip': '10.1.0.9/24' }, [])).toBe('10.1.0.5/24'));
  it('is what the user forces, on the host or not', () =>
    expect(internal({ 'force-internal-ip': '55.5.5.5/32' }, [])).toBe('55.5.5.5/32'));
  it('is none where the user says so', () =>
    expect(internal({ 'force-internal-ip': '-', 'internal-ip': '10.1.0.9/24' }, ['10.1.0.9'])).toBeNull());
});

describe('addresses of a host', () => {
  const host = (addresses: [link: number, text: string][], standard?: number): HostLinks => ({
    byName: new Map([
      ['kilo0', { index: 9 }],
      ['kube-bridge', { index: 8 }],
    ]) as never,
    byIndex: new Map(),
    addresses: addresses.map(([link, text]) => ({ link, cidr: cidr(text), isGlobal: true })),
    routes: [],
    rules: [],
    defaultRoutes: standard === undefined ? [] : ([{ link: standard }] as never),
  });
  const find = (links: HostLinks, options: { ofHostname?: string[]; internal?: string[] } = {}) => {
    const found = ownAddresses(links, {
      ofHostname: (options.ofHostname ?? []).map(ip),
      ignoredLinks: ['kilo0', 'kube-bridge'],
      internalCIDRs: (options.internal ?? []).map(cidr),
    });
    return [
      found.private === null ? null : formatCidr(found.private),
      found.public === null ? null : formatAddress(found.public),
    ];
  };

  it('of the default route go before others, sorted by their text', () => {
    const links = host(
      [
        [1, '10.9.0.1/24'],
        [2, '10.10.0.1/24'],
        [2, '10.9.9.9/24'],
        [1, '203.0.113.9/24'],
        [2, '203.0.113.8/24'],
      ],
      2,
    );
    expect(find(links)).toEqual(['10.10.0.1/24', '203.0.113.8']);
  });
  it('of the hostname go before those', () => {
    expect(
      find(
        host(
          [
            [1, '10.9.0.1/24'],
            [2, '10.10.0.1/24'],
          ],
          2,
        ),
        { ofHostname: ['10.9.0.1'] },
      )[0],
    ).toBe('10.9.0.1/24');
  });
  it('IPv4 go before IPv6', () => {
    expect(
      find(
        host([
          [1, 'fd00::1/64'],
          [1, '10.0.0.1/24'],
          [1, '2001:db8::1/64'],
          [1, '198.51.100.1/24'],
        ]),
      ),
    ).toEqual(['10.0.0.1/24', '198.51.100.1']);
  });
  it('of the mesh itself, loopback and link-local do not count', () => {
    expect(
      find(
        host([
          [9, '10.4.0.1/16'],
          [8, '10.42.0.1/24'],
          [1, '127.0.0.1/8'],
          [1, '169.254.1.1/16'],
          [1, 'fe80::1/64'],
          [1, '::1/128'],
        ]),
      ),
    ).toEqual([null, null]);
  });
  it('are private only within the given ranges', () => {
    const links = host([
      [1, '10.9.0.1/24'],
      [1, '192.168.7.7/24'],
    ]);
    expect(find(links, { internal: ['192.168.7.7/32'] })).toEqual(['192.168.7.7/24', '192.168.7.7']);
  });
  it('without a public one the private one is dialled', () =>
    expect(find(host([[1, '172.16.0.1/24']]))).toEqual(['172.16.0.1/24', '172.16.0.1']));
  it('carrier NAT counts as public, as it does for every other agent', () => {
    expect(find(host([[1, '100.64.0.1/24']]))).toEqual([null, '100.64.0.1']);
  });
});

describe('what was discovered', () => {
  const endpoint = { address: ip('198.51.100.7'), port: 4000 };
  const device = {
    peers: [
      { key: 'nat', endpoint, heard: true },
      { key: 'still', endpoint, heard: true },
      { key: 'laptop', endpoint, heard: true },
      { key: 'silent', endpoint, heard: false },
    ],
  };
  it('is told of nodes that keep a NAT open and of Peers, once heard', () => {
    const nodes = [
      { key: 'nat', persistentKeepalive: 25 },
      { key: 'still', persistentKeepalive: 0 },
      { key: 'silent', persistentKeepalive: 25 },
    ];
    expect([...discoveredBy(device, nodes, [{ key: 'laptop' }]).keys()]).toEqual(['nat', 'laptop']);
  });
});

describe('annotations to write', () => {
  it('are those that differ', () => {
    expect(changedAnnotations({ a: '1', b: '2' }, { a: '1', b: '3', c: '' })).toEqual({ b: '3', c: '' });
    expect(changedAnnotations({ a: '1' }, { a: '2' }, ['a'])).toEqual({});
  });
});
