/**
 * VLANs read from a configuration; cases and texts are those of Go's bridge plugin.
 * @module
 */
import { expect, test } from 'vitest';
import { JsonObject } from '../../../src/cni/json-object.ts';
import { parseVlans } from '../../../src/cni/vlan.ts';

const parse = (config: object) => parseVlans(new JsonObject(config, ''));

test('ranges and single VLANs of a trunk', () => {
  expect(parse({})).toBeUndefined();
  expect(parse({ vlan: 0, vlanTrunk: [] })).toBeUndefined();
  expect(parse({ vlan: 7, preserveDefaultVlan: true })).toEqual({ id: 7, trunk: [], keepsDefault: true });
  expect(parse({ vlanTrunk: [{ minID: 1, maxID: 4094, id: 9 }] })?.trunk).toEqual([
    { first: 1, last: 4094, native: false },
    { first: 9, last: 9, native: false },
  ]);
});

test.each([
  [{ minID: 10 }, 'maxID is missing'],
  [{ maxID: 10 }, 'minID is missing'],
  [{ minID: -1, maxID: 10 }, 'incorrect trunk minID parameter'],
  [{ minID: 4095, maxID: 4095 }, 'incorrect trunk minID parameter'],
  [{ minID: 1, maxID: 4095 }, 'incorrect trunk maxID parameter'],
  [{ minID: 1, maxID: -1 }, 'incorrect trunk maxID parameter'],
  [{ id: 4095 }, 'incorrect trunk id parameter'],
  [{ id: -1 }, 'incorrect trunk id parameter'],
  [{ minID: 9, maxID: 8 }, 'minID is greater than maxID in trunk parameter'],
])('a trunk of %o is refused', (entry, message) => {
  expect(() => parse({ vlanTrunk: [entry] })).toThrow(message);
});
