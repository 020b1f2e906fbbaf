/**
 * A node's key changes while pods of all nodes talk; then a node goes and comes, and no address moves. The nodes are drawn in
 * agent-world.ts; in a full mesh each is a segment of its own.
 * @module
 */
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DeviceControl } from '../../src/agent/host/device-control.ts';
import { keyText } from '../../src/routing/key-text.ts';
import { AgentWorld, allPairs, NODES } from './agent-world.ts';
import { end, isRoot, root, until } from './host.ts';

const FLAGS = ['--mesh-granularity=full', '--stable-addresses', '--preshared-keys'];

describe.skipIf(!isRoot)('agents in a full mesh', () => {
  let world: AgentWorld;
  beforeAll(async () => {
    world = new AgentWorld('kwrot');
    await world.startApi();
    for (const { name } of NODES) {
      mkdirSync(pskDirectory(name));
      world.startAgent(name, ...flagsOf(name));
      // One after the other, so that addresses are given in this order.
      await until(
        `${name} to have an address`,
        () => (world.annotation(name, 'wireguard-ip') ?? '') !== '',
        30_000,
      );
    }
    await world.meshed(40_000, '10.4.0.1/16,10.4.0.2/16,10.4.0.3/16');
  });
  afterAll(() => world.remove());

  const pskDirectory = (name: string) => join(world.directory(name), 'psk');
  const flagsOf = (name: string) => [...FLAGS, `--psk-dir=${pskDirectory(name)}`];
  /** Preshared keys of a node's tunnels, by the key of the other. */
  const secrets = async (name: string): Promise<Record<string, string>> => {
    const { peers } = await new DeviceControl(join(world.directory(name), 'kilo0.sock')).read();
    return Object.fromEntries(
      peers.map(({ publicKey, presharedKey }) => [
        keyText(publicKey),
        keyText(presharedKey ?? new Uint8Array(32)),
      ]),
    );
  };
  const pair = async (one: string, other: string): Promise<readonly (string | undefined)[]> => [
    (await secrets(one))[key(other) ?? ''],
    (await secrets(other))[key(one) ?? ''],
  ];
  const NONE = `${'A'.repeat(43)}=`;

  const key = (name: string) => world.annotation(name, 'key');
  const own = (name: string, word: string) =>
    world.api.store.get('nodes', name)?.metadata.annotations?.[`kilowire.dev/${word}`] ?? '';

  it('have a preshared key for each pair, that nothing in the API tells', async () => {
    const all = new Set<string>();
    for (const [one, other] of [
      ['a', 'b'],
      ['a', 'c'],
      ['b', 'c'],
    ] as const) {
      const [here, there] = await pair(one, other);
      expect(here).toBe(there);
      expect(here).not.toBe(NONE);
      all.add(here ?? '');
      expect(JSON.stringify(world.api.store.list('nodes'))).not.toContain(here);
    }
    expect(all.size).toBe(3);
    expect(statSync(join(world.directory('a'), 'psk-key')).mode & 0o777).toBe(0o600);
  });

  it('mix in what a post-quantum exchange has written, as soon as it is there', async () => {
    const [before] = await pair('a', 'b');
    const lost = world.pinging('a', 'b');
    const secret = Buffer.alloc(32, 9).toString('base64');
    writeFileSync(join(pskDirectory('a'), 'b'), secret, { mode: 0o600 });
    writeFileSync(join(pskDirectory('b'), 'a'), secret, { mode: 0o600 });
    let now = await pair('a', 'b');
    for (let i = 0; i < 100 && (now[0] === before || now[0] !== now[1]); i++) {
      await sleep(50);
      now = await pair('a', 'b');
    }
    expect(now[0]).toBe(now[1]);
    expect(now[0]).not.toBe(before);
    expect(await lost()).toBe(0);
  });

  it('turn to another key and lose next to nothing', async () => {
    const [pskBefore] = await pair('a', 'b');
    const before = { key: key('a'), file: readFileSync(join(world.directory('a'), 'key'), 'latin1') };
    const lost = [
      world.pinging('a', 'b'),
      world.pinging('b', 'a'),
      world.pinging('b', 'c'),
      world.pinging('c', 'a'),
    ];
    await sleep(500);
    const said = await world.administer(
      process.execPath,
      join(root, 'src/cli/main.ts'),
      ...['rotate-key', 'a', '-o', 'json', '--kubeconfig', world.kubeconfig()],
    );
    const [{ node, before: old, after }] = JSON.parse(said);
    expect([node, old, after]).toEqual(['a', before.key, key('a')]);
    expect(after).not.toBe(old);
    await until('everybody to have it', () => allPairs().every(([from, to]) => world.reaches(from, to)));
    await sleep(500);
    // Twenty pings a second in each direction: a second would be twenty.
    const gaps = await Promise.all(lost.map((stop) => stop()));
    process.stderr.write(`pings lost at 20/s: ${gaps.join(', ')}\n`);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(20);
    expect(gaps[2]).toBe(0);

    expect(world.log('a')).not.toContain('some did not know it yet');
    await until('the words of the rotation to be taken back', () =>
      NODES.every(({ name }) => own(name, 'next-key') === '' && own(name, 'known-keys') === ''),
    );
    // The preshared keys are others, too.
    const [here, there] = await pair('a', 'b');
    expect(here).toBe(there);
    expect([NONE, pskBefore, undefined]).not.toContain(here);
    // One key file, for its owner only, and nothing of the one before.
    const files = readdirSync(world.directory('a')).filter((name) => name.startsWith('key'));
    expect(files).toEqual(['key']);
    const path = join(world.directory('a'), 'key');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readFileSync(path, 'latin1')).not.toBe(before.file);
  });

  it('started anew after it go on with the new key', async () => {
    const now = key('a');
    const agent = world.agents.get('a');
    if (agent !== undefined) await end(agent, 'SIGKILL');
    world.startAgent('a', ...flagsOf('a'));
    await until('it to be heard', () => (world.log('a').match(/Starting Kilo/g) ?? []).length === 2);
    await until('pods to reach each other', () => allPairs().every(([from, to]) => world.reaches(from, to)));
    expect(key('a')).toBe(now);
  });

  it('keep their addresses when one leaves, comes back, and leaves for good', async () => {
    const address = (name: string) => world.annotation(name, 'wireguard-ip');
    const lost = world.pinging('b', 'c');
    const agent = world.agents.get('a');
    if (agent !== undefined) await end(agent); // it takes away what it said of its node
    expect(address('a')).toBeUndefined();
    await until('b to have let a go', () => !world.routes('b').join().includes('10.42.1.0/24'));
    await sleep(300);
    expect([address('b'), address('c')]).toEqual(['10.4.0.2/16', '10.4.0.3/16']);
    world.startAgent('a', ...flagsOf('a'));
    await until('a to be back', () => address('a') === '10.4.0.1/16' && world.reaches('b', 'a'), 30_000);
    const again = world.agents.get('a');
    if (again !== undefined) await end(again, 'SIGKILL');
    world.request('DELETE', '/api/v1/nodes/a');
    await until('b to have let a go again', () => !world.routes('b').join().includes('10.42.1.0/24'));
    expect([address('b'), address('c')]).toEqual(['10.4.0.2/16', '10.4.0.3/16']);
    expect(await lost()).toBe(0);
  });
});
