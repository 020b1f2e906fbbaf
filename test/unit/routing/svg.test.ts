/**
 * The picture: well-formed XML whatever the names, everything in it, nothing over anything else.
 * @module
 */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { toSvg } from '../../../src/routing/svg.ts';
import { type Box, layOut } from '../../../src/routing/svg-layout.ts';
import { anyGranularity, soundCluster } from './any-cluster.ts';
import { fourClouds, hybrid, lookFrom, node, peer, twoRegions } from './clusters.ts';

/** Throws where an XML reader would; answers the texts, entities resolved, by element. */
const readXml = (xml: string): { name: string; attributes: Record<string, string>; text: string }[] => {
  const found: { name: string; attributes: Record<string, string>; text: string }[] = [];
  const open: { name: string; attributes: Record<string, string>; text: string }[] = [];
  const plain = (raw: string): string => {
    if (/[<>]/.test(raw) || /&(?!(amp|lt|gt|quot);)/.test(raw)) throw new Error(`stray markup in ${raw}`);
    return raw
      .replaceAll('&lt;', '<')
      .replaceAll('&gt;', '>')
      .replaceAll('&quot;', '"')
      .replaceAll('&amp;', '&');
  };
  const token = /<(\/?)([a-z]+)((?: [\w:-]+="[^"]*")*)(\/?)>|([^<]+)/gy;
  let end = 0;
  for (let match = token.exec(xml); match !== null; match = token.exec(xml)) {
    end = token.lastIndex;
    const [, closing, name = '', rawAttributes = '', empty, raw] = match;
    if (raw !== undefined) {
      const top = open.at(-1);
      // A style sheet is text too, but holds no names.
      if (top !== undefined) top.text += top.name === 'style' ? '' : plain(raw);
    } else if (closing === '/') {
      if (open.pop()?.name !== name) throw new Error(`</${name}> closes nothing`);
    } else {
      const attributes = Object.fromEntries(
        [...rawAttributes.matchAll(/ ([\w:-]+)="([^"]*)"/g)].map((pair) => [pair[1], plain(pair[2]!)]),
      );
      const element = { name, attributes, text: '' };
      found.push(element);
      if (empty !== '/') open.push(element);
    }
  }
  if (end !== xml.length || open.length > 0)
    throw new Error(`not well-formed after ${xml.slice(end, end + 60)}`);
  for (const code of [...xml].map((character) => character.codePointAt(0)!))
    if (code < 0x20 && code !== 9 && code !== 10 && code !== 13)
      throw new Error(`character ${code} has no place in XML`);
  return found;
};

const textsOf = (svg: string): string[] =>
  readXml(svg)
    .filter(({ name }) => name === 'text')
    .map(({ text }) => text);
const linesOf = (svg: string, kind: string): string[] =>
  readXml(svg)
    .filter(({ name, attributes }) => name === 'path' && attributes.class === kind)
    .map(({ attributes }) => attributes.d!);

describe('what is in it', () => {
  test('four clouds: names, addresses, pods, six tunnels and the laptop', () => {
    const laptop = peer('laptop', ['10.0.0.5/32']);
    const svg = toSvg(lookFrom('ali-1', 'full', { ...fourClouds, peers: [laptop] }), 'Four clouds');
    const texts = textsOf(svg);
    for (const word of [
      'Four clouds',
      'aws',
      'az-1',
      '10.4.0.3',
      '10.42.2.0/24',
      'laptop',
      '10.0.0.5/32',
      'WireGuard tunnel',
    ])
      expect(texts).toContain(word);
    expect(texts).toContain('10.4.0.0/16  ·  full mesh  ·  4 nodes  ·  6 tunnels  ·  1 peer');
    // One line more stands in the legend.
    expect(linesOf(svg, 'tunnel')).toHaveLength(6 + 1);
    expect(linesOf(svg, 'peer-tunnel')).toHaveLength(4 + 1);
    expect(linesOf(svg, 'private')).toHaveLength(0);
  });

  test('locations: leaders are named, members share a private network', () => {
    const svg = toSvg(lookFrom('eu-2', 'location', twoRegions));
    expect(textsOf(svg).filter((text) => text === 'leader')).toHaveLength(2);
    expect(textsOf(svg).filter((text) => text === 'via 10.4.0.1')).toHaveLength(2);
    expect(linesOf(svg, 'tunnel')).toHaveLength(1 + 1);
    expect(linesOf(svg, 'private')).toHaveLength(2 + 1);
  });

  test('cross: neighbours have no tunnel', () => {
    const svg = toSvg(lookFrom('eu-2', 'cross', twoRegions));
    expect(linesOf(svg, 'tunnel')).toHaveLength(9 + 1);
    expect(textsOf(svg)).toContain('10.4.0.0/16  ·  cross mesh  ·  6 nodes  ·  9 tunnels  ·  0 peers');
  });

  test('hundreds of nodes are joined to one hub', () => {
    const nodes = Array.from({ length: 300 }, (_, i) =>
      node({
        name: `n${i}`,
        location: `l${i % 7}`,
        endpoint: `8.8.${i >> 8}.${i & 255}:1`,
        podCIDR: `10.${i >> 8}.${i & 255}.0/24`,
      }),
    );
    const svg = toSvg(lookFrom('n0', 'full', { nodes }));
    expect(textsOf(svg)).toContain('44850');
    expect(linesOf(svg, 'tunnel')).toHaveLength(300 + 1);
  });
});

describe('whatever things are called', () => {
  test('it is XML and says the names', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 12 }),
        fc.string({ unit: 'grapheme', maxLength: 12 }),
        (location, title) => {
          const nodes = fourClouds.nodes.map((member) =>
            member.name === 'az-1' ? { ...member, location } : member,
          );
          readXml(toSvg(lookFrom('az-1', 'location', { nodes }), title));
        },
      ),
    );
    for (const name of [
      '<script>alert(1)</script>',
      'a & b',
      '"quoted"',
      "it's",
      ']]>',
      '\u0000\u001b',
      '\ud800',
    ]) {
      const [first, ...others] = hybrid.nodes;
      const svg = toSvg(
        lookFrom('gcp-2', 'full', { ...hybrid, nodes: [{ ...first!, location: name }, ...others] }),
        name,
      );
      const shown = name === '\u0000\u001b' ? '\ufffd\ufffd' : name === '\ud800' ? '\ufffd' : name;
      expect(textsOf(svg).filter((text) => text === shown)).toHaveLength(2);
    }
  });
});

describe('the layout', () => {
  const apart = (a: Box, b: Box): boolean =>
    a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y;
  const inside = (outer: Box, inner: Box): boolean =>
    inner.x >= outer.x &&
    inner.y >= outer.y &&
    inner.x + inner.width <= outer.x + outer.width &&
    inner.y + inner.height <= outer.y + outer.height;

  test('nothing covers anything, cards lie in their clouds and all of it in the picture', () => {
    fc.assert(
      fc.property(soundCluster, anyGranularity, (cluster, granularity) => {
        const picture = layOut(lookFrom(cluster.nodes[0]!.name, granularity, cluster));
        const paper = { x: 0, y: 0, width: picture.width, height: picture.height };
        const outer = [...picture.clouds, ...picture.peers].map(({ box }) => box);
        for (const [i, box] of outer.entries()) {
          expect(inside(paper, box)).toBe(true);
          for (const other of outer.slice(i + 1)) expect(apart(box, other)).toBe(true);
        }
        for (const cloud of picture.clouds) {
          for (const [i, { box }] of cloud.cards.entries()) {
            expect(inside(cloud.box, box)).toBe(true);
            for (const other of cloud.cards.slice(i + 1)) expect(apart(box, other.box)).toBe(true);
          }
        }
        expect(picture.clouds.flatMap((cloud) => cloud.cards)).toHaveLength(cluster.nodes.length);
      }),
      { numRuns: 60 },
    );
  });
});
