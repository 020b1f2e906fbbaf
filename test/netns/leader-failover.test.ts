/**
 * A location's leader that dies, or lives and passes nothing on, while pods of two locations talk. The nodes are drawn in
 * agent-world.ts: b leads the location two, c can take over. With figures, in four clouds: leader-failover.long.test.ts.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AgentWorld, NODES } from './agent-world.ts';
import { isRoot, until } from './host.ts';

const PATIENCE_MS = 30_000;
const PING_MS = 50;

describe.skipIf(!isRoot)('a leader that fails', () => {
  let world: AgentWorld;
  beforeAll(async () => {
    world = new AgentWorld('kwfo');
    await world.startApi();
    for (const { name } of NODES) world.startAgent(name);
    await world.meshed();
  });
  afterAll(() => world.remove());

  const own = (node: string, name: string): string =>
    world.api.store.get('nodes', node)?.metadata.annotations?.[`kilowire.dev/${name}`] ?? '';
  const answered = async (name: string): Promise<number> => {
    const text = await world.ask(name, '/metrics');
    return Number(/^kilowire_leader_probes_total\{outcome="answered"\} (\d+)/m.exec(text)?.[1] ?? 0);
  };
  /** Who has never been answered misses nobody. */
  const watched = async (...by: readonly string[]): Promise<void> => {
    const enough = await Promise.all(by.map(async (name) => (await answered(name)) + 3));
    const deadline = Date.now() + PATIENCE_MS;
    for (const [index, name] of by.entries()) {
      while ((await answered(name)) < (enough[index] ?? 0)) {
        if (Date.now() > deadline) throw new Error(`${name} is not answered: ${world.log(name)}`);
        await sleep(100);
      }
    }
  };
  const segmentTwo = async (seenBy: string): Promise<{ leader: string; why: string } | undefined> => {
    const { segments } = JSON.parse(await world.ask(seenBy, '/status')) as {
      segments: { leader: string; why: string }[];
    };
    return segments[1];
  };
  const claimed = (by: string, claim: RegExp): Promise<void> =>
    until(`${by} to lead`, () => claim.test(own(by, 'leads')), PATIENCE_MS);
  const reached = (...pairs: readonly (readonly [string, string])[]): Promise<void> =>
    until(`pods to be reached`, () => pairs.every(([from, to]) => world.reaches(from, to)), PATIENCE_MS);
  const steppedBack = (name: string): Promise<void> =>
    until(`${name} to step back`, () => world.annotation(name, 'wireguard-ip') === '', PATIENCE_MS);

  /** Milliseconds without an answer. */
  const gap = async (lost: () => Promise<number>): Promise<number> => {
    await sleep(500);
    return (await lost()) * PING_MS;
  };

  // One after the other in one world: each begins where the one before ends.
  it('is replaced when it dies, though the API is away too, and that is published when the API is back', async () => {
    await watched('a', 'c');
    await world.api.close();
    const lost = world.pinging('a', 'c');
    await sleep(500);
    world.host('b').ip('link', 'set', 'eth0', 'down');
    await reached(['a', 'c']);
    console.log(`dead, with the API away: ${await gap(lost)} ms without an answer`);
    await world.startApi();
    await claimed('c', /^1 1 \d+ silent b location:two$/);
    expect(world.reaches('c', 'a')).toBe(true);
    world.host('b').ip('link', 'set', 'eth0', 'up');
    world.host('b').ip('route', 'replace', 'default', 'via', '10.9.2.1');
    await steppedBack('b');
    await reached(['a', 'b'], ['b', 'a'], ['c', 'b']);
    // Kilo's agent would give it back at once to the first by name.
    expect(world.annotation('c', 'wireguard-ip')).toBe('10.4.0.2/16');
    expect(own('b', 'leads')).toBe('');
    expect((await segmentTwo('a'))?.why).toBe('in the place of b, which answered nobody');
  });

  it('is replaced when it lives and passes nothing on, and finds itself replaced', async () => {
    await watched('a', 'b');
    const lost = world.pinging('a', 'b');
    await sleep(500);
    world.host('c').exec('iptables', '-A', 'FORWARD', '-j', 'DROP');
    await claimed('b', /^2 2 \d+ grey c location:two$/);
    await reached(['a', 'b']);
    console.log(`passes nothing on: ${await gap(lost)} ms without an answer`);
    world.host('c').exec('iptables', '-D', 'FORWARD', '-j', 'DROP');
    await steppedBack('c');
    await reached(['a', 'c'], ['c', 'a']);
    await until('the claim of c to be gone', () => own('c', 'leads') === '', PATIENCE_MS);
    expect(await segmentTwo('c')).toMatchObject({
      leader: 'b',
      why: 'in the place of c, which passed nothing on',
    });
  });
});
