/**
 * Whole transcripts made by an independent Noise implementation, replayed through ours on both sides.
 * Source: test/vectors/wg/wg-kat.json and the generator beside it.
 * @module
 */
import { describe, expect, it } from 'vitest';
import { CookieChecker, CookieGenerator } from '../../../src/noise/cookie.ts';
import {
  consumeInitiation,
  consumeResponse,
  createInitiation,
  createResponse,
  type Remote,
} from '../../../src/noise/handshake.ts';
import {
  parseHandshakeMessage,
  TYPE_COOKIE_REPLY,
  TYPE_INITIATION,
  TYPE_RESPONSE,
} from '../../../src/noise/messages.ts';
import {
  hex,
  implementations,
  type KnownAnswer,
  knownAnswers,
  scriptedRandom,
  seededRandom,
  unhex,
} from './fixtures.ts';

const answers = knownAnswers();

describe.each(implementations)('the transcripts of wg-kat.json with %s primitives', (name, make) => {
  // Noble's X25519 takes milliseconds; eight cases hold it, all of them hold the native one.
  const cases = name === 'noble' ? answers.slice(0, 8) : answers;

  const sides = (answer: KnownAnswer) => {
    const p = make(seededRandom(1));
    const initiator = {
      privateKey: unhex(answer.initiator_static),
      publicKey: p.publicKey(unhex(answer.initiator_static)),
    };
    const responder = {
      privateKey: unhex(answer.responder_static),
      publicKey: p.publicKey(unhex(answer.responder_static)),
    };
    const presharedKey = unhex(answer.psk);
    const toResponder: Remote = {
      publicKey: responder.publicKey,
      presharedKey,
      staticStatic: p.dh(initiator.privateKey, responder.publicKey),
    };
    const toInitiator: Remote = {
      publicKey: initiator.publicKey,
      presharedKey,
      staticStatic: p.dh(responder.privateKey, initiator.publicKey),
    };
    return { p, initiator, responder, toInitiator, toResponder };
  };

  it.each(cases)('case $case: handshake bytes and keys are the same', (answer) => {
    const { p, initiator, responder, toInitiator, toResponder } = sides(answer);
    expect(hex(initiator.publicKey)).toBe(answer.initiator_static_public);
    expect(hex(responder.publicKey)).toBe(answer.responder_static_public);

    const initiating = make(scriptedRandom(unhex(answer.initiator_ephemeral)));
    const created = createInitiation(
      initiating,
      initiator,
      toResponder,
      answer.initiator_index,
      unhex(answer.tai64n),
    );
    if (created === 'zero-secret') throw new Error(created);
    new CookieGenerator(p, responder.publicKey).addMacs(created.message, 0);
    expect(hex(created.message)).toBe(answer.initiation);

    const initiation = parseHandshakeMessage(unhex(answer.initiation));
    if (initiation?.type !== TYPE_INITIATION) throw new Error('not an initiation');
    expect(initiation.sender).toBe(answer.initiator_index);
    expect(new CookieChecker(p, responder.publicKey).checkMac1(initiation.bytes)).toBe(true);
    const consumed = consumeInitiation(p, responder, initiation, (publicKey) =>
      hex(publicKey) === answer.initiator_static_public ? toInitiator : undefined,
    );
    if (typeof consumed === 'string') throw new Error(consumed);
    expect(hex(consumed.timestamp)).toBe(answer.tai64n);

    const responding = make(scriptedRandom(unhex(answer.responder_ephemeral)));
    const answered = createResponse(responding, consumed, answer.responder_index);
    if (answered === 'zero-secret') throw new Error(answered);
    new CookieGenerator(p, initiator.publicKey).addMacs(answered.message, 0);
    expect(hex(answered.message)).toBe(answer.response);
    expect(hex(answered.keys.receiveKey)).toBe(answer.initiator_send_key);
    expect(hex(answered.keys.sendKey)).toBe(answer.initiator_recv_key);

    const response = parseHandshakeMessage(unhex(answer.response));
    if (response?.type !== TYPE_RESPONSE) throw new Error('not a response');
    expect(response.receiver).toBe(answer.initiator_index);
    expect(response.sender).toBe(answer.responder_index);
    const keys = consumeResponse(p, initiator, toResponder, created.state, response);
    if (typeof keys === 'string') throw new Error(keys);
    expect(hex(keys.sendKey)).toBe(answer.initiator_send_key);
    expect(hex(keys.receiveKey)).toBe(answer.initiator_recv_key);
  });

  it.each(cases)('case $case: data packets seal and open as recorded', (answer) => {
    const p = make(seededRandom(1));
    for (const { direction, counter, plaintext, packet } of answer.data) {
      const key = unhex(direction === 'i2r' ? answer.initiator_send_key : answer.initiator_recv_key);
      const none = new Uint8Array(0);
      expect(hex(p.aeadSeal(key, counter, unhex(plaintext), none))).toBe(packet.slice(32));
      const opened = p.aeadOpen(key, counter, unhex(packet.slice(32)), none);
      expect(opened && hex(opened)).toBe(plaintext);
    }
  });

  it.each(cases)('case $case: the cookie reply opens, and the next initiation carries its mac2', (answer) => {
    const { p, responder } = sides(answer);
    const generator = new CookieGenerator(p, responder.publicKey);
    const initiation = unhex(answer.initiation);
    generator.addMacs(initiation, 0);
    expect(hex(initiation)).toBe(answer.initiation);
    const reply = parseHandshakeMessage(unhex(answer.cookie_reply));
    if (reply?.type !== TYPE_COOKIE_REPLY) throw new Error('not a cookie reply');
    expect(reply.receiver).toBe(answer.initiator_index);
    expect(generator.consumeReply(reply, 0)).toBe(true);
    generator.addMacs(initiation, 1);
    expect(hex(initiation)).toBe(answer.initiation_with_mac2);
  });
});
