/**
 * A mesh by a file on three machines without an API server, through all its life.
 * @module
 */
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NODES } from './agent-world.ts';
import { end, isRoot, until } from './host.ts';
import { KILOWIRE, MeshFileWorld, pairs, stable } from './mesh-file-world.ts';

describe.skipIf(!isRoot)('a mesh by a file', () => {
  let world: MeshFileWorld;
  beforeAll(() => {
    world = new MeshFileWorld('kwjl');
    world.makeKeys(['a', 'b', 'c']);
  });
  afterAll(async () => await world.remove());

  it('gives every machine its address everywhere, and follows the file', async () => {
    world.write(['a', 'b']);
    world.keep('a');
    world.keep('b');
    await until('a and b to be ready', () => world.ready('a') && world.ready('b'), 30_000);
    await until(
      'a and b to reach each other',
      () => world.answers('a', stable('b')) && world.answers('b', stable('a')),
      30_000,
    );
    expect(world.host('a').ip('-br', 'addr', 'show', 'dev', 'lo')).toContain('10.99.0.1/32');
    world.write(['a', 'b', 'c']);
    await until(
      'a and b to see it',
      () => ['a', 'b'].every((name) => world.said(name).includes('the file has changed')),
      20_000,
    );
    world.keep('c');
    await until('c to be ready', () => world.ready('c'), 30_000);
    const all = pairs(['a', 'b', 'c']);
    await until(
      'all to reach each other',
      () => all.every(([from, to]) => world.answers(from, stable(to))),
      30_000,
    );
    // What one prints for a node is what its device has.
    const printed = world.host('a').exec(...KILOWIRE, 'mesh', '--file', world.file, '--print', 'a');
    const printedKeys = [...printed.matchAll(/PublicKey = (\S+)/g)].map(([, key]) => key);
    expect(printedKeys.toSorted()).toEqual([world.keys.get('b'), world.keys.get('c')].toSorted());
    expect(printed).toContain('# Address = 10.4.0.1/16');
    expect(world.host('a').ip('-br', 'addr', 'show', 'dev', 'kilo0')).toContain('10.4.0.1/16');
  });

  it('stays when its keeper is killed, and when the file is broken', async () => {
    const keeper = world.keepers.get('c');
    if (keeper !== undefined) await end(keeper, 'SIGKILL');
    expect(world.answers('a', stable('c'))).toBe(true);
    world.keep('c');
    await until('c to begin anew', () => world.said('c').includes('Starting Kilo network mesh'), 20_000);
    writeFileSync(world.file, 'nodes:\n  - name: a\n    endpont: 10.9.1.2\n');
    await until('the complaint', () =>
      world.said('a').includes('mesh.yaml: line 3: \\"endpont\\" is not known'),
    );
    expect(pairs(['a', 'b', 'c']).every(([from, to]) => world.answers(from, stable(to)))).toBe(true);
    world.write(['a', 'b', 'c']);
  });

  it('goes over to the agents of a cluster, one by one, without a lost packet', async () => {
    await world.startApi();
    const pings = pairs(['a', 'b', 'c']).map(([from, to]) => world.pingingOwn(from, to));
    for (const { name } of NODES) {
      world.startAgent(name, '--mesh-file', world.file, '--mesh-granularity=full');
      await until(`${name} to say so`, () => world.annotation(name, 'wireguard-ip') !== undefined, 30_000);
      await until(`the keeper of ${name} to end`, () => world.keepers.get(name)?.exitCode === 0);
    }
    await until(
      'the pods of all to reach each other',
      () =>
        pairs(['a', 'b', 'c']).every(([from, to]) => {
          const pod = (name: string): string => NODES.find((node) => node.name === name)?.pod ?? '';
          return world.answers(from, pod(to), pod(from));
        }),
      30_000,
    );
    for (const stop of pings) {
      const { heard, lost } = await stop();
      expect(heard).toBeGreaterThan(20);
      expect(lost).toBe(0);
    }
    expect(NODES.map(({ name }) => world.annotation(name, 'wireguard-ip'))).toEqual([
      '10.4.0.1/16',
      '10.4.0.2/16',
      '10.4.0.3/16',
    ]);
    for (const { name } of NODES) expect(world.said(name)).toContain('everything stays as it is');
  });

  it('is taken off a machine when that is asked for', async () => {
    await Promise.all([...world.agents.values()].map((agent) => end(agent, 'SIGKILL')));
    const down = world.keep('c', '--down');
    await until('it to be down', () => down.exitCode !== null, 20_000);
    expect([down.exitCode, world.routes('c'), world.host('c').ip('rule')]).toEqual([
      0,
      [],
      expect.not.stringContaining('kilo'),
    ]);
    expect(world.host('c').ip('-br', 'link')).not.toContain('kilo0');
  });
});
