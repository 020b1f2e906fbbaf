/**
 * A location's leader that lives and passes nothing on, or dies, while pods of two locations talk. The nodes are drawn in
 * agent-world.ts: b leads the location two, c can take over. In four clouds, and without an API:
 * leader-failover.long.test.ts.
 * @module
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isRoot } from './host.ts';
import { LeaderWorld } from './leader-world.ts';

describe.skipIf(!isRoot)('a leader that fails', () => {
  let world: LeaderWorld;
  beforeAll(async () => {
    world = await LeaderWorld.start();
  });
  afterAll(() => world.remove());

  it('is replaced, and finds itself replaced', async () => {
    await world.watched('a', 'c');
    const grey = await world.gap('a', 'c', async () => {
      world.host('b').exec('iptables', '-A', 'FORWARD', '-j', 'DROP');
      await world.claimed('c', /^1 1 \d+ grey b location:two$/);
    });
    world.host('b').exec('iptables', '-D', 'FORWARD', '-j', 'DROP');
    await world.steppedBack('b');
    await world.reached(['a', 'b'], ['b', 'a']);
    expect(world.annotation('c', 'wireguard-ip')).toBe('10.4.0.2/16');
    // Kilo's agent would give it back at once to the first by name.
    expect(world.own('b', 'leads')).toBe('');
    expect(await world.two('a')).toMatchObject({
      leader: 'c',
      why: 'in the place of b, which passed nothing on',
    });

    await world.watched('a', 'b');
    const dead = await world.gap('a', 'b', async () => {
      world.unplug('c');
      await world.claimed('b', /^2 2 \d+ silent c location:two$/);
    });
    world.plugIn('c');
    await world.steppedBack('c');
    await world.reached(['a', 'c'], ['b', 'c']);
    expect((await world.two('c'))?.leader).toBe('b');
    console.log(`passes nothing on: ${grey} ms without an answer; unplugged: ${dead} ms`);
  });
});
