/**
 * Kilo's tables of node translation, and what they leave out.
 * Source: Kilo's own cases for annotations to node records; docs/annotations.md.
 * @module
 */
import { describe, expect, it } from 'vitest';
import { annotationsOf, formatDiscovered, nodeRecord } from '../../../src/agent/annotations.ts';
import { parseMeshEndpoint } from '../../../src/agent/endpoint-text.ts';
import { cidr, formatCidr, parseAddress } from '../../../src/noise/ip.ts';
import { formatMeshEndpoint, whyNotReady } from '../../../src/routing/node.ts';

const KEY = 'yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=';
const REGION = 'topology.kubernetes.io/region';

const read = (annotations: Record<string, string>, podCIDR = '', labels: Record<string, string> = {}) => {
  const prefixed = Object.fromEntries(
    Object.entries(annotations).map(([name, text]) => [`kilo.squat.ai/${name}`, text]),
  );
  return nodeRecord({ metadata: { name: 'n', annotations: prefixed, labels }, spec: { podCIDR } });
};

/** Only what differs from an empty record, as text. */
const brief = (record: ReturnType<typeof read>) => {
  const { node, noInternalIP } = record;
  const all = {
    endpoint: node.endpoint === undefined ? '' : formatMeshEndpoint(node.endpoint),
    internalIP: node.internalIP === undefined ? '' : formatCidr(node.internalIP),
    podCIDR: node.podCIDRs.map(formatCidr).join(),
    location: node.location,
    key: node.key,
    leader: node.leader,
    keepalive: node.persistentKeepalive,
    lastSeen: node.lastSeen,
    wireguardIP: node.wireguardIP === undefined ? '' : formatCidr(node.wireguardIP),
    ranges: node.allowedLocationIPs.map(formatCidr).join(),
    granularity: node.granularity ?? '',
    noInternalIP,
  };
  return Object.fromEntries(
    Object.entries(all).filter(([, value]) => value !== '' && value !== 0 && value !== false),
  );
};

const COMPLETE = {
  endpoint: '10.0.0.1:51820',
  'force-endpoint': '10.0.0.2:51821',
  'internal-ip': '10.1.0.1/32',
  'force-internal-ip': '10.1.0.2/32',
  key: KEY,
  'last-seen': '1000000000',
  leader: '',
  location: 'b',
  'persistent-keepalive': '25',
  'wireguard-ip': '10.4.0.1/16',
};
const COMPLETE_RESULT = {
  endpoint: '10.0.0.2:51821',
  internalIP: '10.1.0.2/32',
  podCIDR: '10.2.1.0/24',
  location: 'b',
  key: KEY,
  leader: true,
  keepalive: 25,
  lastSeen: 1000000000,
  wireguardIP: '10.4.0.1/16',
};

describe("a node's record, by Kilo's cases", () => {
  it.each<[string, Record<string, string>, Record<string, unknown>]>([
    ['empty', {}, {}],
    ['invalid ips', { endpoint: '10.0.0.1', 'internal-ip': 'foo' }, {}],
    [
      'valid ips',
      { endpoint: '10.0.0.1:51820', 'internal-ip': '10.0.0.2/32' },
      { endpoint: '10.0.0.1:51820', internalIP: '10.0.0.2/32' },
    ],
    [
      'valid IPv6',
      { endpoint: '[ff10::10]:51820', 'internal-ip': 'ff60::10/64' },
      { endpoint: '[ff10::10]:51820', internalIP: 'ff60::10/64' },
    ],
    [
      'bad override of the endpoint',
      { endpoint: '10.0.0.1:51820', 'force-endpoint': '-10.0.0.2:51821' },
      { endpoint: '10.0.0.1:51820' },
    ],
    [
      'override of the endpoint',
      { endpoint: '10.0.0.1:51820', 'force-endpoint': '10.0.0.2:51821' },
      { endpoint: '10.0.0.2:51821' },
    ],
    ['keepalive', { 'persistent-keepalive': '25' }, { keepalive: 25 }],
    [
      'bad override of the private address',
      { 'internal-ip': '10.1.0.1/24', 'force-internal-ip': '-10.1.0.2/24' },
      { internalIP: '10.1.0.1/24' },
    ],
    [
      'override of the private address',
      { 'internal-ip': '10.1.0.1/24', 'force-internal-ip': '10.1.0.2/24' },
      { internalIP: '10.1.0.2/24' },
    ],
    ['invalid time', { 'last-seen': 'foo' }, {}],
    ['empty private address', { 'internal-ip': '' }, {}],
    ['no private address', { 'internal-ip': '10.1.0.1/32', 'force-internal-ip': '' }, { noInternalIP: true }],
    [
      'no private address, with a dash',
      { 'internal-ip': '10.1.0.1/32', 'force-internal-ip': '-' },
      { noInternalIP: true },
    ],
  ])('%s', (_name, annotations, expected) => {
    expect(brief(read(annotations))).toEqual(expected);
  });

  it.each([
    ['foo', {}],
    ['10.2.0.1/24', { podCIDR: '10.2.0.0/24' }],
    ['10.2.1.0/24', { podCIDR: '10.2.1.0/24' }],
  ])('pod CIDR %s', (podCIDR, expected) => {
    expect(brief(read({}, podCIDR))).toEqual(expected);
  });

  it('complete', () => {
    expect(brief(read(COMPLETE, '10.2.1.0/24', { [REGION]: 'a' }))).toEqual(COMPLETE_RESULT);
  });

  it('complete, with an IPv6 override', () => {
    const annotations = { ...COMPLETE, 'force-endpoint': '[1100::10]:51821' };
    expect(brief(read(annotations, '10.2.1.0/24', { [REGION]: 'a' }))).toEqual({
      ...COMPLETE_RESULT,
      endpoint: '[1100::10]:51821',
    });
  });
});

describe('a location', () => {
  it('is the region label', () => expect(read({}, '', { [REGION]: 'a' }).node.location).toBe('a'));
  it('is rather the annotation', () =>
    expect(read({ location: 'b' }, '', { [REGION]: 'a' }).node.location).toBe('b'));
  it('is the annotation even when that is empty', () =>
    expect(read({ location: '' }, '', { [REGION]: 'a' }).node.location).toBe(''));
  it('comes from the label that was asked for', () => {
    const resource = { metadata: { name: 'n', labels: { zone: 'z' } } };
    expect(nodeRecord(resource, 'zone').node.location).toBe('z');
  });
});

describe('what Kilo does not test', () => {
  it('presence makes a volunteer, whatever it says', () =>
    expect(read({ leader: 'false' }).node.leader).toBe(true));

  it('names are endpoints', () => {
    expect(read({ 'force-endpoint': 'home.example.com:51820' }).node.endpoint).toEqual({
      dns: 'home.example.com',
      port: 51820,
    });
  });

  it('ranges are taken one by one; one with a space is none', () => {
    const record = read({ 'allowed-location-ips': '192.168.1.0/24, 10.0.0.0/8,192.168.2.7/24,foo' });
    expect(brief(record)).toEqual({ ranges: '192.168.1.0/24,192.168.2.7/24' });
    expect(record.faults).toHaveLength(2);
    expect(record.faults[0]).toBe(
      'The annotation kilo.squat.ai/allowed-location-ips is ignored: " 10.0.0.0/8" is not a range.',
    );
  });

  it.each(['-1', '99999', '1.5', 'soon', ''])('a keepalive of "%s" is none, and is told', (text) => {
    const record = read({ 'persistent-keepalive': text });
    expect([record.node.persistentKeepalive, record.faults.length]).toEqual([0, 1]);
  });

  it('discovered endpoints are read by key', () => {
    const text = `{"${KEY}":{"IP":"1.2.3.4","Port":51820,"Zone":""},"not a key":{"IP":"1.2.3.4","Port":1},"${KEY.replace('y', 'z')}":{"IP":"x","Port":1}}`;
    const { discoveredEndpoints } = read({ 'discovered-endpoints': text }).node;
    expect([...discoveredEndpoints]).toEqual([[KEY, { address: parseAddress('1.2.3.4'), port: 51820 }]]);
  });

  it.each(['{', '[]', 'null', '7', '{"a":null}'])('discovered endpoints of %s are none', (text) => {
    expect(read({ 'discovered-endpoints': text }).node.discoveredEndpoints.size).toBe(0);
  });

  it.each([
    ['full', 'full'],
    ['location', 'location'],
    ['cross', 'cross'],
    ['auto', undefined],
  ])('granularity %s', (text, expected) =>
    expect(read({ granularity: text }).node.granularity).toBe(expected),
  );

  it('an invalid key is no key', () => expect(read({ key: 'abc' }).node.key).toBe(''));

  it('the second family of pods comes after the first', () => {
    const spec = { podCIDR: '10.2.0.0/24', podCIDRs: ['10.2.0.0/24', 'fd00:2::/64'] };
    expect(nodeRecord({ metadata: { name: 'n' }, spec }).node.podCIDRs.map(formatCidr)).toEqual([
      '10.2.0.0/24',
      'fd00:2::/64',
    ]);
  });
});

describe('readiness', () => {
  const ready = { endpoint: '10.0.0.1:51820', key: KEY, 'last-seen': '1000' };
  it.each<[string, Record<string, string>, string, number, string | null]>([
    ['ready', ready, '10.2.0.0/24', 1000, null],
    ['a heart-beat of 59 s', ready, '10.2.0.0/24', 1059, null],
    ['a heart-beat of 60 s', ready, '10.2.0.0/24', 1060, 'its last heart-beat is 60 s old'],
    ['a heart-beat of the future', ready, '10.2.0.0/24', 900, null],
    ['no endpoint', { ...ready, endpoint: '' }, '10.2.0.0/24', 1000, 'it has no endpoint yet'],
    ['port 0', { ...ready, endpoint: '10.0.0.1:0' }, '10.2.0.0/24', 1000, 'it has no endpoint yet'],
    ['no key', { ...ready, key: '' }, '10.2.0.0/24', 1000, 'it has not published a WireGuard key'],
    [
      'a key of zeros',
      { ...ready, key: `${'A'.repeat(43)}=` },
      '10.2.0.0/24',
      1000,
      'it has not published a WireGuard key',
    ],
    ['no pod CIDR', ready, '', 1000, 'it has no pod CIDR'],
  ])('%s', (_name, annotations, podCIDR, now, why) => {
    expect(whyNotReady(read(annotations, podCIDR).node, now)).toBe(why);
  });
});

describe('endpoint text', () => {
  it.each([
    '',
    ':1000',
    '10.0.0.0',
    'ff50::10',
    'ff50::10:1000',
    '10.0.0.0:0',
    '10.0.0.0:65536',
    'UPPER.example:1',
    '-a:1',
    'a..b:1',
    '[a.example]:1',
  ])('"%s" is none', (text) => expect(parseMeshEndpoint(text)).toBeNull());
  it.each(['10.0.0.0:1000', '[ff50::10]:1000', 'a.example:1'])('%s is one', (text) => {
    const endpoint = parseMeshEndpoint(text);
    expect(endpoint === null ? '' : formatMeshEndpoint(endpoint)).toBe(text);
  });
  it('IPv4 within IPv6 is IPv4', () =>
    expect(parseMeshEndpoint('[::ffff:10.0.0.1]:1')?.address).toEqual(parseAddress('10.0.0.1')));
});

describe("an agent's own annotations", () => {
  const record = {
    endpoint: { address: parseAddress('10.1.0.1') ?? new Uint8Array(), port: 51820 },
    detectedEndpoint: null,
    internalIP: cidr('10.1.0.1/24'),
    internalIPv6: null,
    key: KEY,
    lastSeen: 1795233627,
    wireguardIP: cidr('10.4.0.1/16'),
    discoveredEndpoints: new Map(),
    granularity: 'location' as const,
    cniCompatibilityIP: null,
  };

  it('are those Kilo writes', () => {
    expect(annotationsOf(record)).toEqual({
      'kilo.squat.ai/cni-compatibility-ip': '',
      'kilo.squat.ai/discovered-endpoints': '{}',
      'kilo.squat.ai/endpoint': '10.1.0.1:51820',
      'kilo.squat.ai/granularity': 'location',
      'kilo.squat.ai/internal-ip': '10.1.0.1/24',
      'kilo.squat.ai/key': KEY,
      'kilo.squat.ai/last-seen': '1795233627',
      'kilo.squat.ai/wireguard-ip': '10.4.0.1/16',
    });
  });

  it('say of discovered endpoints what Kilo says', () => {
    const found = new Map([[KEY, { address: parseAddress('1.2.3.4') ?? new Uint8Array(), port: 51820 }]]);
    expect(formatDiscovered(found)).toBe(`{"${KEY}":{"IP":"1.2.3.4","Port":51820,"Zone":""}}`);
  });
});

describe('what this program says beyond Kilo', () => {
  const own = (annotations: Record<string, string>) =>
    nodeRecord({ metadata: { name: 'n', annotations } }).node;

  it('counts while it wrote the last heart-beat', () => {
    const said = {
      'kilo.squat.ai/last-seen': '1795233627',
      'kilowire.dev/abilities': '1795233627 kilowire stable-addresses',
    };
    expect([...(own(said).abilities ?? [])]).toEqual(['kilowire', 'stable-addresses']);
    expect(own({ ...said, 'kilo.squat.ai/last-seen': '1795233657' }).abilities).toBeUndefined();
    expect(own({ 'kilowire.dev/abilities': ' kilowire' }).abilities).toBeUndefined();
  });

  it('has the address of the segment, whatever its name', () => {
    const claim = (text: string) => own({ 'kilowire.dev/stable-address': text }).stableAddress;
    expect(claim('10.4.0.5 location:a b')).toEqual({
      address: parseAddress('10.4.0.5'),
      segment: 'location:a b',
    });
    for (const text of ['', '10.4.0.5', '10.4.0 node:a', 'node:a 10.4.0.5'])
      expect(claim(text)).toBeUndefined();
  });
});
