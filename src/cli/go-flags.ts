/**
 * Booleans that take no value of their own, since a command's name may follow them, written with one as Go programs allow.
 * Source: pflag (--flag, --flag=true, --flag=false).
 * @module
 */

const BOOLEANS = ['--as-peer'];

export const withoutGoValues = (args: readonly string[]): string[] =>
  args.flatMap((arg) => {
    const [flag = '', value] = arg.split('=', 2);
    if (value === undefined || !BOOLEANS.includes(flag)) return [arg];
    if (/^(?:1|t|true)$/i.test(value)) return [flag];
    return /^(?:0|f|false)$/i.test(value) ? [] : [arg];
  });
