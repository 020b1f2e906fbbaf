/**
 * Two homes whose NATs let nobody in, joined by a cloud that both reach: by real packets, through the death of the relay's leader, and
 * until there is a way of their own. The nodes are drawn in relay-world.ts.
 * @module
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { has, isRoot } from './host.ts';
import { RelayWorld } from './relay-world.ts';

const PATIENCE_MS = 150_000;

describe.skipIf(!isRoot || !has('nft'))('two homes whose NATs let nobody in', () => {
  let world: RelayWorld;
  beforeAll(async () => {
    world = new RelayWorld();
    await world.start();
    await world.reached(60_000, ['a', 'c'], ['b', 'd'], ['c', 'b'], ['d', 'a']);
  }, 90_000);
  afterAll(() => world.remove());

  it(
    'reach each other through the cloud',
    async () => {
      await world.reached(PATIENCE_MS, ['a', 'b'], ['b', 'a']);
      await world.seen('both to say through whom', async () =>
        ['a', 'b'].every((name) =>
          /"relay":"location:three"/.test(world.own(name as 'a' | 'b', 'unreached')),
        ),
      );
      expect(await world.tunnel('a', 'b')).toEqual({ ranges: [], shookHands: false });
      expect((await world.tunnel('a', 'c'))?.ranges).toContain('10.42.2.0/24');
      // Whole packets too: 1500 less the tunnel's 80, IPv4's 20 and ICMP's 8.
      expect(world.reaches('a', 'b', 1392)).toBe(true);
    },
    PATIENCE_MS,
  );

  it('status, explain and graph say so', async () => {
    const status = JSON.parse(await world.ask('status', '-o', 'json'));
    expect(status.relayed).toEqual([{ between: ['a', 'b'], relay: 'c', since: expect.any(Number) }]);
    expect(status.problems.map(({ code }: { code: string }) => code)).toContain('relayed');
    expect(status.problems.map(({ code }: { code: string }) => code)).not.toContain('no-handshake');
    const { there, back } = JSON.parse(await world.ask('explain', '10.42.1.1', '10.42.2.1', '-o', 'json'));
    for (const [way, ends] of [
      [there, ['a c', 'c b']],
      [back, ['b c', 'c a']],
    ] as const) {
      expect(way.delivered).toBe(true);
      expect(way.hops.map(({ at, to }: { at: string; to: string }) => `${at} ${to}`)).toEqual(ends);
    }
    expect(await world.ask('graph')).toContain('"a"->"b"[ dir=both, style=dotted, label="through c" ];');
    const plan = await world.ask('plan', 'annotate', 'node', 'd', 'kilowire.dev/relay=false');
    expect(plan).toContain('is passed on by nobody any more');
  }, 60_000);

  it('go on when another leads the cloud', async () => {
    const lost = world.pinging('a', 'b');
    world.unplug('c');
    await world.seen('d to lead', async () => / silent c location:three$/.test(world.own('d', 'leads')));
    await world.reached(30_000, ['a', 'b'], ['b', 'a'], ['a', 'd']);
    console.log(`the relay's leader is unplugged: ${(await lost()) * 50} ms without an answer`);
    expect((await world.tunnel('a', 'd'))?.ranges).toContain('10.42.2.0/24');
    expect(await world.tunnel('a', 'b')).toEqual({ ranges: [], shookHands: false });
  }, 90_000);

  it(
    'go their own way as soon as there is one',
    async () => {
      const lost = world.pinging('a', 'b');
      world.forwardPorts('a');
      await world.seen(
        'ranges to return to their own tunnel',
        async () => ((await world.tunnel('a', 'b'))?.ranges ?? []).includes('10.42.2.0/24'),
        PATIENCE_MS,
      );
      await world.reached(30_000, ['a', 'b'], ['b', 'a']);
      console.log(`a way of their own: ${await lost()} of 20 pings a second lost`);
      expect((await world.tunnel('b', 'a'))?.ranges).toContain('10.42.1.0/24');
      expect((await world.tunnel('a', 'd'))?.ranges).not.toContain('10.42.2.0/24');
      const { relayed } = JSON.parse(await world.ask('status', '-o', 'json'));
      expect(relayed).toEqual([]);
    },
    PATIENCE_MS + 60_000,
  );
});
