/**
 * Manual pages from what the commands say of themselves, one a command: kilowire.1, kilowire-graph.1, kilowire-cni-install.1 …
 * Source: man-pages(7), groff_man(7).
 * @module
 */
import type { Command } from 'commander';
import { helpOf, isHidden } from '../src/cli/command-help.ts';
import { createProgram } from '../src/cli/program.ts';

export interface ManPage {
  /** `kilowire-graph.1` */
  readonly file: string;
  readonly text: string;
}

const WIDTH = 78;

/** A backslash, a hyphen and a dot at the start of a line mean something to troff. */
const quoted = (text: string): string =>
  text
    .replace(/\\/g, '\\e')
    .replace(/-/g, '\\-')
    .replace(/^([.'])/gm, '\\&$1');

/** What `--help` adds to what is known of the command: examples, files, exit status. */
function added(command: Command): string {
  const text = helpOf(command, WIDTH);
  const known = command.helpInformation();
  return text.startsWith(known) ? text.slice(known.length).trim() : '';
}

const terms = (heading: string, pairs: readonly (readonly [string, string])[]): string[] =>
  pairs.length === 0
    ? []
    : [`.SH ${heading}`, ...pairs.flatMap(([term, text]) => ['.TP', `.B ${quoted(term)}`, quoted(text)])];

/** Paragraphs that are headings with what follows them, and sentences. */
function addedSections(text: string): string[] {
  if (text === '') return [];
  return text.split(/\n\n+/).flatMap((paragraph) => {
    const [first = '', ...rest] = paragraph.split('\n');
    const heading = /^([A-Z][\w ]*):$/.exec(first)?.[1];
    if (heading !== undefined)
      return [`.SH ${heading.toUpperCase()}`, '.nf', ...rest.map((line) => quoted(line.trim())), '.fi'];
    const status = /^(Exit status): (.*)$/s.exec(paragraph);
    if (status !== null) return ['.SH EXIT STATUS', quoted((status[2] ?? '').replace(/\n/g, ' '))];
    const isLaidOut = paragraph.split('\n').some((line) => line.startsWith('  '));
    return isLaidOut ? ['.PP', '.nf', quoted(paragraph), '.fi'] : ['.PP', quoted(paragraph)];
  });
}

function pages(command: Command, path: readonly string[], stamp: string): ManPage[] {
  const names = [...path, command.name()];
  const name = names.join('-');
  const help = command.createHelp();
  const below = command.commands.filter((each) => !isHidden(each) && each.name() !== 'help');
  const [summary = '', ...more] = command.description().split(/(?<=\.)\s+/);
  const usage = command.usage();
  const lines = [
    `.TH ${name.toUpperCase()} 1 ${stamp}`,
    '.SH NAME',
    `${quoted(name)} \\- ${quoted(summary.replace(/\.$/, ''))}`,
    '.SH SYNOPSIS',
    `.B ${quoted(names.join(' '))}`,
    quoted(usage),
    '.SH DESCRIPTION',
    quoted([summary, ...more].join(' ')),
    ...terms(
      'ARGUMENTS',
      help.visibleArguments(command).map((each) => [help.argumentTerm(each), help.argumentDescription(each)]),
    ),
    ...terms(
      'OPTIONS',
      help.visibleOptions(command).map((each) => [help.optionTerm(each), help.optionDescription(each)]),
    ),
    ...terms(
      'COMMANDS',
      below.map((each) => [help.subcommandTerm(each), help.subcommandDescription(each)]),
    ),
    ...addedSections(added(command)),
  ];
  const parent = path.join('-');
  const related = [...(parent === '' ? [] : [parent]), ...below.map((each) => `${name}-${each.name()}`)];
  if (related.length > 0)
    lines.push('.SH SEE ALSO', related.map((each) => `.BR ${quoted(each)} (1)`).join(',\n'));
  return [
    { file: `${name}.1`, text: `${lines.filter((line) => line !== '').join('\n')}\n` },
    ...below.flatMap((each) => pages(each, names, stamp)),
  ];
}

/** Other names of what has a page. */
const ALIASES = { 'kilowire-wg': 'kilowire-device', kg: 'kilowire-agent', kgctl: 'kilowire' };

/** @param date of the release, YYYY-MM-DD */
export const manPages = (version: string, date: string): readonly ManPage[] => [
  ...pages(createProgram(), [], `"${date}" "kilowire ${version}" "Kilowire"`),
  ...Object.entries(ALIASES).map(([name, page]) => ({
    file: `${name}.1`,
    text: `.so man1/${page}.1\n`,
  })),
];
