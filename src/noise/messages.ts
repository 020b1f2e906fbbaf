/**
 * The three handshake messages and the transport header: offsets, sizes, parsing.
 * Source: WireGuard paper §5.4.2 (initiation), §5.4.3 (response), §5.4.7 (cookie reply), §5.4.6 (transport).
 *
 *   initiation   0 type  4 sender  8 ephemeral  40 static  88 timestamp  116 mac1  132 mac2  148
 *   response     0 type  4 sender  8 receiver   12 ephemeral  44 empty  60 mac1  76 mac2  92
 *   cookie reply 0 type  4 receiver  8 nonce  32 cookie  64
 *   transport    0 type  4 receiver  8 counter  16 packet and tag
 *
 * Integers are little-endian. A parsed message is a set of views into the datagram: it lives as long as the datagram.
 * @module
 */
import { COOKIE_NONCE_SIZE, KEY_SIZE, MAC_SIZE, TAG_SIZE, TAI64N_SIZE } from './constants.ts';

export const TYPE_INITIATION = 1;
export const TYPE_RESPONSE = 2;
export const TYPE_COOKIE_REPLY = 3;
export const TYPE_TRANSPORT = 4;

/** type (1), reserved (3), index (4). */
const HEAD = 8;

export const INITIATION_EPHEMERAL = HEAD;
export const INITIATION_STATIC = INITIATION_EPHEMERAL + KEY_SIZE;
export const INITIATION_TIMESTAMP = INITIATION_STATIC + KEY_SIZE + TAG_SIZE;
export const INITIATION_MAC1 = INITIATION_TIMESTAMP + TAI64N_SIZE + TAG_SIZE;
export const INITIATION_SIZE = INITIATION_MAC1 + 2 * MAC_SIZE; // 148

export const RESPONSE_RECEIVER = HEAD;
export const RESPONSE_EPHEMERAL = RESPONSE_RECEIVER + 4;
export const RESPONSE_EMPTY = RESPONSE_EPHEMERAL + KEY_SIZE;
export const RESPONSE_MAC1 = RESPONSE_EMPTY + TAG_SIZE;
export const RESPONSE_SIZE = RESPONSE_MAC1 + 2 * MAC_SIZE; // 92

export const COOKIE_REPLY_NONCE = HEAD;
export const COOKIE_REPLY_COOKIE = COOKIE_REPLY_NONCE + COOKIE_NONCE_SIZE;
export const COOKIE_REPLY_SIZE = COOKIE_REPLY_COOKIE + MAC_SIZE + TAG_SIZE; // 64

export const TRANSPORT_COUNTER = HEAD;
export const TRANSPORT_PACKET = TRANSPORT_COUNTER + 8;
/** A keepalive: header and tag around nothing. */
export const TRANSPORT_MIN_SIZE = TRANSPORT_PACKET + TAG_SIZE; // 32

export interface Initiation {
  readonly type: typeof TYPE_INITIATION;
  readonly bytes: Uint8Array;
  readonly sender: number;
  readonly ephemeral: Uint8Array;
  readonly encryptedStatic: Uint8Array;
  readonly encryptedTimestamp: Uint8Array;
}

export interface Response {
  readonly type: typeof TYPE_RESPONSE;
  readonly bytes: Uint8Array;
  readonly sender: number;
  readonly receiver: number;
  readonly ephemeral: Uint8Array;
  readonly encryptedEmpty: Uint8Array;
}

export interface CookieReply {
  readonly type: typeof TYPE_COOKIE_REPLY;
  readonly bytes: Uint8Array;
  readonly receiver: number;
  readonly nonce: Uint8Array;
  readonly encryptedCookie: Uint8Array;
}

export type HandshakeMessage = Initiation | Response | CookieReply;

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Writes the type with its three reserved zero bytes, and the index behind it. */
export function writeHead(message: Uint8Array, type: number, index: number): void {
  const view = viewOf(message);
  view.setUint32(0, type, true);
  view.setUint32(4, index, true);
}

export function writeReceiver(response: Uint8Array, index: number): void {
  viewOf(response).setUint32(RESPONSE_RECEIVER, index, true);
}

/**
 * Any bytes in, a handshake message or null out.
 * Reading the type as one u32 makes a non-zero reserved byte an unknown type; type and length are matched together.
 */
export function parseHandshakeMessage(bytes: Uint8Array): HandshakeMessage | null {
  if (bytes.length < HEAD) return null;
  const view = viewOf(bytes);
  const type = view.getUint32(0, true);
  const index = view.getUint32(4, true);
  if (type === TYPE_INITIATION && bytes.length === INITIATION_SIZE) {
    return {
      type,
      bytes,
      sender: index,
      ephemeral: bytes.subarray(INITIATION_EPHEMERAL, INITIATION_STATIC),
      encryptedStatic: bytes.subarray(INITIATION_STATIC, INITIATION_TIMESTAMP),
      encryptedTimestamp: bytes.subarray(INITIATION_TIMESTAMP, INITIATION_MAC1),
    };
  }
  if (type === TYPE_RESPONSE && bytes.length === RESPONSE_SIZE) {
    return {
      type,
      bytes,
      sender: index,
      receiver: view.getUint32(RESPONSE_RECEIVER, true),
      ephemeral: bytes.subarray(RESPONSE_EPHEMERAL, RESPONSE_EMPTY),
      encryptedEmpty: bytes.subarray(RESPONSE_EMPTY, RESPONSE_MAC1),
    };
  }
  if (type === TYPE_COOKIE_REPLY && bytes.length === COOKIE_REPLY_SIZE) {
    return {
      type,
      bytes,
      receiver: index,
      nonce: bytes.subarray(COOKIE_REPLY_NONCE, COOKIE_REPLY_COOKIE),
      encryptedCookie: bytes.subarray(COOKIE_REPLY_COOKIE),
    };
  }
  return null;
}
