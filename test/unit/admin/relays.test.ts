/**
 * What an administrator is told of leaders that do not reach each other: status, explain, plan.
 * @module
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fourClouds } from '../routing/clusters.ts';
import { AdminWorld, nodeResource, nowSeconds } from './admin-world.ts';

const ALONE = ['--agent', 'http://127.0.0.1:1', '--interface', 'kwad-none'];
const SINCE = 1_795_233_627;
const unreached = (...locations: readonly string[]): string =>
  JSON.stringify(Object.fromEntries(locations.map((name) => [`location:${name}`, { since: SINCE }])));

describe('leaders that do not reach each other', () => {
  const world = new AdminWorld();
  beforeAll(() => world.start());
  afterAll(() => world.end());

  /** All know of relays but for `older`. */
  const say = (
    said: Readonly<Record<string, Readonly<Record<string, string>>>>,
    older: readonly string[] = [],
  ): void => {
    const now = nowSeconds();
    for (const node of fourClouds.nodes) {
      const abilities = `${now} kilowire${older.includes(node.name) ? '' : ' relay'}`;
      const own = Object.entries(said[node.name] ?? {}).map(([name, text]) => [`kilowire.dev/${name}`, text]);
      world.put(nodeResource(node, { 'kilowire.dev/abilities': abilities, ...Object.fromEntries(own) }, now));
    }
  };
  const status = async () =>
    JSON.parse((await world.run('status', '-o', 'json', ...ALONE)).stdout) as {
      relayed: unknown[];
      problems: { code: string; severity: string; subject: string; what: string }[];
    };
  const APART = {
    'ali-1': { unreached: unreached('aws') },
    'aws-1': { unreached: unreached('aliyun') },
    'gcp-1': { relay: 'true' },
  };

  it('status names the relay, as a notice and in a table', async () => {
    say(APART);
    const { relayed, problems } = await status();
    expect(relayed).toEqual([{ between: ['ali-1', 'aws-1'], relay: 'gcp-1', since: SINCE }]);
    expect(problems).toContainEqual(
      expect.objectContaining({
        code: 'relayed',
        severity: 'notice',
        subject: 'node ali-1',
        what: '"ali-1" has no tunnel of its own with others, and reaches "aws-1" through "gcp-1".',
      }),
    );
    const text = (await world.run('status', ...ALONE)).stdout;
    expect(text).toMatch(/^BETWEEN +AND +RELAY +SINCE$/m);
    expect(text).toMatch(/^ali-1 +aws-1 +gcp-1 +2026-11-21T04:00:27Z$/m);
  });

  it('explain shows both tunnels, there and back', async () => {
    say(APART);
    const { stdout } = await world.run('explain', '10.42.0.9', '10.42.1.9', '-o', 'json');
    const { there, back } = JSON.parse(stdout);
    const ways = [there, back].map(({ hops }) =>
      hops.map(({ at, to }: Record<string, string>) => `${at} ${to}`),
    );
    expect(ways).toEqual([
      ['ali-1 gcp-1', 'gcp-1 aws-1'],
      ['aws-1 gcp-1', 'gcp-1 ali-1'],
    ]);
    expect([there.delivered, back.delivered]).toEqual([true, true]);
  });

  it('plan tells what it would mean to take the relay out, and moves ranges to the next', async () => {
    say(APART);
    const { stdout } = await world.run('plan', 'annotate', 'node', 'gcp-1', 'kilowire.dev/relay=false');
    expect(stdout).toContain(
      'What "location:aliyun" and "location:aws" send each other is passed on by "location:azure" in place of "location:gcp".',
    );
    expect(stdout).toMatch(/node az-1; .*allowed [^;]*10\.42\.1\.0\/24/);
  });

  it('a permission that cannot be read is none, and status says so', async () => {
    say({ ...APART, 'gcp-1': { relay: 'True' }, 'az-1': { relay: 'false' } });
    const { relayed, problems } = await status();
    expect(relayed).toEqual([]);
    expect(problems.map(({ code, severity }) => `${code} ${severity}`)).toContain('no-relay fault');
    expect(problems.find(({ code }) => code === 'annotation-ignored')?.what).toBe(
      'The annotation kilowire.dev/relay is taken for "false": "True" is not "true".',
    );
  });

  it('where the other has an agent that knows no relays, that is said', async () => {
    say(APART, ['aws-1']);
    const { relayed, problems } = await status();
    expect(relayed).toEqual([]);
    expect(problems).toContainEqual(
      expect.objectContaining({
        code: 'relay-off',
        severity: 'notice',
        subject: 'node aws-1',
        what: '"ali-1" does not reach "aws-1", and no relay is used: the agent of "aws-1" knows none.',
      }),
    );
  });
});
