/**
 * The house rules that can be read off the sources: who may import whom, what has no I/O, what every file begins with.
 * docs/architecture.md says why.
 * @module
 */
import { describe, expect, it } from 'vitest';
import { sources } from './source-tree.ts';

const files = sources('src');

/** Area → areas it may import. Arrows point one way. */
const arrows: Record<string, readonly string[]> = {
  noise: [],
  linux: [],
  aead: ['linux'],
  tun: ['linux', 'aead'],
  device: ['tun', 'aead', 'linux', 'noise'],
  // Addresses as values are the one thing the executable borrows from the protocol.
  cni: ['linux', 'noise'],
  routing: ['noise'],
  agent: ['routing', 'noise', 'linux'],
  // What an administrator asks a cluster or a node, before it is printed.
  admin: ['agent', 'routing', 'noise', 'linux'],
  // A whole mesh in virtual time.
  simulation: ['agent', 'routing', 'noise'],
  // The page and its server.
  ui: ['admin', 'agent', 'routing', 'noise'],
  // Objects for kubectl and Helm.
  deploy: ['agent'],
  lab: ['agent', 'routing', 'noise', 'linux'],
  cli: ['admin', 'ui', 'deploy', 'lab', 'simulation', 'agent', 'routing', 'noise', 'linux', 'device', 'cni'],
};

describe('arrows', () => {
  it('every area is on the map', () => {
    expect([...new Set(files.map((file) => file.area))].filter((area) => !(area in arrows))).toEqual([]);
  });

  it('no file imports an area its own may not know', () => {
    const wrong = files.flatMap(({ path, area, imports }) =>
      imports
        .filter(({ target }) => target.startsWith('src/'))
        .map(({ target }) => ({ path, area, to: target.split('/')[1] ?? '' }))
        .filter(({ to }) => to !== area && !arrows[area]?.includes(to))
        .map(({ to }) => `${path} → ${to}`),
    );
    expect(wrong).toEqual([]);
  });

  it('only linux/ talks to koffi, and only its koffi side', () => {
    const users = files.filter(({ imports }) => imports.some(({ target }) => target === 'koffi'));
    expect(users.filter(({ area }) => area !== 'linux').map(({ path }) => path)).toEqual([]);
  });

  it('the CNI executable draws in nothing that costs it its start: built-ins, our own files, valibot', () => {
    const wrong = files
      .filter(({ area }) => area === 'cni')
      .flatMap(({ path, imports }) =>
        imports
          .filter(({ typeOnly, target }) => !typeOnly && !target.startsWith('src/'))
          .filter(
            ({ target }) =>
              !target.startsWith('node:') &&
              target !== 'valibot' &&
              target !== '#sys' &&
              target !== 'package.json',
          )
          .map(({ target }) => `${path} → ${target}`),
      );
    expect(wrong).toEqual([]);
  });
});

describe('sans-I/O', () => {
  const pure = files.filter(({ area }) => area === 'noise' || area === 'routing');

  it('noise/ and routing/ import nothing of Node', () => {
    const wrong = pure.flatMap(({ path, imports }) =>
      imports.filter(({ target }) => target.startsWith('node:')).map(({ target }) => `${path} → ${target}`),
    );
    expect(wrong).toEqual([]);
  });

  it('noise/ and routing/ take time, chance and environment as arguments', () => {
    const forbidden =
      /\b(?:Date\.now|new Date\(\)|performance\.now|setTimeout|setInterval|setImmediate|queueMicrotask|process\.|Math\.random|crypto\.getRandomValues|console\.|fetch\()/;
    const wrong = pure.flatMap(({ path, text }) =>
      text
        .split('\n')
        .map((line, index) => ({ line: line.replace(/\/\/.*$|^\s*\*.*$/, ''), number: index + 1 }))
        .filter(({ line }) => forbidden.test(line))
        .map(({ line, number }) => `${path}:${number} ${line.trim()}`),
    );
    expect(wrong).toEqual([]);
  });
});

describe('files', () => {
  const all = [...files, ...sources('test'), ...sources('bench'), ...sources('scripts')];

  it('begin with what they are for', () => {
    const wrong = all
      .filter(({ path }) => !path.endsWith('.test.ts'))
      .filter(({ text }) => !/^\/\*\*\n(?: \*.*\n)*? \* @module\n \*\//.test(text))
      .map(({ path }) => path);
    expect(wrong).toEqual([]);
  });

  it('have one idea each: no drawers, no barrels, no more than some 300 lines', () => {
    const drawers = files.filter(({ path }) => /\/(?:utils?|helpers?|common|misc)\.ts$/.test(path));
    const barrels = files.filter(({ path }) => path.endsWith('/index.ts') && !path.includes('/kernel/'));
    const long = files.filter(({ path, text }) => text.split('\n').length > (reasons[path] ?? 350));
    expect(drawers.map(({ path }) => path)).toEqual([]);
    expect(barrels.map(({ path }) => path)).toEqual([]);
    expect(long.map(({ path, text }) => `${path}: ${text.split('\n').length}`)).toEqual([]);
  });

  it('never switch the type checker off, nor the linter without a reason', () => {
    const off = /@ts-(?:ignore|nocheck|expect-error)|biome-ignore(?! lint\/[\w/]+: \w)|eslint-disable/;
    const wrong = all.filter(
      ({ path, text }) => off.test(text) && !path.startsWith('test/repo/') && !path.includes('/kernel/'),
    );
    expect(wrong.map(({ path }) => path)).toEqual([]);
  });
});

/** Longer files, and how long they may be because of what they are. */
const reasons: Record<string, number> = {
  // One record of per-peer tables read on the packet path: splitting it would put calls there.
  'src/noise/transport.ts': 420,
  // The whole protocol from one side: its parts have files of their own, this is how they are joined.
  'src/noise/tunnel.ts': 400,
};
