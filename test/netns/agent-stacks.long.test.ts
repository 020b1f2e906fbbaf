/**
 * Dual stack pods over underlays of one family: whole agents, real packets. The clouds are drawn in stack-world.ts.
 * @module
 */
import { afterEach, describe, expect, it } from 'vitest';
import { isRoot } from './host.ts';
import { checkNarrowWay, checkReach } from './stack-checks.ts';
import { StackWorld } from './stack-world.ts';

describe.skipIf(!isRoot)('pods of both families', () => {
  let world: StackWorld;
  afterEach(() => world.remove());

  it.each([
    ['IPv4', '10.9.1.2:51820', 1328],
    ['IPv6', '[fd09:1::2]:51820', 1312],
  ] as const)('reach each other across clouds over %s', async (underlay, endpoint, inner) => {
    world = new StackWorld(underlay, 1400);
    await world.start();
    await world.meshed();
    checkReach(world);
    expect(world.annotation('a', 'endpoint')).toBe(endpoint);
    await checkNarrowWay(world, inner);
  });
});
