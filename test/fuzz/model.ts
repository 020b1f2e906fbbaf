/**
 * Targets whose inputs a fast-check model generates and shrinks.
 * @module
 */
import fc from 'fast-check';
import { FuzzFault, type FuzzTarget } from './target.ts';

export interface Model<T> {
  readonly name: string;
  readonly inputs: fc.Arbitrary<T>;
  /** Throws when what the input did is wrong. */
  readonly check: (input: T) => void;
  /** The input as somebody would paste it. */
  readonly show: (input: T) => string;
  /** Inputs a round. */
  readonly perRound: number;
}

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

export function modelled<T>({ name, inputs, check, show, perRound }: Model<T>): FuzzTarget {
  return {
    name,
    round(seed, scale) {
      const numRuns = Math.ceil(perRound * scale);
      const result = fc.check(fc.property(inputs, check), { seed, numRuns });
      if (result.failed && result.counterexample !== null) {
        throw new FuzzFault(name, seed, show(result.counterexample[0]), result.errorInstance);
      }
      return result.numRuns;
    },
  };
}
