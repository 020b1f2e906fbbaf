/**
 * A mesh by a file on two machines without an API server. What becomes of it when the cluster comes: mesh-file.long.test.ts.
 *
 *     kwjm-a …  kwjm-r  … kwjm-b        (agent-world.ts)
 * @module
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isRoot, until } from './host.ts';
import { MeshFileWorld, pairs, stable } from './mesh-file-world.ts';

const BOTH = ['a', 'b'];

describe.skipIf(!isRoot)('a mesh by a file', () => {
  let world: MeshFileWorld;
  beforeAll(() => {
    world = new MeshFileWorld('kwjm');
    world.makeKeys(BOTH);
    world.write(BOTH);
  });
  afterAll(async () => await world.remove());

  it('gives every machine its address everywhere', async () => {
    for (const name of BOTH) world.keep(name);
    await until('both to be ready', () => BOTH.every((name) => world.ready(name)), 30_000);
    await until(
      'both to reach each other',
      () => pairs(BOTH).every(([from, to]) => world.answers(from, stable(to))),
      30_000,
    );
    expect(world.host('a').ip('-br', 'addr', 'show', 'dev', 'lo')).toContain('10.99.0.1/32');
  });
});
