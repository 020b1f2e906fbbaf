/**
 * Called under the names portmap and bandwidth, behind a bridge: ours, and Debian's.
 * @module
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { CniWorld, nothing, programs } from './cni-world.ts';

const [compiled] = programs;
const debian = '/usr/lib/cni/bridge';

type Result = { interfaces: { name: string }[]; ips: { address: string }[] };

describe.skipIf(process.getuid?.() !== 0)('a chain of plugins', () => {
  let world: CniWorld;
  beforeAll(() => {
    world = new CniWorld(compiled);
    for (const pod of ['a', 'b']) world.addPod(pod);
  });
  afterEach(() => {
    expect(world.leftovers()).toEqual(nothing);
    expect(world.links().filter(({ kind }) => kind === 'ifb')).toEqual([]);
    for (const network of ['.portmap.kwgnet', '.bandwidth.kwgnet']) {
      const directory = join(world.directory, 'state', network);
      expect(existsSync(directory) ? readdirSync(directory) : []).toEqual([]);
    }
  });
  afterAll(() => world.close());

  const entry = (type: string, change: object = {}) => ({
    cniVersion: '1.0.0',
    name: 'kwgnet',
    type,
    stateDir: join(world.directory, 'state'),
    ...change,
  });
  const ports = { runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] } };
  const limits = { runtimeConfig: { bandwidth: { egressRate: 8_000_000, egressBurst: 80_000 } } };
  const run = async (verb: string, config: object, netns?: string) =>
    (await world.ok({
      verb,
      pod: 'a',
      config,
      ...(netns === undefined ? {} : { netns }),
    })) as unknown as Result;
  const bridge = () => world.config({ cniVersion: '1.0.0', type: 'bridge' });
  const listing = () => world.onNode('nft', 'list', 'ruleset');

  test('bridge, portmap and bandwidth hand the result on, and each takes away its own', async () => {
    const first = await run('ADD', bridge());
    const second = await run('ADD', entry('portmap', { ...ports, prevResult: first }));
    expect(second).toEqual(first);
    expect(listing()).toContain('inet kilowire-cni..portmap.kwgnet');
    expect(listing()).toMatch(/tcp \. 8080 .*10\.42\.0\.2 \. 80/);
    const third = await run('ADD', entry('bandwidth', { ...limits, prevResult: second }));
    expect(third.interfaces).toHaveLength(4);
    expect(third.interfaces.slice(0, 3)).toEqual(first.interfaces);
    expect(world.onNode('tc', 'qdisc', 'show', 'dev', third.interfaces[3]?.name ?? '')).toContain(
      'rate 8Mbit',
    );
    for (const config of [bridge(), entry('portmap', ports), entry('bandwidth', limits)])
      await run('CHECK', { ...config, prevResult: third });
    world.onNode('nft', 'flush', 'map', 'inet', 'kilowire-cni..portmap.kwgnet', 'hostports4');
    const check = { verb: 'CHECK', pod: 'a', config: entry('portmap', { ...ports, prevResult: third }) };
    expect((await world.refused(check)).msg).toBe('nftables has lost host port tcp/8080');
    // A runtime that has lost everything but the names.
    await run('DEL', entry('bandwidth'), '');
    await run('DEL', entry('portmap'), '');
    await run('DEL', bridge(), '');
  });

  test.skipIf(!existsSync(debian))('behind Debian’s bridge too', async () => {
    const go = new CniWorld({ name: 'compiled', command: [debian] } as never);
    try {
      go.addPod('a');
      const config = go.config({ cniVersion: '1.0.0', type: 'bridge' });
      const env = { CNI_PATH: '/usr/lib/cni' };
      const first = await go.ok({ verb: 'ADD', pod: 'a', config, env });
      const ours = { node: go.node, netns: go.podPath('a') };
      const call = (verb: string, change: object) =>
        world.ok({ verb, pod: 'a', netns: ours.netns, node: ours.node, config: change });
      const result = (await call(
        'ADD',
        entry('bandwidth', { ...limits, prevResult: first }),
      )) as unknown as Result;
      expect(result.interfaces[3]?.name).toMatch(/^bwp/);
      await call('ADD', entry('portmap', { ...ports, prevResult: result }));
      await call('DEL', entry('portmap', ports));
      await call('DEL', entry('bandwidth', limits));
      await go.ok({ verb: 'DEL', pod: 'a', config, env });
      expect(go.links().filter(({ kind }) => kind === 'ifb' || kind === 'veth')).toEqual([]);
    } finally {
      go.close();
    }
  });

  test('with nothing to do they pass the result on, and without one they are refused', async () => {
    const prevResult = { cniVersion: '1.0.0', ips: [{ address: '10.1.0.2/24' }], odd: true };
    for (const type of ['portmap', 'bandwidth']) {
      expect(await run('ADD', entry(type, { prevResult }))).toEqual(prevResult);
      const call = { verb: 'ADD', pod: 'a', config: entry(type) };
      expect(await world.refused(call)).toMatchObject({ code: 999, msg: 'must be called as chained plugin' });
      await run('DEL', entry(type));
    }
  });

  test('GC takes away what is not on the list', async () => {
    const first = await run('ADD', bridge());
    await run('ADD', entry('portmap', { ...ports, prevResult: first }));
    const gc = (type: string, list: object[]) => ({
      verb: 'GC',
      pod: '',
      netns: '',
      ifname: '',
      config: entry(type, { cniVersion: '1.1.0', 'cni.dev/valid-attachments': list }),
    });
    await world.ok(gc('portmap', [{ containerID: 'a', ifname: 'eth0' }]));
    expect(listing()).toContain('8080');
    await world.ok(gc('portmap', []));
    expect(listing()).not.toContain('8080');
    await run('DEL', bridge());
  });
});
