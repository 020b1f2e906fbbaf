/**
 * The packet cipher against transcripts of an independent implementation.
 * @module
 */
import { describe, expect, test } from 'vitest';
import { nobleTransportCipher } from '../../../src/noise/transport-cipher.ts';
import { knownAnswers, unhex } from './fixtures.ts';

const HEAD = 16;

describe('the packet cipher', () => {
  test('seals and opens the data of every known transcript, in place', () => {
    for (const answer of knownAnswers()) {
      for (const data of answer.data) {
        const key = unhex(data.direction === 'i2r' ? answer.initiator_send_key : answer.initiator_recv_key);
        const plaintext = unhex(data.plaintext);
        const sealed = unhex(data.packet).slice(HEAD);
        const high = Math.floor(data.counter / 2 ** 32);
        const low = data.counter >>> 0;
        const bytes = new Uint8Array(5 + sealed.length + 5);
        bytes.set(plaintext, 5);
        nobleTransportCipher.seal(key, high, low, bytes, 5, plaintext.length);
        expect(bytes.slice(5, -5)).toEqual(sealed);
        expect(nobleTransportCipher.open(key, high, low, bytes, 5, sealed.length)).toBe(true);
        expect(bytes.slice(5, 5 + plaintext.length)).toEqual(plaintext);
      }
    }
  });

  test('leaves the bytes alone when the tag does not hold', () => {
    const key = new Uint8Array(32).fill(1);
    const bytes = new Uint8Array(48).fill(2);
    nobleTransportCipher.seal(key, 0xffff_ffff, 0xffff_fffe, bytes, 0, 32);
    const sealed = bytes.slice();
    expect(nobleTransportCipher.open(key, 0xffff_ffff, 0xffff_ffff, bytes, 0, 48)).toBe(false);
    expect(nobleTransportCipher.open(key, 0, 0xffff_fffe, bytes, 0, 48)).toBe(false);
    expect(nobleTransportCipher.open(key, 0xffff_ffff, 0xffff_fffe, bytes, 0, 15)).toBe(false);
    expect(bytes).toEqual(sealed);
    expect(nobleTransportCipher.open(key, 0xffff_ffff, 0xffff_fffe, bytes, 0, 48)).toBe(true);
  });
});
