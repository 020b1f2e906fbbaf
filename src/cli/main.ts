/**
 * The command line of `kilowire`, and of `kgctl`: one file per command, read only when the command is called.
 * Exit status: 0 done, 1 it failed, 2 it was called wrongly, 128 + n ended by signal n.
 * @module
 */
import { type Command, CommanderError } from 'commander';
import { withoutGoValues } from './go-flags.ts';
import { createProgram, type ProgramName, programName } from './program.ts';

const USAGE_STATUS = 2;
/** Codes of errors about the words of a call, which only who knows the subject could see. */
const USAGE_CODES: readonly unknown[] = [
  'ERR_ADMIN_USAGE',
  'ERR_DEPLOY_SETTING',
  'ERR_DEPLOY_VALUE',
  'ERR_DEPLOY_VARIANT',
];

/** Commander's own texts begin with "error: "; ours are sentences. */
const sentence = (text: string): string => {
  const plain = text.replace(/^error: /, '').trimEnd();
  const whole = /[.?!)]$/.test(plain) ? plain : `${plain}.`;
  return whole.charAt(0).toUpperCase() + whole.slice(1);
};

/** `onRefused` is told which command could not make sense of its words. */
const prepare = (command: Command, onRefused: (path: string) => void, above = ''): void => {
  const path = `${above}${command.name()}`;
  command.exitOverride((error) => {
    onRefused(path);
    throw error;
  });
  command.configureOutput({ outputError: () => {} });
  for (const each of command.commands) prepare(each, onRefused, `${path} `);
};

export async function main(args: readonly string[]): Promise<void> {
  const name = programName(process.env);
  const program = createProgram(name);
  let refused: string = name;
  prepare(program, (path) => {
    refused = path;
  });
  try {
    await program.parseAsync(withoutGoValues(args), { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return; // help or version was shown
      if (error.code === 'commander.help') process.exitCode = USAGE_STATUS;
      else usageError(name, error.message, refused);
      return;
    }
    process.stderr.write(`${name}: ${error instanceof Error ? error.message : String(error)}\n`);
    const { code } = (error ?? {}) as { readonly code?: unknown };
    process.exitCode ||= USAGE_CODES.includes(code) ? USAGE_STATUS : 1;
  }
}

const usageError = (name: ProgramName, message: string, path: string): void => {
  const text = sentence(message).replace(/\n/g, ' ');
  process.stderr.write(`${name}: ${text} See ${path} --help.\n`);
  process.exitCode = USAGE_STATUS;
};

// Started as a program: as the source, or as the bundle.
if (/(?:src\/cli\/main\.ts|dist\/kilowire\.js)$/.test(process.argv[1] ?? '')) {
  await main(process.argv.slice(2));
}
