/**
 * What the documents let people type: every block of commands is run by a test or says why not, and every command and flag of
 * ours that is named anywhere exists.
 * @module
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { createProgram } from '../../src/cli/program.ts';
import { type CodeBlock, codeBlocks } from './markdown-blocks.ts';
import { root } from './source-tree.ts';

const textOf = (path: string): string => readFileSync(join(root, path), 'utf8');
const documents = [
  'README.md',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

/** What a line of commands may begin with; in sh and console blocks everything is one. */
const BEGINNING =
  /^(?:# |\$ )?(?:sudo )?(?:bin\/|node |np[mx] |kilowire|kgctl|kg |kubectl |k3s |helm |ip |wg|curl |ssh |echo |install |ln |sha256sum |systemctl |apt-get |docker |podman )/;
const hasCommands = ({ language, lines }: CodeBlock): boolean =>
  ['sh', 'bash', 'console'].includes(language ?? '') || lines.some((line) => BEGINNING.test(line));

/** Made of the commands' own help, and compared with it by another test. */
const GENERATED = ['docs/commands.md'];

describe('the blocks of commands', () => {
  const followers = readdirSync(join(root, 'test/netns'))
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => textOf(`test/netns/${name}`));
  /** A test goes through its console blocks, in order. */
  const isFollowed = (document: string): boolean =>
    followers.some((text) => text.includes(`follow(session, '${document}'`));

  it.each(documents.filter((path) => !GENERATED.includes(path)))(
    '%s: each is run, or says why not',
    (path) => {
      const loose = codeBlocks(textOf(path))
        .filter(hasCommands)
        .filter(({ language, runBy, notRun }) => {
          if (notRun !== undefined) return false;
          if (language === 'console' && isFollowed(path)) return false;
          return runBy === undefined || !existsSync(join(root, runBy)) || !textOf(runBy).includes(path);
        });
      expect(loose.map(({ line, lines }) => `${path}:${line}: ${lines[0]}`)).toEqual([]);
    },
  );
});

const programs: Readonly<Record<string, Command>> = {
  kilowire: createProgram('kilowire'),
  kgctl: createProgram('kgctl'),
};

/** What of a line that calls `kilowire` or `kgctl` does not exist. */
const unknownOf = (call: string): string | undefined => {
  // What is far behind, or behind a comma, is said about it.
  const [name = '', ...words] = (call.trim().split(/ {2,}|[,.;:](?: |$)/)[0] ?? '').split(/\s+/);
  let command = programs[name];
  if (command === undefined) return undefined;
  for (const word of words) {
    if (word === '#' || word.startsWith('…')) break;
    if (word.startsWith('--')) {
      const [flag = ''] = word.split(/[=\]]/);
      if (flag === '--' || flag === '--help') continue;
      for (let at: Command | null = command; ; at = at.parent) {
        if (at === null) return `${command.name()} has no ${flag}`;
        if (at.options.some(({ long }) => long === flag)) break;
      }
      continue;
    }
    const below: Command | undefined = command.commands.find((each) => each.name() === word);
    if (below !== undefined) command = below;
    else if (command.commands.length > 0 && /^[a-z][a-z-]*$/.test(word) && !isValue(words, word))
      return `${command.name()} has no command ${word}`;
  }
  return undefined;
};

/** Whether it stands behind a flag, as what the flag is set to. */
const isValue = (words: readonly string[], word: string): boolean =>
  /^-{1,2}[\w-]+$/.test(words[words.indexOf(word) - 1] ?? '');

/** At the beginning of a command, not in the middle of a sentence. */
const CALL = /(?:^\s*|[|;&({]\s*|sudo |ssh \S+ )(?:bin\/)?((?:kilowire|kgctl) [^|;&`)\n]*)/g;
const codeOf = (text: string): string[] => [
  ...codeBlocks(text).flatMap(({ lines }) => lines.map((line) => line.replace(/^[#$] /, ''))),
  ...[...text.replace(/^```[\s\S]*?^```/gm, '').matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code),
];

describe('the commands that are named', () => {
  it.each([...documents, 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md'])('%s: they exist', (path) => {
    const calls = codeOf(textOf(path)).flatMap((code) =>
      [...code.matchAll(CALL)].map(([, call = '']) => call),
    );
    const unknown = calls.map((call) => [call, unknownOf(call)]).filter(([, why]) => why !== undefined);
    expect(unknown).toEqual([]);
  });

  it('would be found wanting', () => {
    expect(unknownOf('kilowire clients list')).toBe('kilowire has no command clients');
    expect(unknownOf('kilowire client add laptop --qrcode')).toBe('add has no --qrcode');
    expect(unknownOf('kilowire --kubeconfig F client add laptop --qr')).toBeUndefined();
  });
});
