/**
 * A session that was agreed on, on its way from the control thread to the data plane: one buffer, which is handed over and
 * not copied, so that the keys in it are in one place only. As an object of many parts it took the structured clone as long
 * as a multiplication on the curve.
 *
 *     created f64 | peer, local index, remote index, initiator u32 | send key 32 | receive key 32 | source 64 | message
 * @module
 */
import { KEY_SIZE } from '../noise/constants.ts';
import type { SessionKeys } from '../noise/session-keys.ts';
import { ENDPOINT_SIZE } from '../tun/endpoint.ts';

const PEER = 8;
const LOCAL = 12;
const REMOTE = 16;
const INITIATOR = 20;
const SEND_KEY = 24;
const RECEIVE_KEY = SEND_KEY + KEY_SIZE;
const SOURCE = RECEIVE_KEY + KEY_SIZE;
const MESSAGE = SOURCE + ENDPOINT_SIZE;

export interface Agreement {
  readonly session: SessionKeys;
  /** The endpoint record of whoever agreed. */
  readonly source: Uint8Array;
  /** What is to be sent there; empty when we were the initiator. */
  readonly message: Uint8Array;
}

/** Wipes the session's own keys. */
export function packAgreement({ session, source, message }: Agreement): ArrayBuffer {
  const { sendKey, receiveKey } = session;
  const buffer = new ArrayBuffer(MESSAGE + message.length);
  const view = new DataView(buffer);
  view.setFloat64(0, session.createdAt, true);
  view.setUint32(PEER, session.peer, true);
  view.setUint32(LOCAL, session.localIndex, true);
  view.setUint32(REMOTE, session.remoteIndex, true);
  view.setUint32(INITIATOR, Number(session.isInitiator), true);
  const bytes = new Uint8Array(buffer);
  bytes.set(sendKey, SEND_KEY);
  bytes.set(receiveKey, RECEIVE_KEY);
  bytes.set(source, SOURCE);
  bytes.set(message, MESSAGE);
  sendKey.fill(0);
  receiveKey.fill(0);
  return buffer;
}

/** Its parts, lying in the buffer. */
export function unpackAgreement(buffer: ArrayBuffer): Agreement {
  const view = new DataView(buffer);
  return {
    session: {
      createdAt: view.getFloat64(0, true),
      peer: view.getUint32(PEER, true),
      localIndex: view.getUint32(LOCAL, true),
      remoteIndex: view.getUint32(REMOTE, true),
      isInitiator: view.getUint32(INITIATOR, true) !== 0,
      sendKey: new Uint8Array(buffer, SEND_KEY, KEY_SIZE),
      receiveKey: new Uint8Array(buffer, RECEIVE_KEY, KEY_SIZE),
    },
    source: new Uint8Array(buffer, SOURCE, ENDPOINT_SIZE),
    message: new Uint8Array(buffer, MESSAGE),
  };
}
