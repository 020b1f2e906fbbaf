/**
 * Pixels: filled boxes, discs and lines with soft edges, blended onto a ground. Every shape is judged by its distance from a
 * pixel's middle, so the same picture is the same bytes everywhere.
 * @module
 */

import type { Point } from './svg-layout.ts';

export interface Ink {
  /** 0xrrggbb */
  readonly colour: number;
  /** 0 to 1. */
  readonly opacity: number;
}

export interface Pen extends Ink {
  readonly width: number;
  /** Lengths of dash and gap; none: whole lines. */
  readonly dashes?: readonly [number, number];
}

export class Canvas {
  readonly width: number;
  readonly height: number;
  /** Three bytes a pixel. */
  readonly pixels: Uint8Array;
  /** How much of each pixel the shape at hand covers: a shape is blended once, however often it meets itself. */
  readonly #cover: Uint8Array;

  constructor(width: number, height: number, ground: number) {
    this.width = width;
    this.height = height;
    this.pixels = new Uint8Array(width * height * 3);
    this.#cover = new Uint8Array(width * height);
    for (let at = 0; at < this.pixels.length; at += 3) {
      this.pixels[at] = ground >> 16;
      this.pixels[at + 1] = (ground >> 8) & 0xff;
      this.pixels[at + 2] = ground & 0xff;
    }
  }

  /** A box with round corners: its area, its edge, or both. */
  box(
    left: number,
    top: number,
    width: number,
    height: number,
    radius: number,
    fill: Ink | null,
    edge: Pen | null,
  ): void {
    const [halfX, halfY] = [width / 2, height / 2];
    const [x, y] = [left + halfX, top + halfY];
    const r = Math.min(radius, halfX, halfY);
    const distance = (px: number, py: number): number => {
      const dx = Math.abs(px - x) - halfX + r;
      const dy = Math.abs(py - y) - halfY + r;
      return Math.hypot(Math.max(dx, 0), Math.max(dy, 0)) + Math.min(Math.max(dx, dy), 0) - r;
    };
    const reach = 1 + (edge?.width ?? 0);
    const bounds = [left - reach, top - reach, left + width + reach, top + height + reach] as const;
    if (fill !== null) this.#shade(bounds, (px, py) => 0.5 - distance(px, py), fill);
    if (edge !== null)
      this.#shade(bounds, (px, py) => edge.width / 2 + 0.5 - Math.abs(distance(px, py)), edge);
  }

  disc(x: number, y: number, radius: number, fill: Ink | null, edge: Pen | null): void {
    this.box(x - radius, y - radius, radius * 2, radius * 2, radius, fill, edge);
  }

  /** Lines from point to point; several at once are one shape. */
  lines(runs: readonly (readonly Point[])[], pen: Pen): void {
    let [left, top, right, bottom] = [this.width, this.height, 0, 0];
    for (const run of runs) {
      for (const [from, to] of pieces(run, pen.dashes)) {
        const reach = pen.width / 2 + 1;
        const bounds = [
          Math.min(from.x, to.x) - reach,
          Math.min(from.y, to.y) - reach,
          Math.max(from.x, to.x) + reach,
          Math.max(from.y, to.y) + reach,
        ] as const;
        this.#mark(bounds, (px, py) => pen.width / 2 + 0.5 - fromSegment(px, py, from, to));
        left = Math.min(left, bounds[0]);
        top = Math.min(top, bounds[1]);
        right = Math.max(right, bounds[2]);
        bottom = Math.max(bottom, bounds[3]);
      }
    }
    this.#blend([left, top, right, bottom], pen);
  }

  #shade(bounds: Bounds, cover: Cover, ink: Ink): void {
    this.#mark(bounds, cover);
    this.#blend(bounds, ink);
  }

  #mark(bounds: Bounds, cover: Cover): void {
    const [x0, y0, x1, y1] = this.#inside(bounds);
    for (let y = y0; y < y1; y++) {
      for (let x = x0; x < x1; x++) {
        const value = Math.round(Math.min(Math.max(cover(x + 0.5, y + 0.5), 0), 1) * 255);
        const at = y * this.width + x;
        if (value > (this.#cover[at] ?? 0)) this.#cover[at] = value;
      }
    }
  }

  #blend(bounds: Bounds, { colour, opacity }: Ink): void {
    const [x0, y0, x1, y1] = this.#inside(bounds);
    const parts = [colour >> 16, (colour >> 8) & 0xff, colour & 0xff];
    for (let y = y0; y < y1; y++) {
      for (let x = x0; x < x1; x++) {
        const at = y * this.width + x;
        const share = ((this.#cover[at] ?? 0) / 255) * opacity;
        this.#cover[at] = 0;
        if (share === 0) continue;
        for (let i = 0; i < 3; i++) {
          const have = this.pixels[at * 3 + i] ?? 0;
          this.pixels[at * 3 + i] = Math.round(have + ((parts[i] ?? 0) - have) * share);
        }
      }
    }
  }

  #inside([left, top, right, bottom]: Bounds): [number, number, number, number] {
    return [
      Math.max(0, Math.floor(left)),
      Math.max(0, Math.floor(top)),
      Math.min(this.width, Math.ceil(right)),
      Math.min(this.height, Math.ceil(bottom)),
    ];
  }
}

type Bounds = readonly [left: number, top: number, right: number, bottom: number];
type Cover = (x: number, y: number) => number;

/** Ends are round: the distance from the nearest point of the piece. */
const fromSegment = (x: number, y: number, from: Point, to: Point): number => {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const length = dx * dx + dy * dy;
  const along = length === 0 ? 0 : Math.min(Math.max(((x - from.x) * dx + (y - from.y) * dy) / length, 0), 1);
  return Math.hypot(x - from.x - along * dx, y - from.y - along * dy);
};

/** Cuts a run into its segments, and those into dashes. */
function* pieces(
  run: readonly Point[],
  dashes?: readonly [number, number],
): Generator<readonly [Point, Point]> {
  let walked = 0;
  for (const [index, to] of run.entries()) {
    const from = run[index - 1];
    if (from === undefined) continue;
    if (dashes === undefined) {
      yield [from, to];
      continue;
    }
    const length = Math.hypot(to.x - from.x, to.y - from.y);
    const [dash, gap] = dashes;
    const period = dash + gap;
    const at = (distance: number): Point => ({
      x: from.x + ((to.x - from.x) * distance) / length,
      y: from.y + ((to.y - from.y) * distance) / length,
    });
    // Where in the pattern this segment begins.
    for (let start = -(walked % period); start < length; start += period) {
      const begin = Math.max(start, 0);
      const end = Math.min(start + dash, length);
      if (end >= begin && length > 0) yield [at(begin), at(end)];
    }
    walked += length;
  }
}
