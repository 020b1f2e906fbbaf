/**
 * CHECK, STATUS and GC, with the compiled executable.
 * @module
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CniWorld, nothing, programs } from './cni-world.ts';

const [compiled] = programs;

describe.skipIf(process.getuid?.() !== 0)('the other verbs', () => {
  let world: CniWorld;
  beforeAll(() => {
    world = new CniWorld(compiled);
  });
  afterAll(() => world.close());

  const withPrevious = (prevResult: object, change: object = {}) => world.config({ ...change, prevResult });

  test.each(['0.4.0', '1.0.0', '1.1.0'])('CHECK in %s is content with what ADD made', async (cniVersion) => {
    world.addPod('a');
    const change = { cniVersion, hairpinMode: true, ipMasq: true };
    const result = await world.ok({ verb: 'ADD', pod: 'a', config: world.config(change) });
    await world.ok({ verb: 'CHECK', pod: 'a', config: withPrevious(result, change) });
    await world.ok({ verb: 'DEL', pod: 'a', config: withPrevious(result, change) });
    world.removePod('a');
    expect(world.leftovers()).toEqual(nothing);
  });

  test('CHECK without prevResult, and before 0.4.0, is refused', async () => {
    world.addPod('b');
    expect(await world.refused({ verb: 'CHECK', pod: 'b' })).toMatchObject({
      code: 7,
      msg: 'Required prevResult missing',
    });
    const config = world.config({ cniVersion: '0.3.1' });
    expect(await world.refused({ verb: 'CHECK', pod: 'b', config })).toMatchObject({ code: 1 });
  });

  test('CHECK tells each thing that is broken', async () => {
    world.addPod('c');
    const change = { hairpinMode: true, ipMasq: true };
    const plain = world.config(change);
    const result = (await world.ok({ verb: 'ADD', pod: 'c', config: plain })) as {
      ips: { address: string }[];
    };
    const config = withPrevious(result, change);
    const address = result.ips[0]?.address ?? '';
    const lease = join(world.directory, 'leases/kwgnet', address.split('/')[0] ?? '');
    const veth = world.leftovers().veths[0] ?? '';
    const broken: [string, () => void, () => void, string | RegExp][] = [
      [
        'address',
        () => world.run('c', 'ip', 'address', 'del', address, 'dev', 'eth0'),
        () => {
          world.run('c', 'ip', 'address', 'add', address, 'dev', 'eth0');
          world.run('c', 'ip', 'route', 'add', 'default', 'via', '10.42.0.1');
        },
        `Failed to match addr ${address} on interface eth0`,
      ],
      [
        'route',
        () => world.run('c', 'ip', 'route', 'del', 'default'),
        () => world.run('c', 'ip', 'route', 'add', 'default', 'via', '10.42.0.1'),
        'Expected Route 0.0.0.0/0 via 10.42.0.1 not found in routing table',
      ],
      [
        'link',
        () => world.onNode('ip', 'link', 'set', veth, 'nomaster'),
        () => {
          world.onNode('ip', 'link', 'set', veth, 'master', 'kube-bridge');
          world.onNode('bridge', 'link', 'set', 'dev', veth, 'hairpin', 'on');
        },
        'CNI veth created for bridge kube-bridge was not found',
      ],
      [
        'hairpin',
        () => world.onNode('bridge', 'link', 'set', 'dev', veth, 'hairpin', 'off'),
        () => world.onNode('bridge', 'link', 'set', 'dev', veth, 'hairpin', 'on'),
        /has no hairpin mode/,
      ],
      [
        'gateway',
        () => world.onNode('ip', 'address', 'del', '10.42.0.1/24', 'dev', 'kube-bridge'),
        () => world.onNode('ip', 'address', 'add', '10.42.0.1/24', 'dev', 'kube-bridge'),
        'Failed to match addr 10.42.0.1/24 on interface kube-bridge',
      ],
      [
        'lease',
        () => writeFileSync(lease, 'other\r\neth0'),
        () => writeFileSync(lease, 'c\r\neth0'),
        `host-local: Failed to find address added by container c: ${address.split('/')[0]}`,
      ],
      [
        'masquerade',
        () => world.onNode('nft', 'flush', 'set', 'inet', 'kilowire-cni.kwgnet', 'masquerade4'),
        () =>
          world.onNode(
            'nft',
            'add',
            'element',
            'inet',
            'kilowire-cni.kwgnet',
            'masquerade4',
            '{ 10.42.0.0/24 }',
          ),
        'nftables has lost masquerading of 10.42.0.0/24',
      ],
      [
        'mac',
        () => world.run('c', 'ip', 'link', 'set', 'eth0', 'address', '02:00:00:00:00:99'),
        () => {},
        /^Interface eth0 Mac doesn't match: 0a:58:/,
      ],
    ];
    for (const [what, spoil, mend, told] of broken) {
      await world.ok({ verb: 'CHECK', pod: 'c', config });
      spoil();
      const message = (await world.refused({ verb: 'CHECK', pod: 'c', config })).msg;
      if (typeof told === 'string') expect(message, what).toBe(told);
      else expect(message, what).toMatch(told);
      mend();
    }
    await world.ok({ verb: 'DEL', pod: 'c', config });
    expect(world.leftovers()).toEqual(nothing);
  });

  test('CHECK holds a layer 2 attachment too', async () => {
    world.addPod('d');
    const change = { isDefaultGateway: false, ipam: {} };
    const result = await world.ok({ verb: 'ADD', pod: 'd', config: world.config(change) });
    expect(result).toMatchObject({ ips: [] });
    await world.ok({ verb: 'CHECK', pod: 'd', config: withPrevious(result, change) });
    await world.ok({ verb: 'DEL', pod: 'd', config: world.config(change) });
    expect(world.leftovers()).toEqual(nothing);
  });

  test('STATUS is content with a good configuration, and tells an exhausted pool', async () => {
    const status = (config: object) => ({ verb: 'STATUS', pod: '', netns: '', ifname: '', config });
    await world.ok(status(world.config()));
    const config = world.config({
      forceAddress: true,
      ipam: world.ipam({ ranges: [[{ subnet: '10.42.0.0/30' }]] }),
    });

    await world.ok(status(config));
    world.addPod('e');
    await world.ok({ verb: 'ADD', pod: 'e', config });
    expect(await world.refused(status(config))).toMatchObject({
      code: 50,
      msg: 'no IP addresses available in range set 0: 10.42.0.1-10.42.0.2',
    });
    world.addPod('f');
    expect(await world.refused({ verb: 'ADD', pod: 'f', config })).toMatchObject({
      code: 101,
      msg: 'failed to allocate for range 0: no IP addresses available in range set: 10.42.0.1-10.42.0.2',
    });
    await world.ok({ verb: 'DEL', pod: 'e', config });
    await world.ok(status(config));
    world.onNode('ip', 'link', 'delete', 'kube-bridge');
    expect(world.leftovers()).toEqual(nothing);
  });

  test('GC takes away what is not on the list, also the leavings of host-local, and nothing without a list', async () => {
    for (const pod of ['g', 'h', 'i']) world.addPod(pod);
    const ports = {
      runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] },
    };
    const kept = (await world.ok({ verb: 'ADD', pod: 'g', config: world.config({ ipMasq: true }) })) as {
      ips: { address: string }[];
    };
    await world.ok({ verb: 'ADD', pod: 'h', config: world.config(ports) });
    await world.ok({
      verb: 'ADD',
      pod: 'i',
      ifname: 'net1',
      config: world.config({ isDefaultGateway: false }),
    });
    world.removePod('i');
    mkdirSync(join(world.directory, 'leases/kwgnet'), { recursive: true });
    writeFileSync(join(world.directory, 'leases/kwgnet/10.42.0.200'), '');
    writeFileSync(join(world.directory, 'leases/kwgnet/10.42.0.201'), 'long-gone\r\neth0');
    // The veth of a namespace that is gone goes by itself, some time.
    const { veths: _, ...before } = world.leftovers();
    const gc = (change: object) => ({
      verb: 'GC',
      pod: '',
      netns: '',
      ifname: '',
      config: world.config(change),
    });

    await world.ok(gc({}));
    expect(world.leftovers()).toMatchObject(before);

    await world.ok(gc({ 'cni.dev/valid-attachments': [{ containerID: 'g', ifname: 'eth0' }] }));
    expect(world.leftovers()).toMatchObject({
      leases: [kept.ips[0]?.address.split('/')[0]],
      state: ['g:eth0.json'],
    });
    expect(world.leftovers().veths).toHaveLength(1);
    expect(world.onNode('nft', 'list', 'map', 'inet', 'kilowire-cni.kwgnet', 'hostports4')).not.toContain(
      '8080',
    );
    world.run('g', 'ping', '-c1', '-W2', '10.42.0.1');

    await world.ok(gc({ 'cni.dev/attachments': [] }));
    expect(world.leftovers()).toEqual(nothing);
  });
});
