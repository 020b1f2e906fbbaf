/**
 * cnitool, the specification's own command line on its own library, of its newest release, calls the executable:
 * every verb as libcni puts it together, alone and before Go's portmap, firewall and tuning in one chain.
 * @module
 */
import { readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { CniLab, nothing } from './cni-lab.ts';
import { has, isRoot } from './host.ts';
import { cnitool } from './toolchains.ts';

const tools = ['unshare', 'nsenter', 'ip', 'nft', 'ping'];
const missing = tools.filter((name) => !has(name));
if (missing.length > 0) console.log(`skipping cnitool: not on this machine: ${missing.join(', ')}`);
const program = isRoot && missing.length === 0 ? await cnitool() : undefined;
const goPlugins = '/usr/lib/cni';
const hasGoPlugins = has(`${goPlugins}/portmap`);
if (!hasGoPlugins) console.log(`skipping chains: ${goPlugins} (containernetworking-plugins) is not here`);

const kilowire = {
  type: 'kilowire',
  bridge: 'cni0',
  isDefaultGateway: true,
  ipMasq: true,
  capabilities: { portMappings: true, ips: true, mac: true },
  ipam: { ranges: [[{ subnet: '10.42.0.0/24' }], [{ subnet: 'fd42::/112' }]] },
};

interface Result {
  readonly cniVersion: string;
  readonly ips: readonly { readonly address: string }[];
  readonly interfaces: readonly { readonly name: string; readonly sandbox?: string }[];
}

describe.skipIf(program === undefined)('cnitool', () => {
  let lab: CniLab;
  beforeAll(async () => {
    lab = new CniLab();
    await lab.ready();
    lab.install('/opt/cni/bin', 'kilowire', 'bridge');
    if (hasGoPlugins)
      for (const name of readdirSync(goPlugins).filter((each) => each !== 'bridge'))
        symlinkSync(join(goPlugins, name), join(lab.path('/opt/cni/bin'), name));
    for (const version of ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0']) {
      const list = { cniVersion: version, name: `net-${version}`, plugins: [kilowire] };
      lab.write(`/etc/cni/net.d/${version}.conflist`, JSON.stringify(list));
    }
    const chain = [
      { ...kilowire, type: 'bridge', capabilities: {}, ipam: { subnet: '10.43.0.0/24' } },
      { type: 'portmap', capabilities: { portMappings: true }, snat: true },
      { type: 'tuning', sysctl: { 'net.ipv4.conf.IFNAME.arp_filter': '1' } },
    ];
    lab.write(
      '/etc/cni/net.d/chain.conflist',
      JSON.stringify({ cniVersion: '1.0.0', name: 'chain', plugins: chain }),
    );
    const second = { ...kilowire, isDefaultGateway: false, isGateway: true };
    lab.write(
      '/etc/cni/net.d/second.conflist',
      JSON.stringify({ cniVersion: '1.0.0', name: 'second', plugins: [second] }),
    );
    for (const name of ['a', 'b']) lab.run('ip', 'netns', 'add', name);
  });
  afterAll(async () => lab?.close());

  const call = (verb: string, network: string, pod: string, args: object = {}, ifname = 'eth0'): string =>
    lab.runWith(
      {
        NETCONFPATH: '/etc/cni/net.d',
        CNI_PATH: '/opt/cni/bin',
        CNI_IFNAME: ifname,
        CAP_ARGS: JSON.stringify(args),
      },
      program ?? '',
      verb,
      network,
      `/run/netns/${pod}`,
    );

  // What a test that failed has left.
  afterEach(({ task }) => {
    if (task.result?.state !== 'fail') return;
    const networks = lab.files('/etc/cni/net.d').map((name) => name.replace(/\.conflist$/, ''));
    const attachments = ['eth0', 'eth1'].flatMap((ifname) => ['a', 'b'].map((pod) => [pod, ifname] as const));
    for (const network of networks)
      for (const [pod, ifname] of attachments) {
        try {
          call('del', network, pod, {}, ifname);
        } catch {
          // It was never added.
        }
      }
    lab.run('sh', '-c', 'ip link del cni0 2>/dev/null || true');
  });

  test.each(['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'])('add, check, del in version %s', (version) => {
    const network = `net-${version}`;
    const results = ['a', 'b'].map((pod) => JSON.parse(call('add', network, pod)) as Result);
    expect(results[0]?.cniVersion).toBe(version);
    expect(results[0]?.interfaces.map(({ sandbox = '' }) => sandbox)).toEqual(['', '', '/run/netns/a']);
    const [v4 = '', v6 = ''] = (results[1]?.ips ?? []).map(({ address }) => address.split('/')[0]);
    for (const address of [v4, v6])
      expect(lab.run('ip', 'netns', 'exec', 'a', 'ping', '-c', '1', '-W', '2', address)).toContain(
        ' 0% packet loss',
      );
    if (Number(version.slice(0, 3)) >= 0.4) call('check', network, 'a');
    if (version === '1.1.0') {
      call('status', network, 'a');
      // libcni knows of nobody who is to live, and sends a DEL for each it remembers before it calls GC.
      call('gc', network, 'a');
      expect(lab.leftovers(network)).toEqual(nothing);
    }
    for (const pod of ['a', 'b', 'a']) call('del', network, pod);
    expect(lab.leftovers(network)).toEqual(nothing);
    lab.run('ip', 'link', 'del', 'cni0');
  });

  test('two interfaces of one container are two attachments', () => {
    const [first, second] = ['eth0', 'eth1'].map((ifname, index) => {
      const port = { hostPort: 8000 + index, containerPort: 80, protocol: 'tcp' };
      const text = call('add', 'second', 'a', { portMappings: [port] }, ifname);
      return (JSON.parse(text) as Result).ips[0]?.address;
    });
    expect(first).not.toBe(second);
    call('del', 'second', 'a', {}, 'eth0');
    expect(lab.run('nft', 'list', 'ruleset')).toContain('8001');
    expect(lab.run('nft', 'list', 'ruleset')).not.toContain('8000');
    expect(lab.run('ip', 'netns', 'exec', 'a', 'ip', '-o', 'link')).toContain('eth1');
    call('del', 'second', 'a', {}, 'eth1');
    expect(lab.leftovers('second')).toEqual(nothing);
    lab.run('ip', 'link', 'del', 'cni0');
  });

  test.skipIf(!hasGoPlugins)("Go's portmap and tuning work behind it, under the name bridge", () => {
    const mapping = { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] };
    const result = JSON.parse(call('add', 'chain', 'a', mapping)) as Result;
    const address = result.ips[0]?.address.split('/')[0] ?? '';
    expect(result.interfaces[0]?.name).toBe('cni0');
    expect(lab.run('iptables', '-t', 'nat', '-S')).toContain(`--to-destination ${address}:80`);
    // No check: Debian's portmap looks for its IPv4 rules in ip6tables too, whoever made the bridge.
    call('del', 'chain', 'a', mapping);
    expect(lab.leftovers('chain')).toMatchObject({ veths: [], leases: [], state: [] });
    expect(lab.run('iptables', '-t', 'nat', '-S')).not.toContain(address);
  });
});
