import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { MeshSnapshot } from '../../../src/ui/mesh-snapshot.ts';
import { SampleRing } from '../../../src/ui/sample-ring.ts';
import { changeBetween, withChange } from '../../../src/ui/snapshot-diff.ts';
import { aNode, aSnapshot, aTunnel } from './a-snapshot.ts';

describe('a change', () => {
  it('names what is new, what differs and what is gone, and nothing else', () => {
    const before = aSnapshot();
    const after = aSnapshot({
      at: before.at + 1000,
      nodes: { 'eu-1': aNode(), 'us-2': aNode({ location: 'us' }) },
      tunnels: { 'eu-1|us-2': aTunnel('eu-1', 'us-2') },
    });
    expect(changeBetween(before, after)).toEqual({
      at: 1_800_000_021_000,
      facts: {},
      nodes: { set: { 'us-2': aNode({ location: 'us' }) }, gone: ['us-1'] },
      peers: { set: {}, gone: [] },
      tunnels: { set: { 'eu-1|us-2': aTunnel('eu-1', 'us-2') }, gone: ['eu-1|us-1', 'eu-1|laptop'] },
    });
  });

  it('is next to nothing when nothing happened', () => {
    const quiet = changeBetween(aSnapshot(), aSnapshot({ at: 1_800_000_021_000 }));
    expect(JSON.stringify(quiet).length).toBeLessThan(150);
  });

  it('applied to what was there gives what is there, whatever changed', () => {
    const names = fc.constantFrom('a', 'b', 'c', 'd', '__proto__', 'constructor');
    const snapshots = fc
      .record({
        at: fc.nat(),
        trouble: fc.option(fc.string()),
        subnet: fc.string(),
        names: fc.uniqueArray(names),
        rate: fc.nat(3),
      })
      .map(
        ({ names: some, rate, ...facts }): MeshSnapshot => ({
          ...aSnapshot(facts),
          nodes: Object.fromEntries(some.map((name) => [name, aNode({ keepalive: rate })])),
          tunnels: Object.fromEntries(
            some.map((name) => [`${name}|x`, aTunnel(name, 'x', { rateAB: rate })]),
          ),
        }),
      );
    fc.assert(
      fc.property(snapshots, snapshots, (before, after) => {
        const wire = JSON.parse(JSON.stringify(changeBetween(before, after)));
        expect(withChange(before, wire)).toEqual(after);
      }),
    );
  });
});

describe('the last hour', () => {
  it('takes a sample every ten seconds and forgets after an hour', () => {
    const ring = new SampleRing();
    for (let second = 0; second <= 3700; second++) ring.offer(aSnapshot({ at: second * 1000 }));
    const times = ring.summaries.map(({ at }) => at / 1000);
    expect(times).toHaveLength(361);
    expect(times[0]).toBe(100);
    expect(times.at(-1)).toBe(3700);
  });

  it('tells what was at a time: the last sample that is not later', () => {
    const ring = new SampleRing();
    for (const second of [100, 110, 120])
      ring.offer(aSnapshot({ at: second * 1000, subnet: `10.${second}.0.0/16` }));
    expect(ring.at(99_999)).toBeNull();
    expect(ring.at(119_999)?.subnet).toBe('10.110.0.0/16');
    expect(ring.at(500_000)?.subnet).toBe('10.120.0.0/16');
  });

  it('sums up rates, faults and who was silent', () => {
    const ring = new SampleRing();
    ring.offer(
      aSnapshot({
        nodes: { 'eu-1': aNode(), 'us-1': aNode({ state: 'silent' }) },
        problems: [
          { code: 'x', severity: 'fault', subject: 'node us-1', what: 'x', remedy: 'y' },
          { code: 'z', severity: 'notice', subject: 'node us-1', what: 'z', remedy: 'y' },
        ],
      }),
    );
    expect(ring.summaries).toEqual([{ at: 1_800_000_020_000, rate: 2020, faults: 1, silent: 1 }]);
  });

  it('keeps the hour within its budget, in coarser steps', () => {
    const ring = new SampleRing({ budget: 20_000 });
    for (let at = 0; at <= 3_600_000; at += 10_000)
      ring.offer(aSnapshot({ at, nodes: Object.fromEntries(many(60, at)) }));
    expect(ring.size).toBeLessThanOrEqual(20_000);
    const times = ring.summaries.map(({ at }) => at);
    expect(times[0]).toBeLessThan(400_000);
    expect(times.at(-1)).toBeGreaterThan(3_200_000);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  });

  it('goes on when the clock is set back', () => {
    const ring = new SampleRing();
    ring.offer(aSnapshot({ at: 5_000_000 }));
    ring.offer(aSnapshot({ at: 1_000_000 }));
    ring.offer(aSnapshot({ at: 1_010_000 }));
    expect(ring.summaries.map(({ at }) => at)).toEqual([1_000_000, 1_010_000]);
  });
});

const many = (count: number, seed: number) =>
  Array.from({ length: count }, (_each, index) => [
    `n${index}`,
    aNode({ lastSeen: (seed * 7919 + index * 104_729) % 1_000_003 }),
  ]);
