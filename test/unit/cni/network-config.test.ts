/**
 * Configurations as they are in the field: Kilo's conflist, what containerd and podman inject, mistakes.
 * @module
 */
import { describe, expect, test } from 'vitest';
import type { CniError } from '../../../src/cni/cni-error.ts';
import { parseNetworkConfig } from '../../../src/cni/network-config.ts';
import { parseRequest } from '../../../src/cni/request.ts';

const parse = (config: object, env: Record<string, string> = {}) => {
  const whole = {
    CNI_CONTAINERID: 'pod-1',
    CNI_NETNS: '/run/netns/x',
    CNI_IFNAME: 'eth0',
    CNI_PATH: '/opt/cni/bin',
    ...env,
  };
  const text = JSON.stringify({ cniVersion: '1.0.0', name: 'net', type: 'kilowire', ...config });
  return parseNetworkConfig(
    parseRequest('ADD', whole, () => text),
    whole,
  );
};

const refusal = (config: object, env: Record<string, string> = {}): [number, string] => {
  try {
    parse(config, env);
  } catch (error) {
    return [(error as CniError).number, (error as CniError).message];
  }
  throw new Error('it was accepted');
};

const v4 = (a: number, b: number, c: number, d: number) => BigInt(((a * 256 + b) * 256 + c) * 256 + d);

describe('parseNetworkConfig', () => {
  test("reads Kilo's own network", () => {
    const config = parse({
      bridge: 'kube-bridge',
      isDefaultGateway: true,
      forceAddress: true,
      mtu: 1420,
      ipam: { type: 'host-local', ranges: [[{ subnet: '10.42.0.0/24' }]] },
    });
    expect(config).toMatchObject({
      bridge: 'kube-bridge',
      isGateway: true,
      isDefaultGateway: true,
      forceAddress: true,
      mtu: 1420,
      stateDir: '/var/lib/cni/kilowire',
    });
    expect(config.leases).toBe('/var/lib/cni/networks/net');
    expect(config.ipam?.sets).toEqual([
      [
        {
          family: 4,
          subnet: { family: 4, value: v4(10, 42, 0, 0), length: 24 },
          start: v4(10, 42, 0, 1),
          end: v4(10, 42, 0, 254),
          gateway: v4(10, 42, 0, 1),
        },
      ],
    ]);
  });

  test('keys match in any case, the last one wins, null is absence', () => {
    const config = parse({
      ISGATEWAY: true,
      Mtu: 1300,
      mTU: 1400,
      hairpinmode: null,
      IPAM: { SUBNET: '10.0.0.0/8' },
    });
    expect(config).toMatchObject({ isGateway: true, mtu: 1400, hairpinMode: false });
    expect(config.ipam?.sets).toHaveLength(1);
  });

  test('capital letters in runtimeConfig, as containerd sends them, are read', () => {
    const config = parse({
      runtimeConfig: { MAC: '0A:58:00:00:00:01', IPs: ['10.0.0.9/24'] },
      subnet: '10.0.0.0/24',
    });
    expect(config.mac).toBe('0a:58:00:00:00:01');
    expect(config.ipam?.requested).toEqual([{ family: 4, value: v4(10, 0, 0, 9) }]);
  });

  test('the MAC address of runtimeConfig goes before args.cni, and that before CNI_ARGS', () => {
    const args = { CNI_ARGS: 'MAC=02:00:00:00:00:03' };
    expect(parse({}, args).mac).toBe('02:00:00:00:00:03');
    const cni = { args: { cni: { mac: '02:00:00:00:00:02' } } };
    expect(parse(cni, args).mac).toBe('02:00:00:00:00:02');
    expect(parse({ ...cni, runtimeConfig: { mac: '02:00:00:00:00:01' } }, args).mac).toBe(
      '02:00:00:00:00:01',
    );
  });

  test('ipam without type is built in, ipam without anything is a layer 2 attachment', () => {
    expect(parse({ ipam: { subnet: '10.0.0.0/24' } }).ipam?.sets).toHaveLength(1);
    expect(parse({ ipam: {} }).ipam).toBeUndefined();
    expect(parse({}).ipam).toBeUndefined();
    expect(parse({ subnet: '10.0.0.0/24' }).ipam?.sets).toHaveLength(1);
  });

  test('runtimeConfig.ipRanges come first, as a list of sets or flat', () => {
    const first = (ipRanges: unknown) =>
      parse({ runtimeConfig: { ipRanges }, ipam: { ranges: [[{ subnet: 'fd00::/64' }]] } }).ipam?.sets.map(
        (set) => set[0]?.family,
      );
    expect(first([[{ subnet: '10.0.0.0/24' }]])).toEqual([4, 6]);
    expect(first([{ subnet: '10.0.0.0/24' }])).toEqual([4, 6]);
  });

  test.each([
    [{ mtu: '1420' }, 7, 'failed to load netconf: "mtu" must be a whole number, not "1420"'],
    [{ isGateway: 'yes' }, 7, 'failed to load netconf: "isGateway" must be true or false, not "yes"'],
    [{ mtu: -5 }, 7, 'invalid MTU -5 (must be 0, for the default, or between 68 and 65535)'],
    [
      { hairpinMode: true, promiscMode: true },
      7,
      'cannot set hairpin mode and promiscuous mode at the same time',
    ],
    [{ ipam: { type: 'host-local' } }, 7, 'no IP ranges specified'],
    [{ runtimeConfig: { mac: 'zz' } }, 7, 'failed to make veth pair: address zz: invalid MAC address'],
    [{ bridge: 'a name with spaces' }, 7, '"bridge": "a name with spaces" cannot be the name of a link'],
    [{ stateDir: 'here' }, 7, '"stateDir" must be an absolute path, not "here"'],
    [
      { ipam: { subnet: '10.0.0.77/24' } },
      7,
      'Network has host bits set. For a subnet mask of length 24 the network address is 10.0.0.0',
    ],
    [{ ipam: { subnet: '10.0.0.0/31' } }, 7, 'Network 10.0.0.0/31 too small to allocate from'],
    [
      { ipam: { ranges: [[{ subnet: '10.0.0.0/24' }], [{ subnet: '10.0.0.0/16' }]] } },
      7,
      'range set 0 overlaps with 1',
    ],
    [
      { ipam: { ranges: [[{ subnet: '10.0.0.0/24' }, { subnet: 'fd00::/64' }]] } },
      7,
      'invalid range set 0: mixed address families',
    ],
    [{ ipam: { routes: [{ dst: 'nowhere' }], subnet: '10.0.0.0/24' } }, 7, 'invalid CIDR address: nowhere'],
  ])('%o is refused', (config, number, message) => {
    expect(refusal(config)).toEqual([number, message]);
  });

  test('0.2.0 cannot say two addresses of one family', () => {
    const ipam = { ranges: [[{ subnet: '10.0.0.0/24' }], [{ subnet: '10.1.0.0/24' }]] };
    expect(refusal({ cniVersion: '0.2.0', ipam })).toEqual([
      7,
      'CNI version 0.2.0 does not support more than 1 address per family',
    ]);
  });

  test('broken addresses in CNI_ARGS are refused', () => {
    expect(refusal({ subnet: '10.0.0.0/24' }, { CNI_ARGS: 'IP=10.0.0' })).toEqual([
      7,
      'invalid IP address "10.0.0" requested',
    ]);
  });
});
