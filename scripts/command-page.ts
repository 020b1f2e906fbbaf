/**
 * Writes docs/commands.md from what every command says with --help; `npm run docs` calls it.
 * @module
 */
import type { Command } from 'commander';
import { helpOf, isHidden } from '../src/cli/command-help.ts';
import { createProgram } from '../src/cli/program.ts';

const WIDTH = 100;

function sections(command: Command, path: readonly string[]): string[] {
  const name = [...path, command.name()];
  const own = [
    '',
    `${'#'.repeat(Math.min(name.length, 4))} ${name.join(' ')}`,
    '',
    '```',
    helpOf(command, WIDTH).trimEnd(),
    '```',
  ];
  const below = command.commands.filter((each) => !isHidden(each));
  return [...own, ...below.flatMap((each) => sections(each, name))];
}

const HEAD = `# Commands

What every command says of itself with \`--help\`. \`bin/kgctl\` is the same program with the commands for administrators alone, and Kilo's names for them; \`bin/kg\` is
\`kilowire agent\`, and \`kg webhook\`, \`kg version\`. Flags that say which cluster may stand before a command too, as with kgctl.

\`-o json\` prints one JSON document and nothing else on standard output. Colour is for terminals, and not when \`NO_COLOR\` is set. What is no part of an answer goes to standard error.

| exit status | meaning |
|---|---|
| 0 | done |
| 1 | it failed, or something is wrong; one sentence on standard error says what |
| 2 | it was called wrongly |
| 128 + n | ended by signal n |

By symptom: [troubleshooting.md](troubleshooting.md).`;

export function commandPage(): string {
  const program = createProgram();
  const all = sections(program, []).map((line) => line.replace(/^#(#*) kilowire/, '##$1 kilowire'));
  return `${[HEAD, ...all].join('\n')}\n\nMade by \`npm run docs\` from the commands: change it there.\n`;
}
