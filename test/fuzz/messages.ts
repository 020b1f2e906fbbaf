/**
 * Handshake messages: real ones changed, cut and lengthened, through the parser, every some through the whole Handshaker,
 * and of these some with a mac1 that holds, so that the fields behind it are reached.
 * Source: WireGuard paper §5.4. What the parser must answer is said a second time here, byte by byte.
 * @module
 */
import { nativePrimitives } from '../../src/device/native-primitives.ts';
import { Handshaker } from '../../src/noise/handshaker.ts';
import { parseHandshakeMessage } from '../../src/noise/messages.ts';
import type { KeyPair, Primitives } from '../../src/noise/primitives.ts';
import { RandomIndices } from '../../src/noise/session-keys.ts';
import { FuzzRandom } from './random.ts';
import { FuzzFault, type FuzzTarget, must } from './target.ts';

const WALL = 1_795_219_200_000;
const NOW = 1_000_000;
const LONGEST = 256;
const CONSUME_EVERY = 64;
const AUTHENTIC_EVERY = 1024;
const ROUND = 2_000_000;
const SIZES = [148, 92, 64, 32, 0, 7, 8, 147, 149];

/** Paper §5.4.4. */
const LABEL_MAC1 = new TextEncoder().encode('mac1----');

interface Scene {
  readonly p: Primitives;
  readonly responder: Handshaker;
  readonly initiator: Handshaker;
  /** Real messages; the first is for the responder, the others for the initiator. */
  readonly messages: readonly Uint8Array[];
  readonly mac1Keys: readonly Uint8Array[];
  readonly indices: RandomIndices;
}

function setUp(random: FuzzRandom): Scene {
  const p = nativePrimitives((length) => random.bytes(length));
  const indices = new RandomIndices(p.randomBytes);
  const [ours, theirs, psk] = [p.generateKeypair(), p.generateKeypair(), random.bytes(32)];
  const side = (own: KeyPair, peer: KeyPair): Handshaker => {
    const handshaker = new Handshaker(p, indices);
    handshaker.setPrivateKey(own.privateKey);
    handshaker.addPeer(0, peer.publicKey);
    handshaker.setPresharedKey(0, psk);
    return handshaker;
  };
  const initiator = side(ours, theirs);
  const initiation = initiator.initiate(0, NOW, WALL);
  must(initiation.kind === 'initiation', 'no initiation');
  // One with the responder's keys answers, so that the responder itself has seen nothing yet.
  const answering = side(theirs, ours);
  const source = Uint8Array.of(192, 0, 2, 1, 1, 1);
  const cookie = answering.consume(initiation.message, source, NOW, true);
  must(cookie.kind === 'cookie-reply', 'no cookie reply');
  const response = answering.consume(initiation.message, source, NOW, false);
  must(response.kind === 'response', 'no response');
  return {
    p,
    responder: side(theirs, ours),
    initiator,
    messages: [initiation.message, response.message, cookie.message],
    mac1Keys: [p.hash(LABEL_MAC1, theirs.publicKey), p.hash(LABEL_MAC1, ours.publicKey)],
    indices,
  };
}

const word = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)) >>>
  0;

const same = (a: Uint8Array, b: Uint8Array, from: number, to: number): boolean => {
  for (let i = from; i < to; i += 1) if (a[i] !== b[i]) return false;
  return true;
};

/** The type, if bytes and length are of one kind; else 0. */
function typeOf(bytes: Uint8Array): number {
  const type = bytes[0] as number;
  if (bytes.length < 8 || bytes[1] !== 0 || bytes[2] !== 0 || bytes[3] !== 0) return 0;
  if (type === 1 && bytes.length === 148) return 1;
  if (type === 2 && bytes.length === 92) return 2;
  return type === 3 && bytes.length === 64 ? 3 : 0;
}

function checkParsed(bytes: Uint8Array): void {
  const parsed = parseHandshakeMessage(bytes);
  const type = typeOf(bytes);
  if (parsed === null) {
    must(type === 0, `refused a message of type ${type}`);
    return;
  }
  must(parsed.type === type, `took it for type ${parsed.type}, it is ${type}`);
  const index = word(bytes, 4);
  if (parsed.type === 1) {
    must(parsed.sender === index && parsed.encryptedTimestamp.length === 28, 'fields of an initiation');
  } else if (parsed.type === 2) {
    must(parsed.sender === index && parsed.receiver === word(bytes, 8), 'fields of a response');
  } else must(parsed.receiver === index && parsed.nonce.length === 24, 'fields of a cookie reply');
}

/** What the handshaker makes of it; only what was really sent may lead anywhere. */
function checkConsumed(scene: Scene, bytes: Uint8Array, random: FuzzRandom): void {
  const handshaker = typeOf(bytes) === 1 ? scene.responder : scene.initiator;
  const source = Uint8Array.of(192, 0, 2, random.below(4), 1, 1);
  const underLoad = random.below(4) === 0;
  const outcome = handshaker.consume(bytes, source, NOW + random.below(20_000), underLoad);
  const [initiation, response, cookie] = scene.messages as [Uint8Array, Uint8Array, Uint8Array];
  switch (outcome.kind) {
    case 'drop':
      return;
    case 'cookie-reply':
      must(underLoad && outcome.message.length === 64, 'a cookie without need');
      return;
    case 'response':
      must(same(bytes, initiation, 8, 116), 'answered an initiation nobody sent');
      return;
    case 'established':
      must(same(bytes, response, 8, 60), 'took a response nobody sent');
      return;
    case 'cookie-stored':
      must(same(bytes, cookie, 0, 64), 'took a cookie nobody sent');
  }
}

export const messages: FuzzTarget = {
  name: 'messages',
  round(seed, scale) {
    const random = new FuzzRandom(seed);
    const scene = setUp(random);
    const inUse = scene.indices.size;
    const buffer = new Uint8Array(LONGEST);
    // Views are made once: the parser is the thing to measure, not the allocator.
    const views = Array.from({ length: LONGEST + 1 }, (_, length) => buffer.subarray(0, length));
    const count = Math.ceil(ROUND * scale);
    let bytes = views[0] as Uint8Array;
    try {
      for (let i = 0; i < count; i += 1) {
        const bits = random.next();
        const template = scene.messages[bits % 3] as Uint8Array;
        buffer.set(template);
        let { length } = template;
        if ((bits & 0x700) === 0) length = SIZES[(bits >>> 12) % SIZES.length] as number;
        else if ((bits & 0x700) === 0x100) length = (bits >>> 12) & 0xff;
        bytes = views[length] as Uint8Array;
        for (let changes = (bits >>> 24) & 3; changes > 0; changes -= 1) {
          const change = random.next();
          const at = change & 0x100 ? (change >>> 9) & 7 : (change >>> 9) % LONGEST;
          buffer[at] = change & 0x80 ? change & 7 : change & 0xff;
        }
        checkParsed(bytes);
        if (i % CONSUME_EVERY !== 0) continue;
        if (i % AUTHENTIC_EVERY === 0 && length >= 32) {
          const key = scene.mac1Keys[typeOf(bytes) === 1 ? 0 : 1] as Uint8Array;
          bytes.set(scene.p.mac(key, bytes.subarray(0, length - 32)), length - 32);
        }
        checkConsumed(scene, bytes, random);
      }
      // A flood may use one index at most for a session that was real.
      must(scene.indices.size <= inUse + 1, `${scene.indices.size - inUse} indices were taken by messages`);
    } catch (cause) {
      throw new FuzzFault('messages', seed, bytes, cause);
    }
    return count;
  },
};
