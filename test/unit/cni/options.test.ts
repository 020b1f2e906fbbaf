/**
 * Options read from a configuration: defaults, who goes before whom, and what is refused in which words.
 * @module
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ifbName, parseBandwidth } from '../../../src/cni/bandwidth.ts';
import { withSubnetFile } from '../../../src/cni/flannel.ts';
import { parseHostPortOptions } from '../../../src/cni/host-port.ts';
import { isResting, rest } from '../../../src/cni/ipam/quarantine.ts';
import { JsonObject } from '../../../src/cni/json-object.ts';
import { parseTuning } from '../../../src/cni/tuning.ts';

const object = (value: object) => new JsonObject(value, '');

describe('bandwidth', () => {
  const runtime = { runtimeConfig: { bandwidth: { IngressRate: 10e6, IngressBurst: 4294967295 } } };

  test('comes from the runtime, unless the configuration says any of it', () => {
    expect(parseBandwidth(object({}))).toBeUndefined();
    expect(parseBandwidth(object(runtime))).toMatchObject({ ingressRate: 10e6, egressRate: 0 });
    expect(parseBandwidth(object({ ...runtime, egressRate: 8000, egressBurst: 8000 }))).toEqual({
      ingressRate: 0,
      ingressBurst: 0,
      egressRate: 8000,
      egressBurst: 8000,
    });
  });

  test('names an ifb of 15 bytes after the attachment', () => {
    const a = ifbName({ containerId: 'a', ifname: 'eth0' });
    expect(a).toHaveLength(15);
    expect(ifbName({ containerId: 'a', ifname: 'eth1' })).not.toBe(a);
  });
});

describe('the subnet file', () => {
  const read = (text: string, config: object = {}) => {
    const directory = mkdtempSync(join(tmpdir(), 'kwq-'));
    try {
      writeFileSync(join(directory, 'subnet.env'), text);
      return withSubnetFile(object({ subnetFile: join(directory, 'subnet.env'), ...config }));
    } finally {
      rmSync(directory, { recursive: true });
    }
  };
  const both =
    'FLANNEL_NETWORK=10.42.0.0/16\nFLANNEL_SUBNET=10.42.7.1/24\nFLANNEL_IPV6_NETWORK=fd00::/56\nFLANNEL_IPV6_SUBNET=fd00:0:0:7::1/64\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n';

  test('fills in ranges, routes, MTU and masquerading', () => {
    const config = read(both);
    expect(config.object('ipam').list('ranges')).toEqual([
      [{ subnet: '10.42.7.0/24' }],
      [{ subnet: 'fd00:0:0:7::/64' }],
    ]);
    expect(config.object('ipam').list('routes')).toEqual([{ dst: '10.42.0.0/16' }, { dst: 'fd00::/56' }]);
    expect(config.integer('mtu')).toBe(1450);
    expect(config.boolean('ipMasq')).toBe(false);
    expect(config.boolean('isGateway')).toBe(true);
  });

  test('leaves alone what the configuration says', () => {
    const config = read(both, { MTU: 1400, ipMasq: true, ipam: { subnet: '10.1.0.0/24' } });
    expect(config.integer('mtu')).toBe(1400);
    expect(config.boolean('ipMasq')).toBe(true);
    expect(config.object('ipam').list('ranges')).toEqual([]);
  });

  test('with something missing says what, and that it may come', () => {
    expect(() => read('FLANNEL_NETWORK=10.42.0.0/16\n')).toThrow(
      /is missing FLANNEL_SUBNET or FLANNEL_IPV6_SUBNET, FLANNEL_MTU, FLANNEL_IPMASQ\. Check the flannel pod log/,
    );
  });
});

test('host ports are masqueraded by bit 13 unless the configuration says otherwise', () => {
  expect(parseHostPortOptions(object({}))).toEqual({ snat: true, masqueradeAll: false, markBit: 13 });
  expect(parseHostPortOptions(object({ snat: false, masqAll: true, markMasqBit: 0 }))).toEqual({
    snat: false,
    masqueradeAll: true,
    markBit: 0,
  });
  expect(() => parseHostPortOptions(object({ markMasqBit: -1 }))).toThrow(
    'MasqMarkBit must be between 0 and 31',
  );
  expect(parseHostPortOptions(object({ conditionsV4: [] })).snat).toBe(true);
});

test('a sysctl is a path below net, with the interface in place of IFNAME', () => {
  const sysctls = (sysctl: object) => parseTuning(object({ sysctl }), 'eth0.7')?.sysctls;
  expect(sysctls({ 'net.ipv4.conf.IFNAME.rp_filter': '2' })).toEqual({
    'net/ipv4/conf/eth0.7/rp_filter': '2',
  });
  expect(() => sysctls({ 'net.a.b': '1', 'net/a/b': '2' })).toThrow('duplicated sysctl key: "net/a/b"');
  expect(() => sysctls({ 'net.a.b': 1 })).toThrow('must be a string');
  expect(parseTuning(object({ promisc: false }), 'eth0')).toBeUndefined();
});

test('an address rests for its seconds, and a clock that was set back does not make it rest for ever', () => {
  const directory = mkdtempSync(join(tmpdir(), 'kwq-'));
  try {
    expect(isResting(directory, '10.0.0.2', 60)).toBe(false);
    rest(directory, '10.0.0.2');
    expect(isResting(directory, '10.0.0.2', 60)).toBe(true);
    expect(isResting(directory, '10.0.0.2', 0)).toBe(false);
    expect(isResting(directory, '10.0.0.2', 60)).toBe(false);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
