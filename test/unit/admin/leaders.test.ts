/**
 * What status tells of leaders that failed: who leads in whose place, whom others find failing, and why nobody would take over.
 * @module
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { twoRegions } from '../routing/clusters.ts';
import { AdminWorld, nodeResource, nowSeconds } from './admin-world.ts';

const ALONE = ['--agent', 'http://127.0.0.1:1', '--interface', 'kwad-none'];

describe('status of leaders', () => {
  const world = new AdminWorld();
  beforeAll(() => world.start());
  afterAll(() => world.end());

  /** All say that they know how, but for `older`. */
  const status = async (said: Readonly<Record<string, Readonly<Record<string, string>>>>, older = '') => {
    const now = nowSeconds();
    for (const node of twoRegions.nodes) {
      const abilities = `${node.name === older ? now - 30 : now} kilowire leader-failover`;
      const own = Object.entries(said[node.name] ?? {}).map(([name, text]) => [`kilowire.dev/${name}`, text]);
      world.put(nodeResource(node, { 'kilowire.dev/abilities': abilities, ...Object.fromEntries(own) }, now));
    }
    return JSON.parse((await world.run('status', '-o', 'json', ...ALONE)).stdout) as {
      mesh: { leaderFailover: boolean };
      segments: { leader: string; why: string }[];
      problems: { code: string; subject: string; what: string }[];
    };
  };
  const claim = { 'us-2': { leads: '1 1 1795233627 grey us-1 location:us' } };

  it('names the one in whose place another leads', async () => {
    const { mesh, segments, problems } = await status(claim);
    expect(mesh.leaderFailover).toBe(true);
    expect(segments[1]).toMatchObject({
      leader: 'us-2',
      why: 'in the place of us-1, which passed nothing on',
    });
    expect(problems).toContainEqual(
      expect.objectContaining({
        code: 'leader-replaced',
        subject: 'node us-1',
        what: '"us-2" leads "location:us" in the place of us-1, which passed nothing on.',
      }),
    );
  });

  it("goes by Kilo's rule when another program has beaten the heart of one node, and says so", async () => {
    const { mesh, segments, problems } = await status(claim, 'eu-3');
    expect(mesh.leaderFailover).toBe(false);
    expect(segments[1]).toMatchObject({ leader: 'us-1', why: 'first with a public endpoint' });
    expect(problems).toContainEqual(
      expect.objectContaining({ code: 'leader-failover-off', subject: 'node eu-3' }),
    );
  });

  it('says who finds a leader failing before anybody takes its place', async () => {
    const { problems } = await status({
      'eu-1': { 'failing-leaders': 'us-1=1795233627' },
      'us-2': { leads: '' },
    });
    expect(problems).toContainEqual(
      expect.objectContaining({
        code: 'leader-failing',
        what: '"us-1", which leads "location:us", does not answer or passes nothing on, say eu-1.',
      }),
    );
  });

  it('takes a claim that cannot be read for none', async () => {
    for (const leads of [
      'x',
      '1 1 1 why us-1 location:us',
      '-1 1 1 grey us-1 location:us',
      '1 1 1 grey us-1',
    ]) {
      const { segments } = await status({ 'us-2': { leads } });
      expect(segments[1]?.leader).toBe('us-1');
    }
  });
});
