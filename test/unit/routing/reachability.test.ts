/**
 * When a leader says that it does not reach another, and when it takes that back. Expected values are the promises of
 * docs/reliability.md, and what WireGuard's paper says of tries and answers.
 * @module
 */
import { describe, expect, it } from 'vitest';
import type { Ability, Node } from '../../../src/routing/node.ts';
import { Reachability, type TunnelCounters } from '../../../src/routing/reachability.ts';
import { keyOf, lookFrom, NOW, node } from './clusters.ts';

const OURS: ReadonlySet<Ability> = new Set(['kilowire', 'relay']);
const NAMES = ['a', 'b', 'c'];
const INITIATION = 148;

const nodesOf = (more: Readonly<Record<string, Partial<Node>>> = {}, names = NAMES): Node[] =>
  names.map((name, number) => ({
    ...node({
      name,
      location: name,
      endpoint: `203.0.113.${number + 1}:51820`,
      internalIP: `10.${number}.0.1/24`,
      podCIDR: `10.42.${number}.0/24`,
    }),
    abilities: OURS,
    ...more[name],
  }));

/** The device of the node a, second by second; b is tried as told, c answers. */
class Bench {
  readonly reachability = new Reachability();
  seconds = 0;
  readonly b = { sentBytes: 0, receivedBytes: 0, lastHandshake: 0, hasEndpoint: true };
  /** What each second does to b's counters. */
  life: (second: number) => void = () => {};
  /** The last of b's heart-beats, and whether there are more. */
  heartBeat = NOW;
  lives = true;
  readonly told: { readonly at: number; readonly unreached: string[] }[] = [];
  #lookAt = 0;

  constructor(nodes = nodesOf()) {
    this.follow(nodes);
  }

  follow(nodes: readonly Node[]): void {
    this.reachability.follow(lookFrom('a', 'location', { nodes }));
  }

  run(seconds: number): void {
    for (let left = seconds; left > 0; left--) {
      this.seconds++;
      this.life(this.seconds);
      if (this.lives && this.seconds % 30 === 7) this.heartBeat = NOW + this.seconds;
      // A pass comes every half a minute at least.
      const isDue = this.reachability.pauseMs !== null && this.seconds >= this.#lookAt;
      if (!isDue && this.seconds % 30 !== 0) continue;
      const c = { sentBytes: 1, receivedBytes: 1, lastHandshake: NOW + this.seconds, hasEndpoint: true };
      const tunnels = new Map<string, TunnelCounters>([
        [keyOf('b'), { ...this.b }],
        [keyOf('c'), c],
      ]);
      const isNew = this.reachability.look({
        tunnels,
        heartBeats: () => new Map([['b', this.heartBeat]]),
        ms: this.seconds * 1000,
        unix: NOW + this.seconds,
      });
      if (isNew) this.told.push({ at: this.seconds, unreached: [...this.reachability.unreached.keys()] });
      this.#lookAt = this.seconds + (this.reachability.pauseMs ?? 0) / 1000;
    }
  }

  get unreached(): string[] {
    return [...this.reachability.unreached.keys()];
  }

  /** A handshake is tried every five seconds, and comes to nothing. */
  readonly dialInVain = (second: number): void => {
    if (second % 5 === 0) this.b.sentBytes += INITIATION;
  };

  readonly shakeHands = (): void => {
    this.b.lastHandshake = NOW + this.seconds;
    this.b.sentBytes += INITIATION;
    this.b.receivedBytes += 92;
  };
}

describe('another leader', () => {
  it('that is dialled and never answers is not reached, within a minute', () => {
    const bench = new Bench();
    bench.life = bench.dialInVain;
    bench.run(60);
    expect(bench.unreached).toEqual(['location:b']);
    expect(bench.told).toHaveLength(1);
    expect(bench.told[0]?.at).toBeGreaterThanOrEqual(20);
  });

  it('that is not dialled is not doubted', () => {
    const bench = new Bench();
    bench.run(600);
    expect(bench.told).toEqual([]);
  });

  it('that was tried twice, and then no more, is not doubted', () => {
    const bench = new Bench();
    bench.life = (second) => {
      if (second === 20 || second === 25) bench.b.sentBytes += INITIATION;
    };
    bench.run(600);
    expect(bench.told).toEqual([]);
  });

  it('whose agent says nothing any more is away, and not behind a NAT', () => {
    const bench = new Bench();
    bench.lives = false;
    bench.life = bench.dialInVain;
    bench.run(600);
    expect(bench.told).toEqual([]);
  });

  it('of whom nobody knows where to dial is not reached', () => {
    const bench = new Bench();
    bench.b.hasEndpoint = false;
    bench.run(60);
    expect(bench.unreached).toEqual(['location:b']);
  });

  it.each([1, 5, 25])(
    'to whom only keepalives go, every %i s, is reached as long as sessions are renewed',
    (every) => {
      const bench = new Bench(nodesOf({ a: { persistentKeepalive: every } }));
      bench.life = (second) => {
        if (second % 120 === 1) bench.shakeHands();
        if (second % every === 0) bench.b.sentBytes += 32;
      };
      bench.run(3600);
      expect(bench.told).toEqual([]);
    },
  );

  it('who gets a stream and answers every ten seconds, as WireGuard has it, is reached', () => {
    const bench = new Bench();
    bench.life = (second) => {
      if (second % 120 === 1) bench.shakeHands();
      bench.b.sentBytes += 100_000;
      if (second % 10 === 0) bench.b.receivedBytes += 32;
    };
    bench.run(3600);
    expect(bench.told).toEqual([]);
  });

  it('who stops answering a stream is not reached within a minute and a half', () => {
    const bench = new Bench();
    bench.life = (second) => {
      if (second % 120 === 1) bench.shakeHands();
      bench.b.sentBytes += 1000;
      bench.b.receivedBytes += 1000;
    };
    bench.run(500);
    bench.life = bench.dialInVain;
    bench.run(90);
    expect(bench.unreached).toEqual(['location:b']);
  });

  it('whose tries arrive, while the answers to them do not, is not reached either', () => {
    const bench = new Bench();
    bench.life = (second) => {
      if (second % 5 !== 0) return;
      bench.b.receivedBytes += INITIATION;
      bench.b.sentBytes += 92;
    };
    bench.run(90);
    expect(bench.unreached).toEqual(['location:b']);
  });

  it('who shakes hands again is reached after it has held for a while', () => {
    const bench = new Bench();
    bench.life = bench.dialInVain;
    bench.run(60);
    bench.life = (second) => {
      if (second % 120 === 61) bench.shakeHands();
      if (second % 25 === 0) bench.b.receivedBytes += 32;
    };
    bench.run(30);
    expect(bench.unreached).toEqual([]);
    bench.run(3600);
    expect(bench.told).toHaveLength(2);
  });

  it('who comes and goes is believed ever more slowly', () => {
    const bench = new Bench();
    for (let round = 0; round < 20; round++) {
      bench.life = bench.dialInVain;
      bench.run(240);
      bench.life = (second) => {
        if (second % 100 === 0) bench.shakeHands();
        bench.b.receivedBytes += 32;
      };
      bench.run(240);
    }
    // Without patience it would be forty.
    expect(bench.told.length).toBeLessThan(16);
  });

  it('is told at most once in ten seconds', () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    const reachability = new Reachability();
    reachability.follow(lookFrom('a', 'location', { nodes: nodesOf({}, names) }));
    const told: number[] = [];
    for (let second = 2; second < 120; second += 2) {
      // Each is dialled from another second on.
      const sent = (index: number) => INITIATION * Math.max(0, Math.floor((second - 7 * index) / 5));
      const tunnels = new Map(
        names
          .slice(1)
          .map((name, index) => [
            keyOf(name),
            { sentBytes: sent(index), receivedBytes: 0, lastHandshake: 0, hasEndpoint: true },
          ]),
      );
      const heartBeats = () => new Map(names.map((name) => [name, NOW + second]));
      if (reachability.look({ tunnels, heartBeats, ms: second * 1000, unix: NOW + second }))
        told.push(second);
    }
    expect(reachability.unreached.size).toBe(5);
    for (const [index, at] of told.slice(1).entries())
      expect(at - (told[index] ?? 0)).toBeGreaterThanOrEqual(10);
  });
});

describe('who judges', () => {
  it('goes on after a restart with what it has published', () => {
    const bench = new Bench(nodesOf({ a: { unreached: new Map([['location:b', { since: 5 }]]) } }));
    expect([...bench.reachability.unreached]).toEqual([['location:b', 5]]);
    bench.life = bench.dialInVain;
    bench.run(600);
    expect(bench.told).toEqual([]);
    bench.shakeHands();
    bench.life = (second) => {
      if (second % 100 === 0) bench.shakeHands();
    };
    bench.run(60);
    expect(bench.unreached).toEqual([]);
  });

  it('remembers while the third is away', () => {
    const bench = new Bench();
    bench.life = bench.dialInVain;
    bench.run(60);
    bench.follow(nodesOf({}, ['a', 'b']));
    bench.run(300);
    bench.follow(nodesOf());
    expect(bench.unreached).toEqual(['location:b']);
    expect(bench.told).toHaveLength(1);
  });

  it('forgets who has gone', () => {
    const bench = new Bench();
    bench.life = bench.dialInVain;
    bench.run(60);
    bench.follow(nodesOf({}, ['a', 'c', 'd']));
    expect(bench.unreached).toEqual([]);
  });

  it.each<[string, Node[]]>([
    ['of two alone', nodesOf({}, ['a', 'b'])],
    ['whose agent is not to', nodesOf({ a: { abilities: new Set(['kilowire'] as const) } })],
  ])('%s: nobody', (_, nodes) => {
    const bench = new Bench(nodes);
    bench.life = bench.dialInVain;
    bench.run(600);
    expect(bench.told).toEqual([]);
  });
});
