/**
 * docs/commands.md says what the commands say today (`npm run docs` writes it anew), and every command says enough.
 * @module
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { commandPage } from '../../scripts/command-page.ts';
import { createProgram } from '../../src/cli/program.ts';
import { root } from './source-tree.ts';

const isHidden = (command: Command): boolean =>
  (command as unknown as { readonly _hidden?: boolean })._hidden === true;

const leaves = (command: Command): Command[] => {
  const below = command.commands.filter((each) => !isHidden(each));
  return below.length === 0 ? [command] : below.flatMap(leaves);
};

const pathOf = (command: Command): string =>
  command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;

describe('docs/commands.md', () => {
  it('is up to date (npm run docs)', () => {
    expect(readFileSync(join(root, 'docs/commands.md'), 'utf8')).toBe(commandPage());
  });

  it('has a section for every command', () => {
    const text = commandPage();
    for (const command of leaves(createProgram()))
      expect(text).toMatch(new RegExp(`^#+ ${pathOf(command)}$`, 'm'));
  });
});

describe('every command', () => {
  // The lab's verbs are told of in the lab's own help.
  const all = leaves(createProgram()).filter((command) => !/ lab \w/.test(pathOf(command)));

  it.each(all.map((command) => [pathOf(command), command] as const))(
    '%s has help with examples',
    (path, command) => {
      let text = '';
      command.configureOutput({
        writeOut: (piece) => {
          text += piece;
        },
      });
      command.outputHelp();
      expect(command.description().length).toBeGreaterThan(10);
      expect(text).toContain('Examples:');
      // Each shows itself at work.
      expect(text.slice(text.indexOf('Examples:'))).toContain(path.split(' ').slice(0, 2).join(' '));
      for (const option of command.options) if (!option.hidden) expect(option.description).not.toBe('');
    },
  );
});
