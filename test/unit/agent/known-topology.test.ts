/**
 * A mesh that is computed again only when it may be another: whatever is said of a node, the answer is that of a fresh computation.
 * @module
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KnownTopology, problemsAt } from '../../../src/agent/known-topology.ts';
import { cidr } from '../../../src/noise/ip.ts';
import type { Node } from '../../../src/routing/node.ts';
import { buildTopology } from '../../../src/routing/topology.ts';

const NOW = 1_800_000_000;
const OPTIONS = { granularity: 'location', subnet: cidr('10.4.0.0/16'), hostname: 'n1' } as const;

const node = (at: number, more: Partial<Node> = {}): Node => ({
  name: `n${at}`,
  location: `l${at % 2}`,
  key: Buffer.alloc(32, at).toString('base64'),
  endpoint: { address: Uint8Array.of(203, 0, 113, at), port: 51820 },
  internalIP: cidr(`10.0.${at}.1/24`),
  podCIDRs: [cidr(`10.42.${at}.0/24`)],
  leader: false,
  persistentKeepalive: 0,
  allowedLocationIPs: [],
  discoveredEndpoints: new Map(),
  lastSeen: NOW,
  ...more,
});

const NODES = [node(1), node(2), node(3), node(4)];
const with3 = (more: Partial<Node>) =>
  NODES.map((each) => (each.name === 'n3' ? { ...each, ...more } : each));

describe('a mesh that is known', () => {
  it('is the very same value while nothing comes but heart-beats', () => {
    const known = new KnownTopology(OPTIONS);
    const first = known.of({ nodes: NODES, peers: [], now: NOW });
    const later = NODES.map((each) => ({ ...each, lastSeen: NOW + 50 }));
    expect(known.of({ nodes: later, peers: [], now: NOW + 70 })).toBe(first);
  });

  it('is computed anew whatever else is different', () => {
    const changes: readonly Partial<Node>[] = [
      { location: 'l9' },
      { key: Buffer.alloc(32, 9).toString('base64') },
      { endpoint: { address: Uint8Array.of(203, 0, 113, 9), port: 51820 } },
      { endpoint: { dns: 'n3.example', address: Uint8Array.of(203, 0, 113, 3), port: 51820 } },
      { internalIP: cidr('10.0.9.1/24') },
      { podCIDRs: [cidr('10.42.3.0/24'), cidr('fd00:3::/64')] },
      { leader: true },
      { persistentKeepalive: 25 },
      { allowedLocationIPs: [cidr('192.168.7.0/24')] },
      { discoveredEndpoints: new Map([['key', { address: Uint8Array.of(198, 51, 100, 1), port: 1 }]]) },
      { abilities: new Set(['kilowire']) },
      { failingLeaders: new Map([['n2', NOW]]) },
      { lastSeen: NOW - 60 },
    ];
    fc.assert(
      fc.property(fc.array(fc.constantFrom({}, ...changes), { minLength: 1, maxLength: 5 }), (told) => {
        const known = new KnownTopology(OPTIONS);
        known.of({ nodes: NODES, peers: [], now: NOW });
        for (const change of told) {
          const view = { nodes: with3(change), peers: [], now: NOW };
          const { claims: _, ...found } = known.of(view);
          const { claims: __, ...fresh } = buildTopology(view, OPTIONS);
          expect(found).toEqual(fresh);
        }
      }),
    );
  });

  it('tells how old a heart-beat is by now, though the mesh is of an earlier moment', () => {
    const known = new KnownTopology(OPTIONS);
    const at = (seconds: number) => {
      const nodes = with3({ lastSeen: NOW - 100 }).map((each) =>
        each.name === 'n3' ? each : { ...each, lastSeen: NOW + seconds },
      );
      return { nodes, peers: [], now: NOW + seconds };
    };
    const first = known.of(at(0));
    expect(known.of(at(30))).toBe(first);
    expect(problemsAt(at(30), first).map(({ message }) => message)).toEqual([
      'Node "n3" is left out: its last heart-beat is 130 s old.',
    ]);
  });
});
