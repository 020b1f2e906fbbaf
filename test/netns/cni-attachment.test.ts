/**
 * ADD and DEL on real namespaces, with the compiled executable and with the same source under Node.
 * @module
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { CniWorld, nothing, programs, resident } from './cni-world.ts';

describe.skipIf(process.getuid?.() !== 0).each([...programs, resident])(
  'the CNI executable, $name',
  (program) => {
    let world: CniWorld;
    beforeAll(() => {
      world = new CniWorld(program);
    });
    afterAll(() => world.close());
    afterEach(() => expect(world.leftovers()).toEqual(nothing));

    test('attaches two pods that reach the gateway and each other, and takes them off again', async () => {
      world.addPod('a');
      world.addPod('b');
      const first = await world.ok({ verb: 'ADD', pod: 'a' });
      const second = await world.ok({ verb: 'ADD', pod: 'b' });
      expect(first).toMatchObject({
        cniVersion: '1.1.0',
        interfaces: [
          { name: 'kube-bridge', mtu: 1420 },
          { name: expect.stringMatching(/^veth/), mtu: 1420 },
          { name: 'eth0', mtu: 1420, sandbox: world.podPath('a') },
        ],
        ips: [{ address: '10.42.0.2/24', gateway: '10.42.0.1', interface: 2 }],
        routes: [{ dst: '0.0.0.0/0', gw: '10.42.0.1' }],
      });
      expect(second).toMatchObject({ ips: [{ address: '10.42.0.3/24' }] });
      const shown = JSON.parse(world.run('a', 'ip', '-j', 'address', 'show', 'dev', 'eth0'))[0];
      expect(shown).toMatchObject({
        mtu: 1420,
        operstate: 'UP',
        addr_info: [{ local: '10.42.0.2', prefixlen: 24 }, {}],
      });
      expect(world.run('a', 'ip', 'route', 'show', 'default')).toContain('via 10.42.0.1 dev eth0');
      expect(world.run('a', 'cat', '/proc/sys/net/ipv4/conf/eth0/arp_notify')).toBe('1\n');
      world.run('a', 'ping', '-c1', '-W2', '127.0.0.1');
      world.run('a', 'ping', '-c1', '-W2', '10.42.0.1');
      world.run('a', 'ping', '-c1', '-W2', '10.42.0.3');
      await world.ok({ verb: 'DEL', pod: 'a' });
      expect(world.podLinks('a')).toEqual(['lo']);
      await world.ok({ verb: 'DEL', pod: 'b' });
    });

    test('accepts a second DEL, one without namespace and one for what never was', async () => {
      world.addPod('c');
      await world.ok({ verb: 'ADD', pod: 'c' });
      await world.ok({ verb: 'DEL', pod: 'c' });
      await world.ok({ verb: 'DEL', pod: 'c' });
      await world.ok({ verb: 'DEL', pod: 'c', netns: '' });
      await world.ok({ verb: 'DEL', pod: 'never', netns: '' });
      await world.ok({ verb: 'DEL', pod: 'never' });
    });

    test('cleans up when the namespace is gone, or the runtime has forgotten it', async () => {
      world.addPod('d');
      world.addPod('e');
      await world.ok({ verb: 'ADD', pod: 'd' });
      await world.ok({ verb: 'ADD', pod: 'e' });
      world.removePod('d');
      await world.ok({ verb: 'DEL', pod: 'd' });
      await world.ok({ verb: 'DEL', pod: 'e', netns: '' });
      expect(world.podLinks('e')).toEqual(['lo']);
    });

    test('refuses a second ADD, and the first stays whole', async () => {
      world.addPod('f');
      const { ips } = (await world.ok({ verb: 'ADD', pod: 'f' })) as { ips: { address: string }[] };
      expect(await world.refused({ verb: 'ADD', pod: 'f' })).toMatchObject({
        msg: expect.stringMatching(/duplicate allocation is not allowed/),
      });
      world.run('f', 'ping', '-c1', '-W2', '10.42.0.1');
      expect(world.leftovers().leases).toEqual([ips[0]?.address.split('/')[0]]);
      await world.ok({ verb: 'DEL', pod: 'f' });
    });

    test('gives one container two interfaces, and takes off one at a time', async () => {
      world.addPod('g');
      await world.ok({ verb: 'ADD', pod: 'g' });
      const config = world.config({ isDefaultGateway: false, isGateway: true });
      await world.ok({ verb: 'ADD', pod: 'g', ifname: 'net1', config });
      await world.ok({ verb: 'DEL', pod: 'g' });
      expect(world.podLinks('g')).toEqual(['lo', 'net1']);
      await world.ok({ verb: 'DEL', pod: 'g', ifname: 'net1' });
    });

    test('says what to do about a second default route, and takes that interface back', async () => {
      world.addPod('two');
      await world.ok({ verb: 'ADD', pod: 'two' });
      expect(await world.refused({ verb: 'ADD', pod: 'two', ifname: 'net1' })).toMatchObject({
        msg: expect.stringMatching(/^failed to add .*net1.*: file exists$/),
        details: expect.stringContaining('isDefaultGateway'),
      });
      expect(world.podLinks('two')).toEqual(['lo', 'eth0']);
      await world.ok({ verb: 'DEL', pod: 'two' });
      expect(world.leftovers()).toEqual(nothing);
    });

    test('takes everything back when the interface exists in the container already', async () => {
      world.addPod('h');
      world.run('h', 'ip', 'link', 'add', 'eth0', 'type', 'bridge');
      expect(await world.refused({ verb: 'ADD', pod: 'h' })).toMatchObject({
        code: 102,
        msg: expect.stringMatching(
          /^container veth name \("eth0"\) peer provided \("veth[0-9a-f]+"\) already exists$/,
        ),
      });
      expect(world.leftovers()).toEqual(nothing);
      world.run('h', 'ip', 'link', 'delete', 'eth0');
      await world.ok({ verb: 'ADD', pod: 'h' });
      await world.ok({ verb: 'DEL', pod: 'h' });
    });

    test('takes the veth back when a route cannot be set', async () => {
      world.addPod('i');
      const ipam = world.ipam({ routes: [{ dst: '10.9.0.0/16', gw: '192.0.2.1' }] });
      const told = await world.refused({ verb: 'ADD', pod: 'i', config: world.config({ ipam }) });
      expect(told).toMatchObject({
        code: 100,
        msg: expect.stringMatching(/10\.9\.0\.0\/16 via 192\.0\.2\.1/),
      });
      expect(world.leftovers()).toEqual(nothing);
      expect(world.podLinks('i')).toEqual(['lo']);
    });

    test('a default route written twice is one route', async () => {
      world.addPod('j');
      const config = world.config({ ipam: world.ipam({ routes: [{ dst: '0.0.0.0/0' }] }) });
      expect(await world.ok({ verb: 'ADD', pod: 'j', config })).toMatchObject({
        routes: [{ dst: '0.0.0.0/0', gw: '10.42.0.1' }],
      });
      await world.ok({ verb: 'DEL', pod: 'j', config });
    });

    test('refuses its own namespace before it has done anything', async () => {
      const netns = `/run/netns/${world.node}`;
      expect(await world.refused({ verb: 'ADD', pod: 'self', netns })).toMatchObject({
        code: 8,
        msg: "plugin's netns and netns from CNI_NETNS should not be the same",
      });
    });

    test('gives both families, usable at once', async () => {
      world.addPod('k');
      world.addPod('l');
      const config = world.config({
        bridge: 'dual-bridge',
        ipam: world.ipam({ ranges: [[{ subnet: '10.43.0.0/24' }], [{ subnet: 'fd77::/112' }]] }),
      });
      const result = await world.ok({ verb: 'ADD', pod: 'k', config });
      expect(result).toMatchObject({
        ips: [
          { address: '10.43.0.2/24', gateway: '10.43.0.1' },
          { address: 'fd77::2/112', gateway: 'fd77::1' },
        ],
        routes: [
          { dst: '0.0.0.0/0', gw: '10.43.0.1' },
          { dst: '::/0', gw: 'fd77::1' },
        ],
      });
      await world.ok({ verb: 'ADD', pod: 'l', config });
      world.run('k', 'ping', '-c1', '-W2', 'fd77::1');
      world.run('k', 'ping', '-c1', '-W2', 'fd77::3');
      world.run('k', 'ping', '-c1', '-W2', '10.43.0.3');
      await world.ok({ verb: 'DEL', pod: 'k', config });
      await world.ok({ verb: 'DEL', pod: 'l', config });
      world.onNode('ip', 'link', 'delete', 'dual-bridge');
    });

    test('honours a requested address and MAC address', async () => {
      world.addPod('m');
      const env = { CNI_ARGS: 'IgnoreUnknown=1;IP=10.42.0.77;MAC=02:11:22:33:44:55' };
      expect(await world.ok({ verb: 'ADD', pod: 'm', env })).toMatchObject({
        interfaces: [{}, {}, { mac: '02:11:22:33:44:55' }],
        ips: [{ address: '10.42.0.77/24' }],
      });
      await world.ok({ verb: 'DEL', pod: 'm', env });
    });

    test("takes over host-local's leases, and frees those of pods made before", async () => {
      const directory = join(world.directory, 'leases/kwgnet');
      mkdirSync(directory, { recursive: true });
      writeFileSync(join(directory, 'last_reserved_ip.0'), '10.42.0.9');
      writeFileSync(join(directory, '10.42.0.10'), 'older\r\neth0');
      world.addPod('older');
      world.addPod('n');
      world.onNode(
        'ip',
        'link',
        'add',
        'vetholder',
        'type',
        'veth',
        'peer',
        'name',
        'eth0',
        'netns',
        world.podPath('older').slice(11),
      );
      expect(await world.ok({ verb: 'ADD', pod: 'n' })).toMatchObject({
        ips: [{ address: '10.42.0.11/24' }],
      });
      expect(readFileSync(join(directory, '10.42.0.11'), 'utf8')).toBe('n\r\neth0');
      await world.ok({ verb: 'DEL', pod: 'older' });
      expect(world.podLinks('older')).toEqual(['lo']);
      await world.ok({ verb: 'DEL', pod: 'n' });
    });

    test('an address that is on the bridge from an earlier subnet is said, or replaced when told to', async () => {
      world.addPod('o');
      world.onNode('ip', 'link', 'add', 'old-bridge', 'type', 'bridge');
      world.onNode('ip', 'address', 'add', '10.99.0.1/24', 'dev', 'old-bridge');
      const config = world.config({
        bridge: 'old-bridge',
        ipam: world.ipam({ ranges: [[{ subnet: '10.44.0.0/24' }]] }),
      });
      expect(await world.refused({ verb: 'ADD', pod: 'o', config })).toMatchObject({
        code: 7,
        msg: 'failed to set bridge addr: "old-bridge" already has an IP address different from 10.44.0.1/24',
        details: expect.stringContaining('ip address del 10.99.0.1/24 dev old-bridge'),
      });
      const forced = { ...config, forceAddress: true };
      const { interfaces } = (await world.ok({ verb: 'ADD', pod: 'o', config: forced })) as {
        interfaces: { mac: string }[];
      };
      // A port with a lower address would otherwise give the bridge its own.
      world.onNode(
        'ip',
        'link',
        'add',
        'l0',
        'address',
        '00:00:00:00:00:03',
        'type',
        'veth',
        'peer',
        'name',
        'l1',
      );
      world.onNode('ip', 'link', 'set', 'l0', 'master', 'old-bridge');
      expect(world.links().find(({ name }) => name === 'old-bridge')?.mac).toBe(interfaces[0]?.mac);
      world.onNode('ip', 'link', 'delete', 'l0');
      world.run('o', 'ping', '-c1', '-W2', '10.44.0.1');
      await world.ok({ verb: 'DEL', pod: 'o', config: forced });
      world.onNode('ip', 'link', 'delete', 'old-bridge');
    });

    test('a link that is no bridge is not made one', async () => {
      world.addPod('p');
      expect(
        await world.refused({ verb: 'ADD', pod: 'p', config: world.config({ bridge: 'lo' }) }),
      ).toMatchObject({
        msg: 'failed to create bridge "lo": "lo" already exists but is not a bridge',
      });
    });

    // Node takes its time to start: fewer there.
    const many = program.name === 'compiled' ? 50 : 12;

    test(`${many} at once get ${many} addresses`, async () => {
      const pods = Array.from({ length: many }, (_, i) => `many${i}`);
      for (const pod of pods) world.addPod(pod);
      const results = await Promise.all(pods.map((pod) => world.ok({ verb: 'ADD', pod })));
      const addresses = results.map((result) => (result as { ips: { address: string }[] }).ips[0]?.address);
      expect(new Set(addresses).size).toBe(many);
      expect(world.leftovers().leases.toSorted()).toEqual(
        addresses.map((text) => text?.split('/')[0]).toSorted(),
      );
      world.run('many0', 'ping', '-c1', '-W2', addresses[many - 1]?.split('/')[0] ?? '');
      await Promise.all(pods.map((pod) => world.ok({ verb: 'DEL', pod })));
      for (const pod of pods) world.removePod(pod);
    });
  },
);
