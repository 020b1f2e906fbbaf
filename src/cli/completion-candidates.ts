/**
 * What may come next on a command line: commands, flags and their values, read off the tree of commands. The shells' scripts
 * only ask.
 * @module
 */
import type { Command, Option } from 'commander';
import { isHidden } from './command-help.ts';

/** What somebody else has to list. */
export type Dynamic = 'nodes' | 'peers' | 'ends' | 'interfaces' | 'files';

export interface Candidates {
  readonly words: readonly { readonly word: string; readonly about: string }[];
  readonly dynamic: Dynamic | null;
}

const NOTHING: Candidates = { words: [], dynamic: null };

/** `words`: everything after the program's name; the last is what is being typed. */
export const candidatesFor = (program: Command, words: readonly string[]): Candidates => {
  const typed = words.at(-1) ?? '';
  let command = program;
  let operands = 0;
  let pending: Option | undefined;
  for (const word of words.slice(0, -1)) {
    if (pending !== undefined) {
      pending = undefined;
      continue;
    }
    if (word.startsWith('-')) {
      const option = optionNamed(command, word.split('=')[0] ?? '');
      if (option?.required && !word.includes('=')) pending = option;
      continue;
    }
    const below = command.commands.find((each) => each.name() === word);
    if (below !== undefined && operands === 0) command = below;
    else operands += 1;
  }
  if (pending !== undefined) return startingWith(typed, valuesOf(pending));
  const inline = /^(--[\w-]+)=(.*)$/.exec(typed);
  if (inline !== null) {
    const option = optionNamed(command, inline[1] ?? '');
    if (option === undefined) return NOTHING;
    const { words: values, dynamic } = startingWith(inline[2] ?? '', valuesOf(option));
    return { words: values.map(({ word, about }) => ({ word: `${inline[1]}=${word}`, about })), dynamic };
  }
  if (typed.startsWith('-')) return startingWith(typed, flagsOf(command));
  return startingWith(typed, operandsOf(command, operands));
};

/** Of the command, or of one above it: those may be written later too. */
const optionNamed = (command: Command, name: string): Option | undefined => {
  for (let at: Command | null = command; at !== null; at = at.parent) {
    const found = at.options.find(({ long, short }) => long === name || short === name);
    if (found !== undefined) return found;
  }
  return undefined;
};

const startingWith = (typed: string, { words, dynamic }: Candidates): Candidates => ({
  words: words.filter(({ word }) => word.startsWith(typed)),
  dynamic,
});

const flagsOf = (command: Command): Candidates => ({
  words: [
    ...command.options
      .filter(({ hidden }) => !hidden)
      .map((option) => ({ word: option.long ?? option.short ?? '', about: option.description })),
    { word: '--help', about: 'show help' },
  ],
  dynamic: null,
});

const valuesOf = (option: Option): Candidates => {
  const choices = CHOICES[option.attributeName()] ?? option.argChoices ?? [];
  const words = choices.map((word) => ({ word, about: '' }));
  if (/<(?:file|folder|dir|directory)/.test(option.flags)) return { words, dynamic: 'files' };
  return { words, dynamic: DYNAMIC[option.attributeName()] ?? null };
};

const operandsOf = (command: Command, at: number): Candidates => {
  const below = command.commands
    .filter((each) => at === 0 && !isHidden(each))
    .map((each) => ({ word: each.name(), about: each.description() }));
  const path = pathOf(command);
  return { words: [...below, ...(WORDS[path]?.[at] ?? [])], dynamic: OPERANDS[path]?.[at] ?? null };
};

/** `showconf node`, without the program's name. */
const pathOf = (command: Command): string =>
  command.parent === null ? '' : `${pathOf(command.parent)} ${command.name()}`.trimStart();

/** Values that a flag checks by itself. */
const CHOICES: Readonly<Record<string, readonly string[]>> = {
  meshGranularity: ['location', 'full', 'cross', 'auto'],
  backend: ['kubernetes'],
};

const DYNAMIC: Readonly<Record<string, Dynamic>> = {
  node: 'nodes',
  hostname: 'nodes',
  interface: 'interfaces',
  kubeconfig: 'files',
  filename: 'files',
  file: 'files',
};

const kinds = ['node', 'peer'].map((word) => ({ word, about: '' }));
const WORDS: Readonly<Record<string, readonly (readonly { word: string; about: string }[])[]>> = {
  'plan annotate': [kinds],
  'plan label': [kinds],
  'plan delete': [kinds],
  'plan granularity': [['location', 'full', 'cross'].map((word) => ({ word, about: '' }))],
  completion: [['bash', 'zsh', 'fish'].map((word) => ({ word, about: '' }))],
};

const OPERANDS: Readonly<Record<string, readonly (Dynamic | null)[]>> = {
  'showconf node': ['nodes'],
  'showconf peer': ['peers'],
  'plan annotate': [null, 'ends'],
  'plan label': [null, 'ends'],
  'plan delete': [null, 'ends'],
  'simulate node': ['nodes'],
  ...Object.fromEntries(
    ['config', 'set', 'rotate', 'enable', 'disable', 'remove'].map((verb) => [`client ${verb}`, ['peers']]),
  ),
  'client import': ['files'],
  explain: ['ends', 'ends'],
  top: ['interfaces'],
  device: ['interfaces'],
};
