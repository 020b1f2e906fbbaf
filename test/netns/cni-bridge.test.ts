/**
 * The bridge's rarer options, and addresses from another plugin, with the compiled executable.
 * @module
 */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { CniWorld, nothing, programs } from './cni-world.ts';

const [compiled] = programs;

type Added = { interfaces: { name: string; mac: string }[]; ips: { address: string; gateway?: string }[] };

describe.skipIf(process.getuid?.() !== 0)('options of the bridge', () => {
  let world: CniWorld;
  beforeAll(() => {
    world = new CniWorld(compiled);
    for (const pod of ['a', 'b']) world.addPod(pod);
  });
  afterEach(() => expect(world.leftovers()).toEqual(nothing));
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

  test('macspoofchk drops what a container sends with another MAC address', async () => {
    const config = world.config({ macspoofchk: true });
    const result = await add('a', config);
    await add('b', config);
    expect(pings('a', '10.42.0.1')).toBe(true);
    const check = { verb: 'CHECK', pod: 'a', config: { ...config, prevResult: result } };
    await world.ok(check);
    const rules = world.onNode('nft', 'list', 'chain', 'bridge', 'kilowire-cni.kwgnet', 'prerouting');
    expect(rules.match(/drop/g)).toHaveLength(1);
    world.run('a', 'ip', 'link', 'set', 'eth0', 'address', '02:00:00:00:00:99');
    expect(pings('a', '10.42.0.1')).toBe(false);
    expect(pings('b', '10.42.0.1')).toBe(true);
    await world.ok({ verb: 'DEL', pod: 'a', netns: '' });
    expect(world.onNode('nft', 'list', 'set', 'bridge', 'kilowire-cni.kwgnet', 'sources')).not.toContain(
      result.interfaces[1]?.name,
    );
    await world.ok({ verb: 'DEL', pod: 'b', config });
  });

  test('enabledad waits until the address is known to be nobody else’s', async () => {
    const config = world.config({
      enabledad: true,
      ipam: world.ipam({ ranges: [[{ subnet: 'fd42::/64' }]] }),
    });
    await add('a', config);
    expect(world.run('a', 'cat', '/proc/sys/net/ipv6/conf/eth0/accept_dad')).toBe('1\n');
    const addresses = world.run('a', 'ip', '-6', 'address', 'show', 'dev', 'eth0');
    expect(addresses).toContain('fd42::2/64');
    expect(addresses).not.toMatch(/tentative|nodad/);
    expect(world.run('a', 'ip', '-6', 'route')).toContain('default via fd42::1');
    await world.ok({ verb: 'DEL', pod: 'a', config });
  });

  test('disableContainerInterface leaves the container’s end down, and goes with no addresses', async () => {
    const config = world.config({ disableContainerInterface: true, isDefaultGateway: false, ipam: {} });
    const result = await add('a', config);
    expect(world.run('a', 'ip', 'link', 'show', 'eth0')).toContain('state DOWN');
    await world.ok({ verb: 'CHECK', pod: 'a', config: { ...config, prevResult: result } });
    await world.ok({ verb: 'DEL', pod: 'a', config });
    expect(
      await world.refused({
        verb: 'ADD',
        pod: 'a',
        config: world.config({ disableContainerInterface: true }),
      }),
    ).toMatchObject({ code: 7, msg: 'cannot use IPAM when DisableContainerInterface flag is set' });
  });

  test.each([
    [{ vlan: 4095 }, 'invalid VLAN ID 4095 (must be between 0 and 4094)'],
    [{ vlanTrunk: [{ minID: 2, maxID: 1 }] }, 'minID is greater than maxID in trunk parameter'],
    [
      { vlanTrunk: [{ minID: 2 }] },
      /^minID and maxID should be configured simultaneously, maxID is missing$/,
    ],
    [{ vlanTrunk: [{ id: 4095 }] }, 'incorrect trunk id parameter'],
    [{ vlanTrunk: [{ minID: 0, maxID: 4 }] }, 'incorrect trunk minID parameter'],
  ])('%j is refused', async (change, msg) => {
    const refused = await world.refused({ verb: 'ADD', pod: 'a', config: world.config(change) });
    expect(refused).toMatchObject({ code: 7 });
    expect(refused.msg).toEqual(typeof msg === 'string' ? msg : expect.stringMatching(msg));
  });

  test('a VLAN is joined where the kernel has them, and refused in its words where not', async () => {
    const config = world.config({ vlan: 100, vlanTrunk: [{ minID: 200, maxID: 203 }, { id: 300 }] });
    const answer = await world.call({ verb: 'ADD', pod: 'a', config });
    if (answer.code === 0) {
      const { interfaces } = JSON.parse(answer.stdout) as Added;
      expect(interfaces.map(({ name }) => name)[3]).toBe('kube-bridge.100');
      const vlans = world.onNode('bridge', 'vlan', 'show', 'dev', interfaces[1]?.name ?? '');
      expect(vlans).toMatch(/100 PVID Egress Untagged/);
      expect(vlans).toContain('203');
      expect(pings('a', '10.42.0.1')).toBe(true);
    } else expect(JSON.parse(answer.stdout)).toMatchObject({ code: 100 });
    await world.ok({ verb: 'DEL', pod: 'a', config });
    world.onNode('ip', 'link', 'delete', 'kube-bridge');
  });

  describe('addresses from another plugin', () => {
    const bin = () => join(world.directory, 'bin');
    const log = () => join(world.directory, 'ipam.log');
    const env = () => ({ CNI_PATH: `/nonexistent:${bin()}` });
    const install = (answer: string, code = 0) => {
      mkdirSync(bin(), { recursive: true });
      writeFileSync(
        join(bin(), 'other-ipam'),
        `#!/bin/sh\nprintf '%s %s ' "$CNI_COMMAND" "$CNI_CONTAINERID" >> ${log()}\nhead -c 4096 | wc -c >> ${log()}\nif [ "$CNI_COMMAND" = ADD ] || [ ${code} != 0 ]; then echo '${answer}'; fi\nexit ${code}\n`,
      );
      chmodSync(join(bin(), 'other-ipam'), 0o755);
      writeFileSync(log(), '');
    };
    const calls = () =>
      readFileSync(log(), 'utf8')
        .trim()
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => line.split(' ')[0]);
    const config = () => world.config({ ipMasq: true, ipam: { type: 'other-ipam' } });

    test('are used, checked, given back, collected', async () => {
      install(
        JSON.stringify({
          cniVersion: '1.1.0',
          ips: [{ address: '10.46.0.9/24' }],
          routes: [{ dst: '192.0.2.0/24' }],
          dns: { nameservers: ['10.46.0.53'] },
        }),
      );
      const result = await add('a', config(), env());
      expect(result).toMatchObject({
        ips: [{ address: '10.46.0.9/24', gateway: '10.46.0.1', interface: 2 }],
        dns: { nameservers: ['10.46.0.53'] },
      });
      expect(world.run('a', 'ip', 'route')).toContain('192.0.2.0/24 via 10.46.0.1');
      expect(pings('a', '10.46.0.1')).toBe(true);
      const checked = { ...config(), prevResult: result };
      await world.ok({ verb: 'CHECK', pod: 'a', config: checked, env: env() });
      await world.ok({ verb: 'STATUS', pod: '', netns: '', ifname: '', config: config(), env: env() });
      await world.ok({ verb: 'DEL', pod: 'a', config: config(), env: env() });
      await world.ok({ verb: 'DEL', pod: 'a', netns: '', config: config(), env: env() });
      const valid = { ...config(), 'cni.dev/valid-attachments': [] };
      await world.ok({ verb: 'GC', pod: '', netns: '', ifname: '', config: valid, env: env() });
      expect(calls()).toEqual(['ADD', 'CHECK', 'STATUS', 'DEL', 'DEL', 'GC']);
      expect(readFileSync(log(), 'utf8')).not.toMatch(/ 0$/m);
      world.onNode('ip', 'link', 'delete', 'kube-bridge');
    });

    test('refused by it are refused with its code and words, and nothing is left', async () => {
      install(JSON.stringify({ code: 123, msg: 'no address today', details: 'ask tomorrow' }), 1);
      expect(await world.refused({ verb: 'ADD', pod: 'a', config: config(), env: env() })).toMatchObject({
        code: 123,
        msg: 'no address today',
        details: 'ask tomorrow',
      });
      expect(calls()).toEqual(['ADD', 'DEL']);
      install('{"ips":[]}');
      expect((await world.refused({ verb: 'ADD', pod: 'a', config: config(), env: env() })).msg).toBe(
        'IPAM plugin returned missing IP config',
      );
      const nowhere = world.config({ ipam: { type: 'nosuch' } });
      expect((await world.refused({ verb: 'ADD', pod: 'a', config: nowhere, env: env() })).msg).toBe(
        `failed to find plugin "nosuch" in path [/nonexistent ${bin()}]`,
      );
    });
  });
});
