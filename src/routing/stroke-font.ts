/**
 * Letters as strokes, for pictures made without any font: what a plotter would draw. Printable ASCII and a few signs.
 * A point is two digits, x and y, in a box 4 wide; the baseline is 2, small letters reach 6, capitals 8.
 * @module
 */

export type Stroke = readonly (readonly [x: number, y: number])[];

/** Box and gap together: every letter is equally wide, as in a terminal. */
export const ADVANCE = 5.5;
export const BASELINE = 2;

const ROUND = '12 03 07 18 38 47 43 32 12';
const small = '45 36 16 05 03 12 32 43';

const GLYPHS: Readonly<Record<string, string>> = {
  ' ': '',
  '!': '28 24,22 22',
  '"': '18 16,38 36',
  '#': '12 18,32 38,06 46,04 44',
  $: '47 38 18 07 06 15 35 44 43 32 12 03,29 21',
  '%': '08 18 17 07 08,33 43 42 32 33,02 48',
  '&': '42 07 18 27 03 12 22 44',
  "'": '28 26',
  '(': '38 26 24 32',
  ')': '18 26 24 12',
  '*': '27 23,06 44,46 04',
  '+': '27 23,05 45',
  ',': '22 11',
  '-': '05 45',
  '.': '22 22',
  '/': '02 48',
  0: ROUND,
  1: '16 28 22,12 32',
  2: '07 18 38 47 46 02 42',
  3: '07 18 38 47 46 35 25,35 44 43 32 12 03',
  4: '32 38 04 44',
  5: '48 08 05 35 44 43 32 12 03',
  6: '47 38 18 07 03 12 32 43 44 35 15 04',
  7: '08 48 22',
  8: '15 06 07 18 38 47 46 35 15 04 03 12 32 43 44 35',
  9: '03 12 32 43 47 38 18 07 06 15 35 46',
  ':': '25 25,22 22',
  ';': '25 25,22 11',
  '<': '47 05 43',
  '=': '06 46,04 44',
  '>': '07 45 03',
  '?': '07 18 38 47 46 25 24,22 22',
  '@': '33 24 15 26 36 34 44 47 38 18 07 03 12 42',
  A: '02 28 42,14 34',
  B: '02 08 38 47 46 35 05,35 44 43 32 02',
  C: '47 38 18 07 03 12 32 43',
  D: '02 08 28 46 44 22 02',
  E: '48 08 02 42,05 35',
  F: '48 08 02,05 35',
  G: '47 38 18 07 03 12 32 43 45 25',
  H: '08 02,48 42,05 45',
  I: '18 38,28 22,12 32',
  J: '48 43 32 12 03',
  K: '08 02,48 04,25 42',
  L: '08 02 42',
  M: '02 08 25 48 42',
  N: '02 08 42 48',
  O: ROUND,
  P: '02 08 38 47 46 35 05',
  Q: `${ROUND},34 41`,
  R: '02 08 38 47 46 35 05,25 42',
  S: '47 38 18 07 06 15 35 44 43 32 12 03',
  T: '08 48,28 22',
  U: '08 03 12 32 43 48',
  V: '08 22 48',
  W: '08 12 26 32 48',
  X: '08 42,02 48',
  Y: '08 25 48,25 22',
  Z: '08 48 02 42',
  '[': '38 18 12 32',
  '\\': '08 42',
  ']': '18 38 32 12',
  '^': '06 28 46',
  _: '01 41',
  '`': '18 27',
  a: '16 36 45 42,44 14 03 12 32 43',
  b: '08 02,05 16 36 45 43 32 12 03',
  c: small,
  d: `48 42,${small}`,
  e: '04 44 45 36 16 05 03 12 32 43',
  f: '38 28 17 12,06 36',
  g: `46 41 30 10 01,${small}`,
  h: '08 02,05 16 36 45 42',
  i: '26 22,28 28',
  j: '36 31 20 10,38 38',
  k: '08 02,46 04,24 42',
  l: '28 22',
  m: '02 06,05 16 25 22,25 36 45 42',
  n: '02 06,05 16 36 45 42',
  o: '12 03 05 16 36 45 43 32 12',
  p: '00 06,05 16 36 45 43 32 12 03',
  q: `40 46,${small}`,
  r: '02 06,04 16 36',
  s: '45 36 16 05 14 34 43 32 12 03',
  t: '17 13 22 32,06 36',
  u: '06 03 12 32 43,46 42',
  v: '06 22 46',
  w: '06 12 25 32 46',
  x: '06 42,02 46',
  y: '06 22,46 10',
  z: '06 46 02 42',
  '{': '38 28 26 15 24 22 32',
  '|': '28 21',
  '}': '18 28 26 35 24 22 12',
  '~': '05 16 34 45',
  '·': '24 24',
  '…': '02 02,22 22,42 42',
};

/** Letters of other scripts: an empty box. */
const UNKNOWN = '02 08 48 42 02';

/** The strokes of one character; a stroke of two equal points is a dot. */
export const strokesOf = (character: string): readonly Stroke[] => {
  const text = GLYPHS[character] ?? GLYPHS[withoutMarks(character)] ?? UNKNOWN;
  if (text === '') return [];
  return text
    .split(',')
    .map((stroke) => stroke.split(' ').map((point) => [Number(point[0]), Number(point[1])] as const));
};

/** é is drawn as e. */
const withoutMarks = (character: string): string => character.normalize('NFD').charAt(0);
