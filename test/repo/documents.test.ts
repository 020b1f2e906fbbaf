/**
 * What the documents promise exists: commands, files, results that are quoted.
 * @module
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from './source-tree.ts';

const documents = [
  ...readdirSync(root).filter((name) => name.endsWith('.md')),
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
];
const textOf = (path: string): string => readFileSync(join(root, path), 'utf8');
const { scripts } = JSON.parse(textOf('package.json')) as { scripts: Record<string, string> };

describe('documents', () => {
  it('are all there', () => {
    for (const name of [
      'README.md',
      'CONTRIBUTING.md',
      'CHANGELOG.md',
      'SECURITY.md',
      'docs/architecture.md',
    ]) {
      expect(documents).toContain(name);
    }
    expect(existsSync(join(root, 'LICENSE'))).toBe(true);
  });

  it.each(documents)('%s: every npm script it names exists', (path) => {
    const named = [...textOf(path).matchAll(/\bnpm run ([\w:-]+)/g)].map((match) => match[1] ?? '');
    expect(named.filter((name) => !(name in scripts))).toEqual([]);
  });

  it.each(documents)('%s: every program and file it links to exists', (path) => {
    const text = textOf(path);
    const programs = [...text.matchAll(/(?:^|[\s`])((?:bin|scripts|bench)\/[\w.-]+)/gm)].map(
      (match) => match[1] ?? '',
    );
    const links = [...text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map((match) =>
      join(dirname(path), match[1] ?? ''),
    );
    expect([...programs, ...links].filter((name) => !existsSync(join(root, name)))).toEqual([]);
  });

  it('name the commands the README lets people type', () => {
    const source = readdirSync(join(root, 'src/cli'))
      .map((name) => textOf(join('src/cli', name)))
      .join('\n');
    const typed = [...textOf('README.md').matchAll(/(?:^|\s)(?:bin\/)?kilowire (\w+)/gm)].map(
      (match) => match[1] ?? '',
    );
    expect(typed.length).toBeGreaterThan(0);
    expect(typed.filter((name) => !source.includes(`'${name}'`) && !source.includes(`'${name} `))).toEqual(
      [],
    );
  });
});
