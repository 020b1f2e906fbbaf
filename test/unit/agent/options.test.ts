/**
 * Kilo's flags: defaults and refusals.
 * Source: `kg --help` and its sentences.
 * @module
 */
import { hostname } from 'node:os';
import { describe, expect, it } from 'vitest';
import { agentOptions, DEFAULT_FLAGS, durationMs } from '../../../src/agent/options.ts';
import { formatCidr } from '../../../src/noise/ip.ts';

describe('options', () => {
  it("have Kilo's defaults", () => {
    const options = agentOptions(DEFAULT_FLAGS);
    expect(formatCidr(options.subnet)).toBe('10.4.0.0/16');
    expect(options).toMatchObject({
      hostname: hostname(),
      granularity: 'location',
      interfaceName: 'kilo0',
      createInterface: true,
      cleanUp: true,
      cleanUpInterface: false,
      cniPath: '/etc/cni/net.d/10-kilo.conflist',
      encapsulation: 'always',
      encapsulator: 'ipip',
      forwardRules: false,
      listen: { host: undefined, port: 1107 },
      local: true,
      logLevel: 'info',
      mtu: null,
      port: 51820,
      prioritisePrivateAddresses: false,
      resyncMs: 30_000,
      stateDirectory: '/var/lib/kilo',
      topologyLabel: 'topology.kubernetes.io/region',
    });
  });

  it.each([
    [{ backend: 'etcd' }, 'backend etcd unknown; possible values are: kubernetes'],
    [{ encapsulate: 'x' }, 'encapsulation x unknown; possible values are: never, crosssubnet, always'],
    [
      { meshGranularity: 'auto' },
      'mesh granularity auto unknown; possible values are: location, full, cross',
    ],
    [
      { logLevel: 'loud' },
      'log level loud unknown; possible values are: all, debug, info, warn, error, none',
    ],
    [{ mtu: 'big' }, 'failed to parse MTU "big"'],
    [{ port: '0' }, 'invalid port: port must be in range [1:65535], but got 0'],
    [{ subnet: '10.4.0.0' }, '--subnet: "10.4.0.0" is not an address range'],
    [{ internalCidr: ['x'] }, '--internal-cidr'],
    [{ resyncPeriod: 'often' }, '--resync-period'],
    [{ listen: 'here' }, '--listen'],
    [{ interface: 'much-too-long-for-linux' }, 'cannot name an interface'],
  ])('refuse %o', (flags, why) => expect(() => agentOptions({ ...DEFAULT_FLAGS, ...flags })).toThrow(why));

  it('take any other word for compatibility as plain IPIP, as Kilo does', () => {
    expect(agentOptions({ ...DEFAULT_FLAGS, compatibility: 'weave' }).encapsulator).toBe('ipip');
    expect(agentOptions({ ...DEFAULT_FLAGS, compatibility: 'cilium' }).encapsulator).toBe('cilium');
  });

  it.each([
    ['30s', 30_000],
    ['5m', 300_000],
    ['1h30m', 5_400_000],
    ['1.5s', 1500],
    ['250ms', 250],
  ])('read %s as Go does', (text, expected) => expect(durationMs('x', text)).toBe(expected));
  it.each(['', '30', 's', '-1s', '1s x', '0s'])('refuse the duration "%s"', (text) =>
    expect(() => durationMs('x', text)).toThrow(),
  );
});
