/**
 * deploy/ says what the sources say; `npm run docs` writes it anew.
 * @module
 */
import { describe, expect, it } from 'vitest';
import { differences } from '../../scripts/deploy-files.ts';

describe('deploy/', () => {
  it('is up to date (npm run docs)', () => expect(differences()).toEqual([]));
});
