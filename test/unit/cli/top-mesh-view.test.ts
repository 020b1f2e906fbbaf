/**
 * What `kilowire top` makes of a mesh: a node a line, who is missed first, then the busiest.
 * @module
 */
import { describe, expect, it } from 'vitest';
import { meshScreen, meshTopView } from '../../../src/cli/top-mesh-view.ts';
import { aNode, aSnapshot, aTunnel } from '../ui/a-snapshot.ts';

const snapshot = aSnapshot({
  nodes: {
    'eu-1': aNode(),
    'us-1': aNode({ location: 'us' }),
    'us-2': aNode({ location: 'us', role: 'member' }),
    'ap-1': aNode({ location: 'ap', state: 'silent', silentSince: 1_800_000_008 }),
  },
  tunnels: {
    'eu-1|us-1': aTunnel('eu-1', 'us-1', { rateAB: 2048, rateBA: 512, lossBA: 0.125 }),
    'eu-1|ap-1': aTunnel('eu-1', 'ap-1', {
      lastHandshake: 1_799_999_720,
      rateAB: 0,
      rateBA: 0,
      roundTripMs: null,
    }),
    'eu-1|laptop': aTunnel('eu-1', 'laptop', { toPeer: true, rateAB: 1024, rateBA: 0 }),
  },
  problems: [
    {
      code: 'node-silent',
      severity: 'fault',
      subject: 'node ap-1',
      what: 'Node "ap-1" does not answer.',
      remedy: '',
    },
  ],
});

describe('top of a mesh', () => {
  it('sums up what goes through each node, and grades its tunnels', () => {
    const rows = meshTopView(snapshot).nodes;
    expect(rows.map(({ name }) => name)).toEqual(['ap-1', 'eu-1', 'us-1', 'us-2']);
    expect(rows[0]).toMatchObject({
      silentFor: 12,
      tunnels: { up: 0, all: 1 },
      oldestHandshake: 300,
      faults: 1,
    });
    expect(rows[1]).toMatchObject({
      tunnels: { up: 1, all: 2 },
      newestHandshake: 20,
      oldestHandshake: 300,
      roundTripMs: 12.3,
      receivedPerSecond: 512,
      sentPerSecond: 3072,
      loss: 0.125,
      faults: 0,
    });
    expect(rows[2]).toMatchObject({ receivedPerSecond: 2048, sentPerSecond: 512, loss: 0.125 });
  });

  it('prints a table, and what is wrong', () => {
    const text = meshScreen(meshTopView(snapshot), new Map([['eu-1', [0, 1, 2]]]), 40).join('\n');
    expect(text).toMatch(/^location mesh in 10\.4\.0\.0\/16 {2}4 of 4 nodes {2}1 peer {2}1 fault$/m);
    expect(text).toMatch(/^ap-1 +ap +no answer 12 s +0\/1 +5 min +- +- +- +0\.0 %$/m);
    expect(text).toMatch(
      /^eu-1 +eu +leader +1\/2 +20 s – 5 min +12\.3 ms +512 B\/s +3\.0 KiB\/s +12\.5 % +▅█$/m,
    );
    expect(text).toMatch(/^us-2 +us +member +- +- +- +- +- +-$/m);
    expect(text).toMatch(/^Node "ap-1" does not answer\.$/m);
  });

  it('shows as many nodes as there is room for', () => {
    const lines = meshScreen(meshTopView(snapshot), new Map(), 13);
    expect(lines.length).toBeLessThan(13);
    expect(lines.join('\n')).toContain('… and 2 more');
  });

  it('says why there is nothing', () => {
    const view = meshTopView(aSnapshot({ granularity: '', trouble: 'The API cannot be reached.' }));
    expect(meshScreen(view, new Map(), 20)).toEqual(['The API cannot be reached.']);
  });
});
