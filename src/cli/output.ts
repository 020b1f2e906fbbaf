/**
 * How commands print: text or one JSON document, colour only where a person looks.
 * Source: no-color.org; isatty(3).
 * @module
 */
import { Option } from 'commander';

export type OutputFormat = 'text' | 'json';

export const outputOption = (): Option =>
  new Option('-o, --output <format>', 'text, or one JSON document').choices(['text', 'json']).default('text');

const guarded = new Set<NodeJS.WriteStream>();

/** A reader that went away (| head) is no failure. */
const guard = (stream: NodeJS.WriteStream): void => {
  if (!guarded.has(stream)) stream.on('error', () => {});
  guarded.add(stream);
};

export const print = (text: string): void => {
  guard(process.stdout);
  process.stdout.write(text.endsWith('\n') || text === '' ? text : `${text}\n`);
};

export const printJson = (value: unknown): void => print(JSON.stringify(value, null, 2));

/** For what is no part of the answer. */
export const remark = (text: string): void => {
  guard(process.stderr);
  process.stderr.write(`${text}\n`);
};

// ECMA-48 SGR
const CODES = { bold: 1, faint: 2, red: 31, green: 32, yellow: 33 } as const;
export type Paint = (style: keyof typeof CODES, text: string) => string;

/** TERM=dumb and any NO_COLOR take the colour away. */
export const paintFor = (
  stream: { readonly isTTY?: boolean },
  environment: NodeJS.ProcessEnv = process.env,
): Paint => {
  const coloured = stream.isTTY === true && !environment.NO_COLOR && environment.TERM !== 'dumb';
  return (style, text) => (coloured ? `\x1b[${CODES[style]}m${text}\x1b[0m` : text);
};
