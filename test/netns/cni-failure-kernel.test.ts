/**
 * What may be wrong with the kernel's side: namespaces, bridges, names, tables and rules that others changed, and
 * many calls at once. The exact error, and nothing left behind.
 * @module
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { hostVethName } from '../../src/cni/attachment-name.ts';
import { CniWorld, nothing, programs } from './cni-world.ts';

type Result = { readonly ips: readonly { readonly address: string }[] };

describe.skipIf(process.getuid?.() !== 0).each(programs)('the kernel, $name', (program) => {
  let world: CniWorld;
  beforeAll(() => {
    world = new CniWorld(program);
    for (const pod of ['a', 'b']) world.addPod(pod);
  });
  afterAll(() => world.close());
  afterEach(() => {
    expect(world.leftovers()).toEqual(nothing);
    for (const pod of ['a', 'b']) expect(world.podLinks(pod)).toEqual(['lo']);
  });

  const bridgePorts = (): readonly string[] =>
    world
      .links()
      .filter(({ master }) => master !== undefined)
      .map(({ name }) => name);
  const withPort = (hostPort: number) =>
    world.config({ ipMasq: true, runtimeConfig: { portMappings: [{ hostPort, containerPort: 80 }] } });

  test('a namespace that has gone before ADD: code 8', async () => {
    expect(await world.refused({ verb: 'ADD', pod: 'a', netns: '/run/netns/kwr-nowhere' })).toMatchObject({
      code: 8,
      msg: 'failed to open netns "/run/netns/kwr-nowhere": failed to Statfs "/run/netns/kwr-nowhere": no such file or directory',
    });
  });

  test("the host's own namespace: code 8, before anything is built in it", async () => {
    expect(await world.refused({ verb: 'ADD', pod: 'a', netns: `/run/netns/${world.node}` })).toMatchObject({
      code: 8,
      msg: "plugin's netns and netns from CNI_NETNS should not be the same",
    });
    expect(world.links().map(({ name }) => name)).not.toContain('eth0');
  });

  test('a path that is another namespace now: DEL touches nothing in that one', async () => {
    await world.ok({ verb: 'ADD', pod: 'a' });
    world.run('b', 'ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'other');
    await world.ok({ verb: 'DEL', pod: 'a', netns: world.podPath('b') });
    expect(world.podLinks('b')).toContain('eth0');
    world.run('b', 'ip', 'link', 'delete', 'eth0');
  });

  test('a namespace that was deleted and made anew: ADD takes it for the new one it is', async () => {
    const first = (await world.ok({ verb: 'ADD', pod: 'a' })) as Result;
    world.removePod('a');
    world.addPod('a');
    expect(world.leftovers().leases).toEqual([first.ips[0]?.address.split('/')[0]]);
    await world.ok({ verb: 'ADD', pod: 'a' });
    expect(world.leftovers().leases).toHaveLength(1);
    await world.ok({ verb: 'DEL', pod: 'a' });
  });

  test('an interface of that name is in the container already: code 102, and it is left alone', async () => {
    world.run('a', 'ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'other');
    expect(await world.refused({ verb: 'ADD', pod: 'a' })).toMatchObject({
      code: 102,
      msg: `container veth name ("eth0") peer provided ("${hostVethName({ containerId: 'a', ifname: 'eth0' })}") already exists`,
    });
    expect(world.podLinks('a')).toContain('eth0');
    world.run('a', 'ip', 'link', 'delete', 'eth0');
  });

  test("a stranger has the host interface's name: another is taken, and the stranger stays", async () => {
    const name = hostVethName({ containerId: 'a', ifname: 'eth0' });
    world.onNode('ip', 'link', 'add', name, 'type', 'bridge');
    await world.ok({ verb: 'ADD', pod: 'a' });
    expect(world.leftovers().veths).toHaveLength(1);
    await world.ok({ verb: 'DEL', pod: 'a', netns: '' });
    expect(world.links().map((link) => link.name)).toContain(name);
    world.onNode('ip', 'link', 'delete', name);
  });

  test('the bridge was deleted behind our back: CHECK says so, DEL goes, the next ADD makes it again', async () => {
    const result = await world.ok({ verb: 'ADD', pod: 'a' });
    world.onNode('ip', 'link', 'delete', 'kube-bridge');
    expect(
      await world.refused({ verb: 'CHECK', pod: 'a', config: world.config({ prevResult: result }) }),
    ).toMatchObject({ code: 103, msg: 'Interface kube-bridge not found' });
    await world.ok({ verb: 'DEL', pod: 'a' });
    await world.ok({ verb: 'ADD', pod: 'a' });
    world.run('a', 'ping', '-c1', '-W2', '10.42.0.1');
    await world.ok({ verb: 'DEL', pod: 'a' });
  });

  test.each([
    ['a veth', ['type', 'veth', 'peer', 'name', 'wan0']],
    ['an ifb', ['type', 'ifb']],
  ])("the bridge's name is %s: code 7, and it is left alone", async (_, kind) => {
    const config = world.config({ bridge: 'wan0b' });
    world.onNode('ip', 'link', 'add', 'wan0b', ...kind);
    expect(await world.refused({ verb: 'ADD', pod: 'a', config })).toMatchObject({
      code: 7,
      msg: 'failed to create bridge "wan0b": "wan0b" already exists but is not a bridge',
    });
    expect(world.links().map(({ name }) => name)).toContain('wan0b');
    world.onNode('ip', 'link', 'delete', 'wan0b');
  });

  test('the host interface was deleted by hand: DEL and a new ADD do not mind', async () => {
    for (const then of ['DEL', 'ADD']) {
      await world.ok({ verb: 'ADD', pod: 'a' });
      world.onNode('ip', 'link', 'delete', world.leftovers().veths[0] ?? '');
      await world.ok({ verb: then, pod: 'a' });
    }
    await world.ok({ verb: 'DEL', pod: 'a' });
  });

  test('our table was deleted by hand: CHECK says what is lost, the next ADD makes it again, DEL goes', async () => {
    const config = withPort(8080);
    const result = await world.ok({ verb: 'ADD', pod: 'a', config });
    world.onNode('nft', 'delete', 'table', 'inet', 'kilowire-cni.kwgnet');
    expect(
      await world.refused({ verb: 'CHECK', pod: 'a', config: { ...config, prevResult: result } }),
    ).toMatchObject({
      code: 103,
      msg: 'nftables has lost masquerading of 10.42.0.0/24, host port tcp/8080',
    });
    await world.ok({ verb: 'ADD', pod: 'b', config: withPort(8081) });
    expect(world.onNode('nft', 'list', 'ruleset')).toContain('8081');
    for (const pod of ['a', 'b']) await world.ok({ verb: 'DEL', pod, netns: '' });
  });

  test.each([
    ['elements were removed', ['flush', 'map', 'inet', 'kilowire-cni.kwgnet', 'hostports4']],
    ['a chain was emptied', ['flush', 'chain', 'inet', 'kilowire-cni.kwgnet', 'hostports']],
    ['a chain was added', ['add', 'chain', 'inet', 'kilowire-cni.kwgnet', 'strange']],
    ['a port was taken out', ['flush', 'set', 'inet', 'kilowire-cni.kwgnet', 'ports4']],
  ])('in our table %s by hand: DEL leaves nothing all the same', async (_, command) => {
    await world.ok({ verb: 'ADD', pod: 'a', config: withPort(8080) });
    world.onNode('nft', ...command);
    await world.ok({ verb: 'DEL', pod: 'a', netns: '' });
  });

  test('tables of others are as they were, whatever was added, refused and deleted', async () => {
    const foreign = `
table ip nat {
  chain POSTROUTING {
    type nat hook postrouting priority 100; policy accept;
    ip saddr 10.42.0.0/24 counter masquerade
  }
  chain KUBE-SERVICES {
    ip daddr 10.43.0.1 tcp dport 443 counter accept
  }
}
table inet firewalld {
  set masquerade4 {
    type ipv4_addr
    elements = { 10.42.0.9 }
  }
  chain filter_FORWARD {
    type filter hook forward priority 10; policy accept;
    ct state established accept
  }
}
table inet kilowire-cni.other {
  set made {
    type mark
  }
}
`;
    const path = join(world.directory, 'foreign.nft');
    writeFileSync(path, foreign);
    world.onNode('nft', '-f', path);
    const before = world.onNode('nft', 'list', 'ruleset');
    await world.ok({ verb: 'ADD', pod: 'a', config: withPort(8080) });
    expect(await world.refused({ verb: 'ADD', pod: 'b', config: withPort(8080) })).toMatchObject({
      code: 105,
      msg: 'host port tcp/8080 is used by a:eth0',
    });
    await world.ok({ verb: 'DEL', pod: 'a' });
    await world.ok({ verb: 'DEL', pod: 'b' });
    expect(world.onNode('nft', 'list', 'ruleset')).toBe(before);
    world.onNode('nft', 'flush', 'ruleset');
  });

  test('many ADDs at once: all answer, every address is another, and all go again', async () => {
    const pods = Array.from({ length: program.name === 'compiled' ? 100 : 12 }, (_, index) => `many${index}`);
    for (const pod of pods) world.addPod(pod);
    const config = world.config({ ipMasq: true });
    const results = await Promise.all(pods.map((pod) => world.ok({ verb: 'ADD', pod, config })));
    const addresses = results.map((result) => (result as Result).ips[0]?.address);
    expect(new Set(addresses).size).toBe(pods.length);
    expect(bridgePorts()).toHaveLength(pods.length);
    await Promise.all(pods.map((pod) => world.ok({ verb: 'DEL', pod, netns: '' })));
    expect(bridgePorts()).toEqual([]);
    for (const pod of pods) world.removePod(pod);
  });

  test('ADDs and DELs of one attachment at once: the last DEL leaves nothing', async () => {
    const config = withPort(8080);
    for (let round = 0; round < (program.name === 'compiled' ? 8 : 2); round++) {
      const verbs = ['ADD', 'DEL', 'ADD', 'ADD', 'DEL', 'DEL'];
      const answers = await Promise.all(verbs.map((verb) => world.call({ verb, pod: 'a', config })));
      answers.forEach(({ code, stdout }, index) => {
        if (verbs[index] === 'DEL') expect(code).toBe(0);
        else if (code !== 0) expect(JSON.parse(stdout)).toMatchObject({ code: 102 });
      });
      await world.ok({ verb: 'DEL', pod: 'a', netns: '', config });
      expect(world.leftovers()).toEqual(nothing);
    }
  });

  test('a hostile environment changes nothing', async () => {
    const marker = join(world.directory, 'executed');
    const script = join(world.directory, 'hostile.js');
    writeFileSync(script, `require('node:fs').writeFileSync(${JSON.stringify(marker)}, '')`);
    const env: Record<string, string> =
      program.name === 'compiled'
        ? {
            NODE_OPTIONS: `--require ${script}`,
            NODE_EXTRA_CA_CERTS: '/nowhere',
            BUN_INSPECT: '',
            BUN_CONFIG_VERBOSE_FETCH: '1',
            BUN_RUNTIME_TRANSPILER_CACHE_PATH: join(world.directory, 'cache'),
            BUN_INSTALL: world.directory,
            MIMALLOC_SHOW_STATS: '0',
            TZ: 'Nowhere/Never',
            LANG: 'xx_XX',
            LD_LIBRARY_PATH: '/nowhere',
            HOME: '/nowhere',
            TMPDIR: '/nowhere',
          }
        : { TZ: 'Nowhere/Never', LANG: 'xx_XX', HOME: '/nowhere', TMPDIR: '/nowhere' };
    const result = (await world.ok({ verb: 'ADD', pod: 'a', env })) as Result;
    expect(result.ips).toHaveLength(1);
    await world.ok({ verb: 'DEL', pod: 'a', env });
    expect(existsSync(marker)).toBe(false);
    expect(existsSync(join(world.directory, 'cache'))).toBe(false);
  });

  test('16 MiB of configuration are refused in one document, and no memory is eaten by it', async () => {
    const config = { ...world.config(), padding: 'x'.repeat(17 << 20) };
    expect(await world.refused({ verb: 'ADD', pod: 'a', config })).toMatchObject({
      code: 6,
      msg: 'error unmarshall network config: it is longer than 16 MiB',
    });
    // One that is long and still allowed.
    await world.ok({ verb: 'ADD', pod: 'a', config: { ...world.config(), padding: 'x'.repeat(4 << 20) } });
    expect(readFileSync(join(world.directory, 'state/kwgnet/a:eth0.json'), 'utf8').length).toBeLessThan(4096);
    await world.ok({ verb: 'DEL', pod: 'a', config: { ...world.config(), padding: 'x'.repeat(4 << 20) } });
  });
});
