/**
 * The command line of `kilowire`, and of `kgctl`: one file per command, read only when the command is called.
 * Exit status: 0 done, 1 it failed, 2 it was called wrongly, 128 + n ended by signal n.
 * @module
 */
import { type Command, CommanderError } from 'commander';
import { withoutGoValues } from './go-flags.ts';
import { createProgram, type ProgramName, programName } from './program.ts';

const USAGE_STATUS = 2;

/** Commander's own texts begin with "error: "; ours are sentences. */
const sentence = (text: string): string => {
  const plain = text.replace(/^error: /, '').trimEnd();
  const whole = /[.?!)]$/.test(plain) ? plain : `${plain}.`;
  return whole.charAt(0).toUpperCase() + whole.slice(1);
};

const prepare = (command: Command): void => {
  command.exitOverride();
  command.configureOutput({ outputError: () => {} });
  for (const each of command.commands) prepare(each);
};

export async function main(args: readonly string[]): Promise<void> {
  const name = programName(process.env);
  const program = createProgram(name);
  prepare(program);
  try {
    await program.parseAsync(withoutGoValues(args), { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return; // help or version was shown
      if (error.code === 'commander.help') process.exitCode = USAGE_STATUS;
      else usageError(name, error.message);
      return;
    }
    process.stderr.write(`${name}: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode ||= 1;
  }
}

const usageError = (name: ProgramName, message: string): void => {
  const text = sentence(message).replace(/\n/g, ' ');
  process.stderr.write(`${name}: ${text} See ${name} --help.\n`);
  process.exitCode = USAGE_STATUS;
};

// Started as a program: as the source, or as the bundle.
if (/(?:src\/cli\/main\.ts|dist\/kilowire\.js)$/.test(process.argv[1] ?? '')) {
  await main(process.argv.slice(2));
}
