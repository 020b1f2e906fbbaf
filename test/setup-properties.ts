/**
 * Properties look elsewhere at every run, but not in CI: there a change is judged by the same cases as the one before.
 * FC_SEED repeats a run whose seed was printed.
 * @module
 */
import fc from 'fast-check';

const seed = process.env.FC_SEED ?? (process.env.CI ? '20261121' : undefined);
if (seed !== undefined) fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: Number(seed) });
