/**
 * Manual pages: one a command, and nothing in them that troff complains of.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { manPages } from '../../scripts/man-pages.ts';
import { root } from '../../scripts/tree.ts';

const pages = manPages('9.9.9', '2026-01-02');
const hasGroff = spawnSync('groff', ['--version']).status === 0;

test('there is one for every command of the generated page', () => {
  const commands = readFileSync(join(root, 'docs/commands.md'), 'utf8').matchAll(/^##+ (kilowire[ \w-]*)$/gm);
  const names = [...commands].map(([, name = '']) => `${name.replaceAll(' ', '-')}.1`);
  expect(names.length).toBeGreaterThan(20);
  expect(pages.map(({ file }) => file)).toEqual(expect.arrayContaining(names));
});

test('it has what a manual page has', () => {
  const graph = pages.find(({ file }) => file === 'kilowire-graph.1')?.text ?? '';
  for (const heading of ['NAME', 'SYNOPSIS', 'DESCRIPTION', 'OPTIONS', 'EXAMPLES', 'SEE ALSO'])
    expect(graph).toContain(`.SH ${heading}\n`);
  expect(graph).toContain('.B \\-o, \\-\\-format <format>');
  expect(graph).toContain('kilowire graph \\-o svg \\-f mesh.svg');
});

test.skipIf(!hasGroff)('troff understands all of it', () => {
  for (const { file, text } of pages.filter(({ text }) => !text.startsWith('.so '))) {
    const { stderr } = spawnSync('groff', ['-man', '-ww', '-z'], { input: text, encoding: 'utf8' });
    expect(stderr, file).toBe('');
  }
});
