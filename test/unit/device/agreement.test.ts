/**
 * Sessions on their way between the threads of a device.
 */
import { expect, test } from 'vitest';
import { packAgreement, unpackAgreement } from '../../../src/device/agreement.ts';

const session = () => ({
  peer: 65_535,
  localIndex: 0xfedc_ba98,
  remoteIndex: 1,
  isInitiator: false,
  createdAt: 12_345.678,
  sendKey: new Uint8Array(32).fill(1),
  receiveKey: new Uint8Array(32).fill(2),
});
const source = Uint8Array.from({ length: 64 }, (_, i) => i);

test.each([
  ['as responder, with the answer', false, new Uint8Array(92).fill(3)],
  ['as initiator, with nothing to send', true, new Uint8Array(0)],
])('an agreement comes out as it went in: %s', (_, isInitiator, message) => {
  const given = { ...session(), isInitiator };
  const buffer = structuredClone(packAgreement({ session: given, source, message }));
  expect(unpackAgreement(buffer)).toEqual({ session: { ...session(), isInitiator }, source, message });
});

test('the keys are in the buffer alone, and wiping them there is enough', () => {
  const given = session();
  const buffer = packAgreement({ session: given, source, message: new Uint8Array(92) });
  expect(given.sendKey).toEqual(new Uint8Array(32));
  expect(given.receiveKey).toEqual(new Uint8Array(32));
  const { sendKey, receiveKey } = unpackAgreement(buffer).session;
  sendKey.fill(0);
  receiveKey.fill(0);
  expect(unpackAgreement(buffer).session).toMatchObject({
    sendKey: given.sendKey,
    receiveKey: given.receiveKey,
  });
});
