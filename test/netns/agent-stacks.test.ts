/**
 * Dual stack pods over a dual stack underlay whose middle carries less than its ends: whole agents, real packets. The clouds
 * are drawn in stack-world.ts; underlays of one family are in agent-stacks.long.test.ts.
 * @module
 */
import { afterEach, describe, expect, it } from 'vitest';
import { isRoot } from './host.ts';
import { checkNarrowWay, checkReach } from './stack-checks.ts';
import { StackWorld } from './stack-world.ts';

describe.skipIf(!isRoot)('pods of both families', () => {
  let world: StackWorld;
  afterEach(() => world.remove());

  it('reach each other over a way of 1400 bytes without fragments', async () => {
    world = new StackWorld('both', { middle: 1400 });
    await world.start();
    await world.meshed();
    checkReach(world);
    // Kilo's test takes every address of fd00::/8 but fd00::/16 for a public one.
    expect(world.annotation('a', 'endpoint')).toBe('[fd09:1::2]:51820');
    // 1400 less IPv6, UDP and WireGuard, in whole blocks of its padding.
    await checkNarrowWay(world, 1312);
  });
});
