import { createPrivateKey, createPublicKey } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { MeshSnapshot } from '../../../src/ui/mesh-snapshot.ts';
import { newKeys, newPresharedKey, withPrivateKey } from '../../../src/ui/page/client-keys.ts';
import { layOut, layoutKey } from '../../../src/ui/page/map-layout.ts';
import { linesOf, MOST_LINES, widthOf } from '../../../src/ui/page/map-lines.ts';
import { gradeOf, lossText, meshText, nodeText, rateText, tunnelText } from '../../../src/ui/page/words.ts';
import { aNode, aSnapshot, aTunnel } from './a-snapshot.ts';

/** `count` nodes in `clouds` clouds, each with each. */
const large = (count: number, clouds: number): MeshSnapshot => {
  const names = Array.from({ length: count }, (_each, index) => `n${index}`);
  const nodes = Object.fromEntries(
    names.map((name, index) => [name, aNode({ location: `cloud-${index % clouds}` })]),
  );
  const tunnels = Object.fromEntries(
    names.flatMap((a, index) => names.slice(index + 1).map((b) => [`${a}|${b}`, aTunnel(a, b)])),
  );
  return aSnapshot({ nodes, tunnels, peers: {} });
};

describe('keys made in the browser', () => {
  it('agree with those of OpenSSL, and are clamped', () => {
    for (let turn = 0; turn < 20; turn++) {
      const { privateKey, publicKey } = newKeys();
      const secret = Buffer.from(privateKey, 'base64');
      expect([(secret[0] ?? 0) & 7, (secret[31] ?? 0) & 0xc0]).toEqual([0, 0x40]);
      // RFC 8410: PKCS #8 of an X25519 key.
      const der = Buffer.concat([Buffer.from('302e020100300506032b656e04220420', 'hex'), secret]);
      const ours = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
      const theirs = createPublicKey(ours).export({ format: 'jwk' });
      expect(publicKey).toBe(Buffer.from(theirs.x ?? '', 'base64url').toString('base64'));
    }
  });

  it('differ each time', () => {
    expect(new Set([newPresharedKey(), newPresharedKey(), newKeys().privateKey]).size).toBe(3);
  });

  it('go to their place in the file, whatever characters they have', () => {
    const file = '[Interface]\nPrivateKey = PRIVATE_KEY\nAddress = 10.5.0.1/32\n';
    expect(withPrivateKey(file, "$&$1'key")).toBe(
      "[Interface]\nPrivateKey = $&$1'key\nAddress = 10.5.0.1/32\n",
    );
    expect(() => withPrivateKey('[Interface]\n', 'x')).toThrow('no place');
  });
});

describe('the map', () => {
  it('is the same for the same mesh', () => {
    expect(layOut(large(30, 4), null)).toEqual(layOut(large(30, 4), null));
  });

  it.each([
    [1, 1],
    [2, 2],
    [9, 4],
    [40, 6],
    [300, 6],
    [300, 100],
  ])('keeps %i nodes in %i clouds apart, each inside its cloud, all on the stage', (count, clouds) => {
    const snapshot = large(count, clouds);
    const { discs, nodes, nodeRadius, box } = layOut({ ...snapshot, tunnels: {} }, null);
    expect(discs).toHaveLength(clouds);
    const spots = [...nodes];
    for (const [index, [name, spot]] of spots.entries()) {
      const disc = discs.find(({ location }) => location === snapshot.nodes[name]?.location);
      if (disc === undefined) throw new Error(`${name} has no cloud`);
      expect(Math.hypot(spot.x - disc.x, spot.y - disc.y) + nodeRadius).toBeLessThan(disc.radius);
      for (const [, other] of spots.slice(index + 1))
        if (Math.hypot(spot.x - other.x, spot.y - other.y) < 2 * nodeRadius)
          throw new Error(`${name} is covered`);
    }
    for (const [index, a] of discs.entries()) {
      expect(a.x - a.radius).toBeGreaterThanOrEqual(box.x);
      expect(a.y + a.radius).toBeLessThanOrEqual(box.y + box.height);
      for (const b of discs.slice(index + 1))
        expect(Math.hypot(a.x - b.x, a.y - b.y)).toBeGreaterThan(a.radius + b.radius);
    }
  });

  it('moves for members and roles, not for traffic', () => {
    const before = aSnapshot();
    const busy = aSnapshot({ tunnels: { 'eu-1|us-1': aTunnel('eu-1', 'us-1', { rateAB: 1e9 }) } });
    const other = aSnapshot({
      nodes: { 'eu-1': aNode(), 'us-1': aNode({ location: 'us', role: 'member' }) },
    });
    expect(layoutKey(busy)).toBe(layoutKey(before));
    expect(layoutKey(other)).not.toBe(layoutKey(before));
  });

  it('draws each tunnel while they can be told apart, and none that a Peer never used', () => {
    const snapshot = aSnapshot();
    const lines = linesOf(snapshot, layOut(snapshot, null), null);
    expect(lines.map(({ id }) => id)).toEqual(['eu-1|us-1']);
  });

  it('draws one line between two clouds where there are too many, and those of who is chosen', () => {
    const snapshot = large(60, 3);
    const layout = layOut(snapshot, null);
    expect(Object.keys(snapshot.tunnels).length).toBeGreaterThan(MOST_LINES);
    const bundles = linesOf(snapshot, layout, null);
    expect(bundles.map(({ count }) => count)).toEqual([400, 400, 400]);
    expect(linesOf(snapshot, layout, 'n7').filter(({ count }) => count === 1)).toHaveLength(59);
  });

  it('says so on the one line when any of its tunnels is broken', () => {
    const snapshot = large(60, 3);
    const cut = {
      ...snapshot,
      nodes: { ...snapshot.nodes, n4: aNode({ location: 'cloud-1', state: 'silent' }) },
    };
    const grades = linesOf(cut, layOut(cut, null), null).map(({ grade, label }) => `${grade} ${label}`);
    expect(grades.toSorted()).toEqual([
      'broken 20 of 400 broken',
      'broken 20 of 400 broken',
      'fresh 400 tunnels',
    ]);
  });

  it('draws thicker what carries more', () => {
    const widths = [0, 1e3, 1e5, 1e7, 1e9].map(widthOf);
    expect(widths).toEqual(widths.toSorted((a, b) => a - b));
    expect(new Set(widths).size).toBe(5);
  });
});

describe('words', () => {
  const snapshot = aSnapshot();
  const grade = (seconds: number | null, more = {}) =>
    gradeOf(
      aTunnel('eu-1', 'us-1', {
        lastHandshake: seconds === null ? null : snapshot.at / 1000 - seconds,
        ...more,
      }),
      snapshot,
    );

  it('grade a tunnel by the age of its handshake', () => {
    expect([grade(1), grade(180), grade(181), grade(900), grade(901), grade(null)]).toEqual([
      'fresh',
      'fresh',
      'ageing',
      'ageing',
      'idle',
      'broken',
    ]);
    expect(grade(1, { measured: false })).toBe('unknown');
    expect(grade(null, { toPeer: true })).toBe('idle');
    // Without a tunnel of their own, and without need of one.
    expect(grade(null, { relay: 'gcp-1' })).toBe('relayed');
  });

  it('tell of a tunnel what its line shows', () => {
    expect(tunnelText(aTunnel('eu-1', 'us-1', { lossAB: 0.034 }), snapshot)).toBe(
      'eu-1 and us-1; handshake within 3 minutes; handshake 20 s ago; 8.0 kbit/s there, 80 bit/s back; round trip 12 ms; loss 3.4 %; path MTU 1500',
    );
  });

  it('tell through whom two reach each other', () => {
    const tunnel = aTunnel('eu-1', 'us-1', { relay: 'gcp-1', lastHandshake: null });
    expect(tunnelText(tunnel, snapshot)).toContain('eu-1 and us-1; through gcp-1; handshake never');
  });

  it('tell why a node leads, is out, or is missed', () => {
    expect(nodeText('eu-1', aNode({ leads: 3, why: 'first with a public endpoint' }), snapshot.at)).toBe(
      'eu-1 in eu, leads 3 nodes, first with a public endpoint',
    );
    expect(nodeText('eu-1', aNode({ state: 'silent', silentSince: 1_800_000_008 }), snapshot.at)).toBe(
      'eu-1 in eu, speaks for itself; does not answer since 12 s',
    );
    expect(
      nodeText('x', aNode({ role: 'out', state: 'out', why: 'it has no endpoint yet' }), snapshot.at),
    ).toBe('x in eu, takes no part: it has no endpoint yet');
  });

  it('sum the mesh up', () => {
    expect(meshText(snapshot)).toBe(
      '2 nodes in 2 clouds and 1 peer · location mesh in 10.4.0.0/16 · nothing is wrong',
    );
  });

  it('claim nothing of a mesh that could not be read', () => {
    expect(meshText(aSnapshot({ granularity: '', trouble: 'The API cannot be reached.' }))).toBe('');
  });

  it('write rates in bits and losses in percent', () => {
    expect([0, 124, 125, 125_000, 1.25e9].map(rateText)).toEqual([
      '0 bit/s',
      '992 bit/s',
      '1.0 kbit/s',
      '1.0 Mbit/s',
      '10.0 Gbit/s',
    ]);
    expect([null, 0, 0.034, 0.5].map(lossText)).toEqual(['–', 'none', '3.4 %', '50 %']);
  });
});
