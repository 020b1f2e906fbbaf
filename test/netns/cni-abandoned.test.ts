/**
 * DEL does not wait for the kernel to unregister the links: they are cut off and deleted after it.
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CniWorld, nothing, programs } from './cni-world.ts';

describe.skipIf(process.getuid?.() !== 0)('links that DEL gives up', () => {
  let world: CniWorld;
  beforeAll(() => {
    world = new CniWorld(programs[0]);
    world.addPod('x');
    world.addPod('y');
  });
  afterAll(() => world.close());

  const links = (...args: string[]): string => world.onNode('ip', '-o', 'link', 'show', ...args);

  test('pass nothing any more, and their name is free, when it answers', async () => {
    for (let turn = 0; turn < 10; turn += 1) {
      await world.ok({ verb: 'ADD', pod: 'x' });
      await world.ok({ verb: 'DEL', pod: 'x' });
      expect(links('master', 'kube-bridge'), `turn ${turn}`).toBe('');
      expect(world.run('x', 'ip', '-o', 'link', 'show')).not.toContain('eth0');
      expect(links('up', 'type', 'veth')).toBe('');
    }
    expect(world.leftovers()).toEqual(nothing);
    expect(world.podLinks('x')).toEqual(['lo']);
  });

  test('need system calls, which no variable of the environment takes away', async () => {
    await world.ok({ verb: 'ADD', pod: 'x', env: { BUN_JSC_useJIT: '0', LD_PRELOAD: '/nothing.so' } });
    await world.ok({ verb: 'DEL', pod: 'x', env: { BUN_JSC_useJIT: '0' } });
    expect(world.leftovers()).toEqual(nothing);
  });

  test('are gone in the end, however many go at once', async () => {
    const pods = Array.from({ length: 12 }, (_, number) => `p${number}`);
    for (const pod of pods) world.addPod(pod);
    await Promise.all(pods.map((pod) => world.ok({ verb: 'ADD', pod })));
    await Promise.all(pods.map((pod) => world.ok({ verb: 'DEL', pod })));
    expect(world.leftovers()).toEqual(nothing);
    for (const pod of pods) expect(world.podLinks(pod)).toEqual(['lo']);
  });

  test.each(['DEL', 'GC'])('by a process that was killed go with the next %s', async (verb) => {
    // As it would have left them: in the group, without a record.
    world.onNode('ip', 'link', 'add', 'left0', 'type', 'veth', 'peer', 'name', 'left1');
    world.onNode('ip', 'link', 'set', 'left0', 'group', '1802071151');
    world.onNode('ip', 'link', 'add', 'other0', 'type', 'veth', 'peer', 'name', 'other1');
    const config = world.config({ 'cni.dev/valid-attachments': [] });
    await world.ok({ verb, pod: 'y', netns: '', config });
    expect(links('type', 'veth')).not.toContain('left');
    expect(links('type', 'veth')).toContain('other0');
    world.onNode('ip', 'link', 'delete', 'other0');
  });
});
