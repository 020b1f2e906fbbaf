/**
 * 256-bit code is V8's doing, and only one V8 does it right.
 * @module
 */
import { expect, test } from 'vitest';
import { revectorizes } from '../../../src/aead/kernel.ts';

test('256-bit code is asked of the V8 it was tested with, which is the pinned one', () => {
  expect(revectorizes(process.versions.v8)).toBe(true);
});

test.each([
  ['20', '11.3.244.8-node.33'],
  ['22, where it aborts the process', '12.4.254.21-node.33'],
  ['23', '12.9.202.28-node.14'],
  ['one of tomorrow', '14.1.146.11-node.14'],
])('and never of that of Node %s', (_, v8) => expect(revectorizes(v8)).toBe(false));
