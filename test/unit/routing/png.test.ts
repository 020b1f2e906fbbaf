/**
 * The picture as PNG: read back by a reader of its own, and looked at where something must be.
 * @module
 */
import { crc32, deflateSync, inflateSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { Canvas } from '../../../src/routing/canvas.ts';
import { toPng } from '../../../src/routing/png.ts';
import { strokesOf } from '../../../src/routing/stroke-font.ts';
import { toSvg } from '../../../src/routing/svg.ts';
import { pathRuns } from '../../../src/routing/svg-path.ts';
import { fourClouds, lookFrom, peer, twoRegions } from './clusters.ts';

/** PNG §5: chunks with their checksums, then lines without filter. */
const read = (png: Uint8Array) => {
  const bytes = Buffer.from(png);
  expect(bytes.subarray(0, 8).toString('latin1')).toBe('\x89PNG\r\n\x1a\n');
  const chunks = new Map<string, Buffer>();
  for (let at = 8; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    const type = bytes.toString('latin1', at + 4, at + 8);
    expect(bytes.readUInt32BE(at + 8 + length)).toBe(crc32(bytes.subarray(at + 4, at + 8 + length)));
    chunks.set(type, bytes.subarray(at + 8, at + 8 + length));
    at += length + 12;
  }
  expect([...chunks.keys()]).toEqual(['IHDR', 'IDAT', 'IEND']);
  const header = chunks.get('IHDR')!;
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  expect([...header.subarray(8)]).toEqual([8, 2, 0, 0, 0]);
  const lines = inflateSync(chunks.get('IDAT')!);
  expect(lines.length).toBe(height * (width * 3 + 1));
  return {
    width,
    height,
    at: (x: number, y: number) =>
      lines.toString('hex', y * (width * 3 + 1) + 1 + x * 3, y * (width * 3 + 1) + 4 + x * 3),
  };
};

const deflate = (bytes: Uint8Array): Uint8Array => deflateSync(bytes);

describe('a picture', () => {
  test('has twice the size of the SVG, its ground, and a white card where a node stands', () => {
    const topology = lookFrom('eu-1', 'location', {
      ...twoRegions,
      peers: [peer('laptop', ['10.5.0.1/32'])],
    });
    const [, width, height] = /width="(\d+)" height="(\d+)"/.exec(toSvg(topology))!.map(Number);
    const picture = read(toPng(topology, deflate));
    expect([picture.width, picture.height]).toEqual([width! * 2, height! * 2]);
    expect(picture.at(2, 2)).toBe('f6f7fa');
    const [, x, y] = /class="card" x="([\d.]+)" y="([\d.]+)"/.exec(toSvg(topology))!.map(Number);
    expect(picture.at(Math.round((x! + 180) * 2), Math.round((y! + 4) * 2))).toBe('ffffff');
  });

  test('is the same bytes each time', () => {
    const topology = lookFrom('ali-1', 'full', fourClouds);
    expect(Buffer.from(toPng(topology, deflate, 2e5)).equals(toPng(topology, deflate, 2e5))).toBe(true);
  });

  test('has no more pixels than it may', () => {
    const { width, height } = read(toPng(lookFrom('ali-1', 'full', fourClouds), deflate, 50_000));
    expect(width * height).toBeLessThan(51_000);
  });
});

describe('letters', () => {
  test('are there for all of printable ASCII, within their box', () => {
    const box = JSON.stringify(strokesOf('雲'));
    for (let code = 0x21; code < 0x7f; code++) {
      const strokes = strokesOf(String.fromCharCode(code));
      expect(JSON.stringify(strokes)).not.toBe(box);
      for (const [x, y] of strokes.flat()) {
        expect(x).toBeGreaterThanOrEqual(0);
        expect(x).toBeLessThanOrEqual(4);
        expect(y).toBeGreaterThanOrEqual(0);
        expect(y).toBeLessThanOrEqual(9);
      }
    }
    expect(strokesOf(' ')).toEqual([]);
    expect(strokesOf('é')).toEqual(strokesOf('e'));
  });

  test('differ from each other, but for a zero and a capital o', () => {
    const texts = Array.from({ length: 94 }, (_, i) =>
      JSON.stringify(strokesOf(String.fromCharCode(0x21 + i))),
    );
    expect(new Set(texts).size).toBe(93);
  });
});

describe('a canvas', () => {
  const dot = (canvas: Canvas, x: number, y: number): number =>
    canvas.pixels[(y * canvas.width + x) * 3] ?? -1;

  test('covers inside, leaves outside, and blends by opacity', () => {
    const canvas = new Canvas(10, 10, 0xffffff);
    canvas.box(2, 2, 6, 6, 0, { colour: 0x000000, opacity: 0.5 }, null);
    expect([dot(canvas, 0, 0), dot(canvas, 5, 5)]).toEqual([255, 128]);
  });

  test('blends a line that crosses itself once', () => {
    const canvas = new Canvas(11, 11, 0xffffff);
    const cross = [
      [
        { x: 0, y: 5.5 },
        { x: 11, y: 5.5 },
      ],
      [
        { x: 5.5, y: 0 },
        { x: 5.5, y: 11 },
      ],
    ];
    canvas.lines(cross, { colour: 0x000000, opacity: 0.5, width: 3 });
    expect([dot(canvas, 5, 5), dot(canvas, 5, 1), dot(canvas, 1, 1)]).toEqual([128, 128, 255]);
  });

  test('draws outside of itself without harm, and dashes with gaps', () => {
    const canvas = new Canvas(12, 3, 0xffffff);
    const line = [
      [
        { x: -50, y: 1.5 },
        { x: 50, y: 1.5 },
      ],
    ];
    canvas.lines(line, { colour: 0x000000, opacity: 1, width: 1, dashes: [2, 4] });
    const row = Array.from({ length: 12 }, (_, x) => dot(canvas, x, 1) < 128);
    expect(row.filter((dark) => dark).length).toBeGreaterThan(3);
    expect(row.filter((dark) => !dark).length).toBeGreaterThan(3);
  });

  test('knows the paths of the picture', () => {
    expect(pathRuns('M1 2 L3 4 h5 V9 M0 0 H2')).toEqual([
      [
        { x: 1, y: 2 },
        { x: 3, y: 4 },
        { x: 8, y: 4 },
        { x: 8, y: 9 },
      ],
      [
        { x: 0, y: 0 },
        { x: 2, y: 0 },
      ],
    ]);
    const [curve = []] = pathRuns('M0 0 Q5 10 10 0');
    expect(curve.at(-1)).toEqual({ x: 10, y: 0 });
    expect(curve[12]).toEqual({ x: 5, y: 5 });
  });
});
