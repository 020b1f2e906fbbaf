/**
 * SIGKILL at a random moment of ADD, then what a runtime does about it. Nothing may be left, and no address may
 * be handed out twice.
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CniWorld, nothing, programs } from './cni-world.ts';

const [compiled] = programs;

describe.skipIf(process.getuid?.() !== 0)('a killed ADD', () => {
  let world: CniWorld;
  beforeAll(() => {
    world = new CniWorld(compiled);
    world.addPod('x');
    world.addPod('y');
  });
  afterAll(() => world.close());

  /** Answers whether the process died of it. */
  const kill = async (pod: string, afterMs: number, config = world.config()): Promise<boolean> => {
    const { process: child, answer } = world.start({ verb: 'ADD', pod, config });
    const timer = setTimeout(() => child.kill('SIGKILL'), afterMs);
    const { signal } = await answer;
    clearTimeout(timer);
    return signal === 'SIGKILL';
  };

  test.each([
    ['DEL with the namespace', [undefined]],
    ['DEL without the namespace', ['']],
    ['DEL twice', [undefined, '']],
  ] as const)('is cleaned up by %s', async (_, rounds) => {
    let killed = 0;
    for (let trial = 0; trial < 20; trial++) {
      if (await kill('x', 5 + Math.random() * 12)) killed++;
      for (const netns of rounds)
        await world.ok({ verb: 'DEL', pod: 'x', ...(netns === undefined ? {} : { netns }) });
      expect(world.leftovers(), `trial ${trial}`).toEqual(nothing);
      expect(world.podLinks('x'), `trial ${trial}`).toEqual(['lo']);
    }
    expect(killed).toBeGreaterThan(0);
  });

  test('with masquerading and host ports leaves no table, and no element to the pod beside it', async () => {
    const portMappings = [
      { hostPort: 8080, containerPort: 80 },
      { hostPort: 5353, containerPort: 53, protocol: 'udp' },
    ];
    const config = world.config({ ipMasq: true, runtimeConfig: { portMappings } });
    for (let trial = 0; trial < 25; trial++) {
      await kill('x', 8 + Math.random() * 14, config);
      await world.ok({ verb: 'DEL', pod: 'x', netns: '', config });
      expect(world.leftovers(), `trial ${trial}`).toEqual(nothing);
    }
    await world.ok({ verb: 'ADD', pod: 'y', config: world.config({ ipMasq: true }) });
    for (let trial = 0; trial < 15; trial++) {
      await kill('x', 8 + Math.random() * 14, config);
      await world.ok({ verb: 'DEL', pod: 'x', netns: '' });
      const ruleset = world.onNode('nft', 'list', 'ruleset');
      expect(ruleset, `trial ${trial}`).not.toContain('8080');
      expect(ruleset, `trial ${trial}`).toContain('10.42.0.0/24');
    }
    await world.ok({ verb: 'DEL', pod: 'y' });
    expect(world.leftovers()).toEqual(nothing);
  });

  test('is cleaned up by the next ADD of the same container, and takes no address of another', async () => {
    const neighbour = (await world.ok({ verb: 'ADD', pod: 'y' })) as { ips: { address: string }[] };
    for (let trial = 0; trial < 15; trial++) {
      await kill('x', 5 + Math.random() * 12);
      // Killed between its last write and its end, or not at all: then it is attached, and a second ADD is refused.
      const again = await world.call({ verb: 'ADD', pod: 'x' });
      const said = JSON.parse(again.stdout) as { ips?: { address: string }[]; code?: number };
      if (again.code === 0) expect(said.ips?.[0]?.address).not.toBe(neighbour.ips[0]?.address);
      else expect(said.code).toBe(102);
      expect(world.leftovers().leases, `trial ${trial}`).toHaveLength(2);
      expect(world.leftovers().veths, `trial ${trial}`).toHaveLength(2);
      await world.ok({ verb: 'DEL', pod: 'x' });
    }
    await world.ok({ verb: 'DEL', pod: 'y' });
    expect(world.leftovers()).toEqual(nothing);
  });

  test('DEL waits for an ADD that is still at work', async () => {
    for (let trial = 0; trial < 10; trial++) {
      const { answer } = world.start({ verb: 'ADD', pod: 'x' });
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 12));
      const del = world.call({ verb: 'DEL', pod: 'x' });
      const [added] = await Promise.all([answer, del]);
      expect((await del).code).toBe(0);
      // A DEL that was done before the ADD began has nothing to undo: the runtime's next one has.
      if (added.code === 0) await world.ok({ verb: 'DEL', pod: 'x' });
      expect(world.leftovers(), `trial ${trial}`).toEqual(nothing);
    }
  });
});
