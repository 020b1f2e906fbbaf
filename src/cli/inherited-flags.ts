/**
 * Flags that were written before a command's name count as if they were written after it, as in Kilo's programs
 * (`kgctl --kubeconfig F graph`, `kgctl showconf --as-peer node N`).
 * Source: persistent flags of cobra, which kg and kgctl are made with.
 * @module
 */
import { type Command, CommanderError } from 'commander';

const USAGE_STATUS = 2;

/** Takes over what its ancestors were given; one that means nothing to it is told. */
export const takeOverFlags = (command: Command): void => {
  const known = new Set(command.options.map((option) => option.attributeName()));
  for (let above = command.parent; above !== null; above = above.parent) {
    for (const option of above.options) {
      const name = option.attributeName();
      if (above.getOptionValueSource(name) !== 'cli') continue;
      if (!known.has(name))
        throw new CommanderError(
          USAGE_STATUS,
          'kilowire.option',
          `${option.long} means nothing to ${command.name()}.`,
        );
      if (command.getOptionValueSource(name) !== 'cli')
        command.setOptionValueWithSource(name, above.getOptionValue(name), 'cli');
    }
  }
};
