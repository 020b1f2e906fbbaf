/**
 * The mesh picture as PNG, for what shows no SVG: the same SVG, drawn by a pen of its own.
 * Source: PNG 3rd edition §5 (signature, chunks, CRC), §9 (filter 0); the classes of svg-style.ts in their light colours.
 * @module
 */

import { Canvas, type Ink, type Pen } from './canvas.ts';
import { ADVANCE, BASELINE, strokesOf } from './stroke-font.ts';
import { toSvg } from './svg.ts';
import type { Point } from './svg-layout.ts';
import { pathRuns } from './svg-path.ts';
import { ACCENTS } from './svg-style.ts';
import type { Topology } from './topology.ts';

/** zlib's format (RFC 1950): Node's `deflateSync`. */
export type Deflate = (bytes: Uint8Array) => Uint8Array;

/** Pixels of a small mesh are doubled, for sharp screens; those of a large one are not, or it would be gigabytes. */
const MOST_PIXELS = 24e6;

export const toPng = (topology: Topology, deflate: Deflate, mostPixels = MOST_PIXELS): Uint8Array =>
  encode(draw(toSvg(topology), mostPixels), deflate);

const GROUND = 0xf6f7fa;
const TEXT = 0x1c2430;
const FAINT = 0x7b8594;
const TUNNEL = 0x4a6fa5;

const draw = (svg: string, mostPixels: number): Canvas => {
  const [, w = '1', h = '1'] = /^<svg [^>]*width="(\d+)" height="(\d+)"/.exec(svg) ?? [];
  const [width, height] = [Number(w), Number(h)];
  const scale = Math.min(2, Math.sqrt(mostPixels / (width * height)));
  const canvas = new Canvas(Math.ceil(width * scale), Math.ceil(height * scale), GROUND);
  const artist = new Artist(canvas, scale);
  // Titles are for pointers, styles for browsers.
  const shown = svg.replace(/<(title|desc|style)[^>]*>[\s\S]*?<\/\1>/g, '');
  for (const [, name = '', attributes = '', content = ''] of shown.matchAll(
    /<(g|rect|circle|path|text)\b([^>]*?)\/?>(?:([^<]*)<\/text>)?/g,
  ))
    artist.element(name, attributesOf(attributes), content);
  return canvas;
};

const attributesOf = (text: string): ReadonlyMap<string, string> =>
  new Map([...text.matchAll(/([\w-]+)="([^"]*)"/g)].map(([, name = '', value = '']) => [name, value]));

class Artist {
  readonly #canvas: Canvas;
  readonly #scale: number;
  #accent = TUNNEL;

  constructor(canvas: Canvas, scale: number) {
    this.#canvas = canvas;
    this.#scale = scale;
  }

  element(name: string, attributes: ReadonlyMap<string, string>, content: string): void {
    const kind = attributes.get('class') ?? '';
    const number = (attribute: string): number => Number(attributes.get(attribute) ?? 0) * this.#scale;
    switch (name) {
      case 'g':
        this.#accent = accentOf(kind);
        break;
      case 'rect':
        this.#rect(kind, number('x'), number('y'), number('width'), number('height'), number('rx'));
        break;
      case 'circle':
        this.#circle(kind, number('cx'), number('cy'), number('r'));
        break;
      case 'path':
        this.#path(kind, attributes.get('d') ?? '');
        break;
      case 'text':
        this.#text(kind, { x: number('x'), y: number('y') }, unescaped(content));
    }
  }

  #rect(kind: string, x: number, y: number, width: number, height: number, radius: number): void {
    const edge = (colour: number, thickness: number, opacity = 1): Pen =>
      this.#pen(colour, thickness, opacity);
    const white: Ink = { colour: 0xffffff, opacity: 1 };
    const box = (fill: Ink, pen: Pen): void => this.#canvas.box(x, y, width, height, radius, fill, pen);
    if (kind === 'cloud') box({ colour: this.#accent, opacity: 0.08 }, edge(this.#accent, 1.5, 0.42));
    else if (kind === 'peer') box(white, edge(0x9aa4b2, 1.3));
    else if (kind === 'card') box(white, edge(0xd5dae2, 1.2));
    else if (kind === 'card leads') box(white, edge(this.#accent, 1.6));
  }

  #circle(kind: string, x: number, y: number, radius: number): void {
    const accent: Ink = { colour: this.#accent, opacity: 1 };
    if (kind === 'dot') this.#canvas.disc(x, y, radius, accent, null);
    else if (kind === 'ring') this.#canvas.disc(x, y, radius, null, this.#pen(this.#accent, 2, 1));
    else if (kind === 'hub')
      this.#canvas.disc(x, y, radius, { colour: 0xffffff, opacity: 1 }, this.#pen(TUNNEL, 2, 1));
  }

  #path(kind: string, text: string): void {
    const s = this.#scale;
    const runs = pathRuns(text).map((run) => run.map(({ x, y }) => ({ x: x * s, y: y * s })));
    const [start] = runs[0] ?? [];
    if (kind === 'tunnel') this.#canvas.lines(runs, this.#pen(TUNNEL, 2, 0.62));
    else if (kind === 'relayed')
      this.#canvas.lines(runs, { ...this.#pen(TUNNEL, 2, 0.62), dashes: [2 * s, 7 * s] });
    else if (kind === 'private')
      this.#canvas.lines(runs, { ...this.#pen(this.#accent, 1.8, 1), dashes: [0.1 * s, 5 * s] });
    else if (kind === 'peer-tunnel')
      this.#canvas.lines(runs, { ...this.#pen(FAINT, 1.5, 0.6), dashes: [6 * s, 5 * s] });
    else if (kind === 'glyph' && start !== undefined)
      // The little cloud, of three discs and a foot.
      for (const [x, y, r] of [
        [1, -7, 7],
        [8, -11, 9],
        [16, -6, 6],
      ] as const)
        this.#canvas.disc(
          start.x + x * s,
          start.y + y * s,
          r * s,
          { colour: this.#accent, opacity: 1 },
          null,
        );
  }

  #text(kind: string, { x, y }: Point, content: string): void {
    const [size, colour, weight, anchor] = this.#typeOf(kind);
    const unit = size * this.#scale * 0.11;
    const characters = [...content];
    const start = x - characters.length * ADVANCE * unit * anchor;
    const runs = characters.flatMap((character, index) =>
      strokesOf(character).map((stroke) =>
        stroke.map(([px, py]) => ({
          x: start + (index * ADVANCE + px) * unit,
          y: y - (py - BASELINE) * unit,
        })),
      ),
    );
    // A letter at a time would blend just the same; a line at once is one shape.
    if (runs.length > 0) this.#canvas.lines(runs, { colour, opacity: 1, width: size * this.#scale * weight });
  }

  /** Size, colour, thickness of strokes in sizes, and which part of it stands before the point. */
  #typeOf(kind: string): readonly [number, number, number, number] {
    const [name = '', ...more] = kind.split(' ');
    const anchor = more.includes('centred') || name.startsWith('hub') ? 0.5 : name === 'badge' ? 1 : 0;
    switch (name) {
      case 'title':
        return [22, TEXT, 0.13, anchor];
      case 'cloud-name':
        return [15, TEXT, 0.12, anchor];
      case 'name':
        return [14, TEXT, 0.12, anchor];
      case 'badge':
        return [10, this.#accent, 0.12, anchor];
      case 'key':
        return [11, FAINT, 0.09, anchor];
      case 'value':
        return [12.5, more.includes('faint') ? FAINT : 0x333d4b, 0.095, anchor];
      case 'hub-count':
        return [20, TEXT, 0.12, anchor];
      default:
        return [11.5, 0x66707f, 0.09, anchor];
    }
  }

  #pen(colour: number, width: number, opacity: number): Pen {
    return { colour, opacity, width: width * this.#scale };
  }
}

const accentOf = (kind: string): number => {
  const index = Number(/\d+$/.exec(kind)?.[0] ?? 1);
  const text = ACCENTS[index % ACCENTS.length];
  return text === undefined ? TUNNEL : Number.parseInt(text.slice(1), 16);
};

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"' };
const unescaped = (text: string): string =>
  text.replace(/&(\w+);/g, (whole, name) => ENTITIES[name] ?? whole);

const encode = ({ width, height, pixels }: Canvas, deflate: Deflate): Uint8Array => {
  // Each line is preceded by its filter; 0 is none.
  const lines = new Uint8Array(height * (width * 3 + 1));
  for (let y = 0; y < height; y++)
    lines.set(pixels.subarray(y * width * 3, (y + 1) * width * 3), y * (width * 3 + 1) + 1);
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, 2], 8); // eight bits, true colour
  const parts = [
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    chunk('IHDR', header),
    chunk('IDAT', deflate(lines)),
    chunk('IEND', new Uint8Array(0)),
  ];
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
};

const chunk = (type: string, data: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(data.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  for (let i = 0; i < 4; i++) bytes[4 + i] = type.charCodeAt(i);
  bytes.set(data, 8);
  view.setUint32(data.length + 8, crc32(bytes.subarray(4, data.length + 8)));
  return bytes;
};

/** PNG annex D, without a table: it runs once over what is compressed already. */
const crc32 = (bytes: Uint8Array): number => {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
};
