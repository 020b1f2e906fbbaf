/**
 * X25519 by Project Wycheproof, in every back end: twists, non-canonical keys, edge cases of the arithmetic; and a public
 * key of low order leads to no secret at all.
 */
import { describe, expect, it } from 'vitest';
import { nativePrimitives, objectPrimitives } from '../../src/device/native-primitives.ts';
import { opensslPrimitives } from '../../src/device/openssl-primitives.ts';
import { noblePrimitives } from '../../src/noise/noble.ts';
import { isZero, type Primitives } from '../../src/noise/primitives.ts';
import { seededRandom } from './noise/fixtures.ts';
import { dhCases } from './vectors-wycheproof.ts';

const cases = dhCases();
const lowOrder = cases.filter(({ shared }) => isZero(shared));
const others = cases.filter(({ shared }) => !isZero(shared));

const backends: [string, Pick<Primitives, 'dh'>][] = [
  ['noble', noblePrimitives(seededRandom(1))],
  ['native', nativePrimitives(seededRandom(1))],
  ['node:crypto', objectPrimitives],
];
const direct = opensslPrimitives();
if (direct !== undefined) backends.push(['OpenSSL', direct]);

describe.each(backends)('X25519 of %s', (_name, p) => {
  it(`gives the shared secret of all ${others.length} vectors that have one, of ${cases.length}`, () => {
    for (const each of others) expect(p.dh(each.privateKey, each.publicKey), each.id).toEqual(each.shared);
  });

  it(`gives none for the ${lowOrder.length} public keys of low order`, () => {
    for (const each of lowOrder) expect(p.dh(each.privateKey, each.publicKey), each.id).toBeNull();
  });
});
