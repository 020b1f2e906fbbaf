/**
 * Dual stack pods over underlays of one family: whole agents, real packets. The clouds are drawn in stack-world.ts.
 * @module
 */
import { afterEach, describe, expect, it } from 'vitest';
import { isRoot, until } from './host.ts';
import { checkNarrowWay, checkReach } from './stack-checks.ts';
import { StackWorld } from './stack-world.ts';

describe.skipIf(!isRoot)('pods of both families', () => {
  let world: StackWorld;
  afterEach(() => world.remove());

  it.each([
    ['IPv4', '10.9.1.2:51820', 1328],
    ['IPv6', '[fd09:1::2]:51820', 1312],
  ] as const)('reach each other across clouds over %s', async (underlay, endpoint, inner) => {
    world = new StackWorld(underlay, { middle: 1400 });
    await world.start();
    await world.meshed();
    checkReach(world);
    expect(world.annotation('a', 'endpoint')).toBe(endpoint);
    await checkNarrowWay(world, inner);
  });

  it.each([
    [
      'IPv6',
      'fd00:9',
      '10.42.3.0/24 via inet6 fd00:9:2::3 dev eth0',
      'fd42:0:0:3::/64 via fd00:9:2::3 dev eth0',
    ],
    ['both', 'fd00:9', '10.42.3.0/24 via 10.9.2.3 dev eth0', 'fd42:0:0:3::/64 via fd00:9:2::3 dev eth0'],
  ] as const)('reach neighbours, and others by a leader, over %s', async (underlay, ipv6, four, six) => {
    world = new StackWorld(underlay, { hasNeighbour: true, ipv6 });
    await world.start();
    await world.meshed();
    const routes = ['-4', '-6'].map((family) => world.host('b').ip(family, 'route').replace(/ +/g, ' '));
    expect(routes[0]).toContain(four);
    expect(routes[1]).toContain(six);
    // Nothing is written twice: what the kernel holds is read back as what was wanted.
    expect(world.log('b').match(/"what":"routes"/g)?.length).toBeLessThan(6);
    await until('c to say that it does not lead', () => world.annotation('c', 'wireguard-ip') === '');
  });
});
