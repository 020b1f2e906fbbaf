/**
 * The path of an SVG as runs of points, as far as the mesh picture uses paths.
 * Source: SVG 2 §9.3 (M, L, H, V, h, v, Q, C; absolute unless small); Bézier curves by de Casteljau's points.
 * @module
 */

import type { Point } from './svg-layout.ts';

/** A curve is drawn as so many lines. */
const STEPS = 24;

export const pathRuns = (text: string): Point[][] => {
  const runs: Point[][] = [];
  let here: Point = { x: 0, y: 0 };
  const go = (point: Point): void => {
    runs.at(-1)?.push(point);
    here = point;
  };
  for (const [, command = '', list = ''] of text.matchAll(/([MLHVhvQC])([^A-Za-z]*)/g)) {
    const n = [...list.matchAll(/-?[\d.]+/g)].map(Number);
    const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = n;
    switch (command) {
      case 'M':
        here = { x: a, y: b };
        runs.push([here]);
        break;
      case 'L':
        go({ x: a, y: b });
        break;
      case 'H':
        go({ x: a, y: here.y });
        break;
      case 'V':
        go({ x: here.x, y: a });
        break;
      case 'h':
        go({ x: here.x + a, y: here.y });
        break;
      case 'v':
        go({ x: here.x, y: here.y + a });
        break;
      case 'Q':
        curve([here, { x: a, y: b }, { x: c, y: d }], go);
        break;
      case 'C':
        curve([here, { x: a, y: b }, { x: c, y: d }, { x: e, y: f }], go);
        break;
    }
  }
  return runs;
};

const curve = (controls: readonly Point[], go: (point: Point) => void): void => {
  for (let step = 1; step <= STEPS; step++) go(onCurve(controls, step / STEPS));
};

const onCurve = (controls: readonly Point[], t: number): Point => {
  const [first = { x: 0, y: 0 }, ...rest] = controls;
  if (rest.length === 0) return first;
  return onCurve(
    rest.map((to, index) => {
      const from = controls[index] ?? first;
      return { x: from.x + (to.x - from.x) * t, y: from.y + (to.y - from.y) * t };
    }),
    t,
  );
};
