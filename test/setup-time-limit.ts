/**
 * Before every test of a project whose run has a limit: what comes too late is skipped, and what failed is not tried again.
 * @module
 */
import { beforeEach } from 'vitest';
import { lateness } from './time-limit.ts';

let isSaid = false;

beforeEach(({ skip, task }) => {
  const late = lateness();
  if (late === undefined) return;
  // A test that is skipped in a later try would not count as failed.
  if ((task.result?.retryCount ?? 0) > 0) throw new Error(`not tried again: ${late}`);
  if (!isSaid) console.log(`skipping what is left here: ${late}`);
  isSaid = true;
  skip(late);
});
