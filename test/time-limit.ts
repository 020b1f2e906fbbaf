/**
 * How long a run of tests goes on beginning things: scripts/test.ts says until when. What is asked for by name has no
 * such limit.
 * @module
 */

const { KILOWIRE_TEST_UNTIL: until, KILOWIRE_TEST_MINUTES: minutes, KILOWIRE_TEST_REST: rest } = process.env;

/** In ms. */
export const timeLeft = (): number =>
  until === undefined ? Number.POSITIVE_INFINITY : Number(until) - Date.now();

/** A sentence, once nothing more may begin. */
export const lateness = (): string | undefined =>
  timeLeft() > 0
    ? undefined
    : `the ${minutes} minutes of this run are over (KILOWIRE_TEST_MINUTES); the rest: ${rest}`;
