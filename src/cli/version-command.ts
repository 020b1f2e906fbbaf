/**
 * `kilowire version`.
 * Source: `kg version`, `kgctl --version`.
 * @module
 */
import { arch, release } from 'node:os';
import { Command } from 'commander';
import { outputOption, print, printJson } from './output.ts';
import { version } from './version.ts';

export const versionCommand = (program: string): Command =>
  new Command('version')
    .description('print the version')
    .addOption(outputOption())
    .allowExcessArguments(false)
    .addHelpText('after', `\nExamples:\n  ${program} version\n  ${program} version -o json`)
    .action(({ output }: { readonly output: 'text' | 'json' }) => {
      if (output === 'text') return print(`${program} version ${version()}`);
      printJson({ program, version: version(), node: process.version, kernel: release(), arch: arch() });
    });
