/**
 * What is folded in beside the bridge: bandwidth, options of host ports, ingress policy, tuning, flannel's subnet file,
 * quarantine, reservations. Each as the kernel and Debian's tools see it, and gone afterwards.
 * @module
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { CniWorld, nothing, programs } from './cni-world.ts';

type Added = { interfaces: { name: string }[]; ips: { address: string }[] };

describe.skipIf(process.getuid?.() !== 0).each(programs)(
  'options of the CNI executable, $name',
  (program) => {
    let world: CniWorld;
    beforeAll(() => {
      world = new CniWorld(program);
      for (const pod of ['a', 'b', 'c']) world.addPod(pod);
    });
    afterEach(() => {
      expect(world.leftovers()).toEqual(nothing);
      expect(world.links().filter(({ kind }) => kind === 'ifb')).toEqual([]);
    });
    afterAll(() => world.close());

    const add = (pod: string, config: object, env = {}): Promise<Added> =>
      world.ok({ verb: 'ADD', pod, config, env }) as unknown as Promise<Added>;
    const pings = (from: string, to: string): boolean => {
      try {
        world.run(from, 'ping', '-c3', '-i0.2', '-W1', to);
        return true;
      } catch {
        return false;
      }
    };
    const addressOf = ({ ips }: Added): string => ips[0]?.address.split('/')[0] ?? '';

    describe('bandwidth', () => {
      const asked = {
        IngressRate: 8_000_000,
        IngressBurst: 4_294_967_295,
        EgressRate: 16_000_000,
        EgressBurst: 800_000,
      };

      test('is limited both ways by token buckets, told in the result, checked and taken away', async () => {
        const config = world.config({ runtimeConfig: { bandwidth: asked } });
        const result = await add('a', config);
        const [, veth, , ifb] = result.interfaces.map(({ name }) => name);
        expect(ifb).toMatch(/^bwp[0-9a-f]{12}$/);
        const onVeth = world.onNode('tc', 'qdisc', 'show', 'dev', veth ?? '');
        expect(onVeth).toMatch(/qdisc tbf 1: root .*rate 8Mbit/);
        expect(onVeth).toMatch(/qdisc ingress ffff:/);
        expect(world.onNode('tc', 'qdisc', 'show', 'dev', ifb ?? '')).toMatch(/rate 16Mbit burst 100000b/);
        expect(world.onNode('tc', 'filter', 'show', 'dev', veth ?? '', 'ingress')).toContain(
          `Egress Redirect to device ${ifb}`,
        );
        world.run('a', 'ping', '-c1', '-W2', '10.42.0.1');
        expect(world.onNode('tc', '-s', 'qdisc', 'show', 'dev', ifb ?? '')).not.toContain('Sent 0 bytes');
        const check = { verb: 'CHECK', pod: 'a', config: { ...config, prevResult: result } };
        await world.ok(check);
        world.onNode('tc', 'qdisc', 'del', 'dev', ifb ?? '', 'root');
        expect((await world.refused(check)).msg).toBe(
          'traffic control has lost the limit of 16000000 bits a second from the container',
        );
        await world.ok({ verb: 'DEL', pod: 'a', netns: '', config: world.config() });
      });

      test('in the configuration goes before what the runtime asks; one without its burst is refused', async () => {
        const config = world.config({
          ingressRate: 1_000_000,
          ingressBurst: 80_000,
          runtimeConfig: { bandwidth: asked },
        });
        const result = await add('a', config);
        expect(result.interfaces).toHaveLength(3);
        expect(world.onNode('tc', 'qdisc', 'show', 'dev', result.interfaces[1]?.name ?? '')).toMatch(
          /rate 1Mbit/,
        );
        await world.ok({ verb: 'DEL', pod: 'a', config });
        for (const [change, msg] of [
          [{ ingressRate: 8000 }, 'if rate is set, burst must also be set'],
          [{ egressBurst: 8000 }, 'if burst is set, rate must also be set'],
          [{ egressRate: 8000, egressBurst: 2 ** 36 }, 'burst cannot be more than 4GB'],
        ] as const)
          expect(await world.refused({ verb: 'ADD', pod: 'a', config: world.config(change) })).toMatchObject({
            code: 7,
            msg,
          });
      });
    });

    test('flannel writes the subnet, the MTU and who masquerades', async () => {
      const subnetFile = join(world.directory, 'subnet.env');
      const config = world.config({
        subnetFile,
        mtu: undefined,
        bridge: 'cni1',
        ipam: world.ipam({ ranges: undefined }),
      });
      const missing = await world.refused({ verb: 'ADD', pod: 'a', config });
      expect(missing).toMatchObject({ code: 11 });
      expect(missing.msg).toContain(subnetFile);
      writeFileSync(
        subnetFile,
        'FLANNEL_NETWORK=10.44.0.0/16\nFLANNEL_SUBNET=10.44.3.1/24\nFLANNEL_MTU=1390\nFLANNEL_IPMASQ=false\n',
      );
      const result = await add('a', config);
      expect(result.ips).toEqual([{ address: '10.44.3.2/24', gateway: '10.44.3.1', interface: 2 }]);
      expect(world.run('a', 'ip', 'link', 'show', 'eth0')).toContain('mtu 1390');
      expect(world.run('a', 'ip', 'route')).toContain('10.44.0.0/16 via 10.44.3.1');
      expect(world.onNode('nft', 'list', 'ruleset')).toContain('10.44.3.0/24');
      await world.ok({ verb: 'DEL', pod: 'a', config });
      world.onNode('ip', 'link', 'delete', 'cni1');
    });

    test('settings inside the container are made there, and wrong ones refused', async () => {
      const config = world.config({
        sysctl: { 'net.ipv4.conf.IFNAME.arp_filter': '1', 'net/core/somaxconn': '77' },
        promisc: true,
        allmulti: true,
        txQLen: 321,
      });
      await add('a', config);
      expect(world.run('a', 'cat', '/proc/sys/net/ipv4/conf/eth0/arp_filter')).toBe('1\n');
      expect(world.run('a', 'cat', '/proc/sys/net/core/somaxconn')).toBe('77\n');
      const link = world.run('a', 'ip', '-d', 'link', 'show', 'eth0');
      expect(link).toMatch(/promiscuity 1 .*allmulti 1/);
      expect(link).toContain('qlen 321');
      await world.ok({ verb: 'DEL', pod: 'a', config });
      for (const [sysctl, msg] of [
        [{ 'kernel.hostname': 'x' }, 'invalid net sysctl key: "kernel.hostname"'],
        [{ 'net/../kernel/hostname': 'x' }, 'invalid net sysctl key: "net/../kernel/hostname"'],
      ] as const)
        expect(
          await world.refused({ verb: 'ADD', pod: 'a', config: world.config({ sysctl }) }),
        ).toMatchObject({ code: 7, msg });
      expect(
        await world.refused({
          verb: 'ADD',
          pod: 'a',
          config: world.config({ sysctl: { 'net.no.such': '1' } }),
        }),
      ).toMatchObject({ code: 100 });
    });

    test('an ingress policy keeps bridges apart, and ports of an isolated one', async () => {
      const other = world.config({
        name: 'other',
        bridge: 'cni2',
        ipam: world.ipam({ ranges: [[{ subnet: '10.45.0.0/24' }]] }),
        ingressPolicy: 'isolated',
      });
      const config = world.config({ ingressPolicy: 'same-bridge' });
      const a = await add('a', config);
      const b = await add('b', config);
      const c = await add('c', other);
      expect(pings('a', addressOf(b))).toBe(true);
      expect(pings('a', addressOf(c))).toBe(false);
      expect(pings('c', addressOf(a))).toBe(false);
      await world.ok({ verb: 'DEL', pod: 'a', config });
      await world.ok({ verb: 'DEL', pod: 'b', netns: '', config: world.config() });
      expect(world.onNode('nft', 'list', 'table', 'inet', 'kilowire-cni')).not.toContain('kube-bridge');
      const open = await add('b', { ...other, ingressPolicy: 'isolated' });
      expect(pings('c', addressOf(open))).toBe(false);
      expect(pings('c', '10.45.0.1')).toBe(true);
      await world.ok({ verb: 'DEL', pod: 'b', config: other });
      await world.ok({ verb: 'DEL', pod: 'c', config: other });
      world.onNode('ip', 'link', 'delete', 'cni2');
      expect(
        await world.refused({ verb: 'ADD', pod: 'a', config: world.config({ ingressPolicy: 'closed' }) }),
      ).toMatchObject({ code: 7, msg: 'unknown ingress policy: "closed"' });
    });

    test('options of host ports: another mark bit, no masquerading, and those of iptables refused', async () => {
      const portMappings = [{ hostPort: 8080, containerPort: 80 }];
      const config = (change: object) => world.config({ runtimeConfig: { portMappings }, ...change });
      const table = (...what: string[]) => world.onNode('nft', 'list', ...what);
      await add('a', config({ markMasqBit: 20, snat: false }));
      expect(table('chain', 'inet', 'kilowire-cni.kwgnet', 'hostports')).toMatch(/0x0*100000/);
      expect(table('set', 'inet', 'kilowire-cni.kwgnet', 'ports4')).not.toContain('8080');
      // The rules of a living network are laid out anew, its elements stay.
      await add(
        'b',
        config({ masqAll: true, runtimeConfig: { portMappings: [{ hostPort: 81, containerPort: 80 }] } }),
      );
      const chain = table('chain', 'inet', 'kilowire-cni.kwgnet', 'hostports');
      expect(chain).not.toMatch(/0x0*100000/);
      expect(chain).toMatch(/0x0*2000/);
      expect(table('map', 'inet', 'kilowire-cni.kwgnet', 'hostports4')).toContain('8080');
      expect(table('set', 'inet', 'kilowire-cni.kwgnet', 'masq_ports4')).toContain('tcp . 81');
      await world.ok({ verb: 'DEL', pod: 'b' });
      expect(table('set', 'inet', 'kilowire-cni.kwgnet', 'masq_ports4')).not.toContain('tcp . 81');
      await world.ok({ verb: 'DEL', pod: 'a' });
      for (const [change, code] of [
        [{ conditionsV4: ['-s', '10.0.0.0/8'] }, 2],
        [{ conditionsV6: ['-s', 'fd00::/8'] }, 2],
        [{ externalSetMarkChain: 'KUBE-MARK-MASQ' }, 2],
        [{ markMasqBit: 32 }, 7],
        [{ ipMasqBackend: 'pf' }, 7],
      ] as const)
        expect(await world.refused({ verb: 'ADD', pod: 'a', config: config(change) })).toMatchObject({
          code,
        });
    });

    test('an address that was given back rests, and one kept for a pod is for no other', async () => {
      const ipam = world.ipam({
        ranges: [[{ subnet: '10.42.0.0/29' }]],
        quarantine: 3600,
        reservations: { 'shop/web-0': '10.42.0.3', alone: ['10.42.0.4'] },
      });
      const config = world.config({ forceAddress: true, ipam });
      const named = (name: string) => ({
        CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=${name}`,
      });
      const seen: string[] = [];
      // 2, 5 and 6 are for anyone; each rests after it.
      for (let round = 0; round < 3; round++) {
        seen.push(addressOf(await add('a', config)));
        await world.ok({ verb: 'DEL', pod: 'a', config });
      }
      expect(seen.sort()).toEqual(['10.42.0.2', '10.42.0.5', '10.42.0.6']);
      const refused = await world.refused({ verb: 'ADD', pod: 'a', config });
      expect(refused).toMatchObject({ code: 101 });
      expect(refused.details).toMatch(/^3 were given back a moment ago and rest/);
      expect(addressOf(await add('b', config, named('web-0')))).toBe('10.42.0.3');
      expect(addressOf(await add('c', config, named('alone')))).toBe('10.42.0.4');
      for (const pod of ['b', 'c']) await world.ok({ verb: 'DEL', pod, config });
      // Without a quarantine nobody looks at who rests; with a short one it is over.
      expect(
        addressOf(await add('a', world.config({ forceAddress: true, ipam: { ...ipam, quarantine: 0 } }))),
      ).toMatch(/^10\.42\.0\.[256]$/);
      await world.ok({ verb: 'DEL', pod: 'a', config });
      world.onNode('ip', 'link', 'delete', 'kube-bridge');
    });
  },
);

describe.skipIf(process.getuid?.() !== 0)('twenty thousand leases', () => {
  test('of host-local are read once, and found again when host-local was here meanwhile', async () => {
    const world = new CniWorld(programs[0]);
    try {
      const leases = join(world.directory, 'leases/kwgnet');
      mkdirSync(leases, { recursive: true });
      for (let at = 0; at < 20_000; at++)
        writeFileSync(join(leases, `10.43.${at >> 8}.${at & 255}`), `old${at}\r\neth0`);
      writeFileSync(join(leases, 'last_reserved_ip.0'), '10.43.78.31');
      const config = world.config({ ipam: world.ipam({ ranges: [[{ subnet: '10.43.0.0/16' }]] }) });
      const gone = (address: string) => !existsSync(join(leases, address));
      const opened = async (pod: string): Promise<number> => {
        world.trace = join(world.directory, 'trace');
        await world.ok({ verb: 'DEL', pod, netns: '', config });
        world.trace = '';
        return readFileSync(join(world.directory, 'trace'), 'utf8').split(`${leases}/10.43.`).length - 1;
      };
      expect(await opened('old5')).toBeGreaterThan(20_000);
      expect(gone('10.43.0.5')).toBe(true);
      expect(await opened('old6')).toBeLessThan(5);
      expect(gone('10.43.0.6')).toBe(true);
      expect(await opened('nobody')).toBe(0);
      world.addPod('a');
      await world.ok({ verb: 'ADD', pod: 'a', config });
      await world.ok({ verb: 'DEL', pod: 'a', config });
      expect(await opened('a')).toBe(0);
      // As host-local allocates: a lease, and the last address written over.
      writeFileSync(join(leases, '10.43.200.1'), 'new\r\neth0');
      writeFileSync(join(leases, 'last_reserved_ip.0'), '10.43.200.1');
      await world.ok({ verb: 'DEL', pod: 'new', netns: '', config });
      expect(gone('10.43.200.1')).toBe(true);
    } finally {
      world.close();
    }
  });
});
