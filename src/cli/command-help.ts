/**
 * What a command says of itself, for those who print it elsewhere: documents, manual pages, shell completion.
 * @module
 */
import type { Command } from 'commander';

/** commander has no public word for it. */
export const isHidden = (command: Command): boolean =>
  (command as unknown as { readonly _hidden?: boolean })._hidden === true;

/** What `--help` prints, examples and all, in so many columns. */
export function helpOf(command: Command, width: number): string {
  let text = '';
  command.configureOutput({
    writeOut: (piece) => {
      text += piece;
    },
    getOutHelpWidth: () => width,
    getOutHasColors: () => false,
  });
  command.outputHelp();
  return text;
}
