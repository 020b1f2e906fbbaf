/**
 * The conflist as Kilo rewrites it.
 * @module
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { keepConflist, withPodCIDRs } from '../../../src/agent/host/cni-conflist.ts';
import { cidr } from '../../../src/noise/ip.ts';

/** Kilo's default, from its ConfigMap. */
const DEFAULT = `{
   "cniVersion":"0.4.0", "name":"kilo",
   "plugins":[
      {"name":"kubernetes","type":"bridge","bridge":"kube-bridge","isDefaultGateway":true,"forceAddress":true,"mtu":1420,"ipam":{"type":"host-local"}},
      {"type":"portmap","snat":true,"capabilities":{"portMappings":true}}
   ]
}`;
/** What Kilo was seen to make of it. */
const WRITTEN =
  '{"cniVersion":"0.4.0","name":"kilo","plugins":[{"bridge":"kube-bridge","forceAddress":true,"ipam":{"ranges":[[{"subnet":"10.42.0.0/24"}]],"type":"host-local"},"isDefaultGateway":true,"mtu":1420,"name":"kubernetes","type":"bridge"},{"capabilities":{"portMappings":true},"snat":true,"type":"portmap"}]}';

describe('the conflist', () => {
  it('gets the range as Kilo writes it, byte for byte', () =>
    expect(withPodCIDRs(DEFAULT, [cidr('10.42.0.0/24')])).toBe(WRITTEN));
  it('that has it is left alone', () => expect(withPodCIDRs(WRITTEN, [cidr('10.42.0.0/24')])).toBeNull());
  it('with another range is given the right one', () => {
    expect(withPodCIDRs(WRITTEN, [cidr('10.42.7.0/24')])).toBe(WRITTEN.replace('10.42.0.0', '10.42.7.0'));
  });
  it('of a node with pods of both families gets a range of each, and is left alone from then on', () => {
    const ranges = [cidr('10.42.0.0/24'), cidr('fd42:0:0:1::/64')];
    const both = WRITTEN.replace('}]]', '}],[{"subnet":"fd42:0:0:1::/64"}]]');
    expect(withPodCIDRs(WRITTEN, ranges)).toBe(both);
    expect(withPodCIDRs(both, ranges)).toBeNull();
  });
  it('with further ranges is left alone where the node has one, as by Kilo', () => {
    const both = WRITTEN.replace('}]]', '}],[{"subnet":"fd42:0:0:1::/64"}]]');
    expect(withPodCIDRs(both, [cidr('10.42.0.0/24')])).toBeNull();
  });
  it.each([
    ['{', 'it is not JSON'],
    ['{"type":"bridge"}', 'it has no plugins'],
    ['{"plugins":[{"type":"portmap"}]}', 'none of its plugins has an "ipam"'],
  ])('%s is told and left', (text, why) =>
    expect(() => withPodCIDRs(text, [cidr('10.42.0.0/24')])).toThrow(why),
  );
});

describe('a node without a conflist', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kw-conflist-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'net.d', '10-kilo.conflist');

  it('is at fault when the file is somebody else’s care', () =>
    expect(() => keepConflist(path, [cidr('10.42.3.0/24')])).toThrow('ENOENT'));

  it("gets one of ours, with Kilo's network, bridge and file name, and it is left alone from then on", () => {
    expect(keepConflist(path, [cidr('10.42.3.0/24')], 1420)).toBe(true);
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({
      cniVersion: '1.0.0',
      cniVersions: ['0.4.0', '1.0.0', '1.1.0'],
      name: 'kilo',
      plugins: [
        {
          type: 'kilowire',
          bridge: 'kube-bridge',
          isDefaultGateway: true,
          forceAddress: true,
          hairpinMode: true,
          mtu: 1420,
          capabilities: { portMappings: true, bandwidth: true },
          ipam: { type: 'host-local', ranges: [[{ subnet: '10.42.3.0/24' }]] },
        },
      ],
    });
    expect(keepConflist(path, [cidr('10.42.3.0/24')], 1420)).toBe(false);
    expect(keepConflist(path, [cidr('10.42.4.0/24')], 1420)).toBe(true);
    expect(readFileSync(path, 'utf8')).toContain('10.42.4.0/24');
  });
});
