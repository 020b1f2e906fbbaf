/**
 * The other side of a device under test, as a program: it agrees on sessions with it over loopback, as often as it is
 * asked, and tells their keys. Reads one JSON line (SecretPeerOrder) from its standard input, writes one a session.
 * @module
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { nativePrimitives } from '../../src/device/native-primitives.ts';
import { Handshaker } from '../../src/noise/handshaker.ts';
import { TYPE_TRANSPORT, writeHead } from '../../src/noise/messages.ts';
import { RandomIndices } from '../../src/noise/session-keys.ts';

export interface SecretPeerOrder {
  /** Hexadecimal, all of them. */
  readonly privateKey: string;
  readonly presharedKey: string;
  readonly devicePublicKey: string;
  readonly devicePort: number;
  readonly sessions: number;
}

export interface SecretSession {
  readonly sendKey: string;
  readonly receiveKey: string;
}

const unhex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

const EMPTY = new Uint8Array(0);
const LOOPBACK = Uint8Array.of(127, 0, 0, 1, 0, 0);
const [line] = (await once(createInterface(process.stdin), 'line')) as [string];
const order = JSON.parse(line) as SecretPeerOrder;

const p = nativePrimitives();
const handshaker = new Handshaker(p, new RandomIndices(p.randomBytes));
handshaker.setPrivateKey(unhex(order.privateKey));
handshaker.addPeer(0, unhex(order.devicePublicKey));
handshaker.setPresharedKey(0, unhex(order.presharedKey));
const socket = createSocket('udp4');
socket.bind(0, '127.0.0.1');
await once(socket, 'listening');

for (let session = 0; session < order.sessions; session += 1) {
  // Our own clock runs ahead, so that nobody has to wait for the spacing of initiations.
  const now = 1_000_000 + session * 10_000;
  const initiation = handshaker.initiate(0, now, Date.now());
  if (initiation.kind !== 'initiation') throw new Error(`no initiation: ${initiation.kind}`);
  const answered = once(socket, 'message', { signal: AbortSignal.timeout(10_000) });
  socket.send(initiation.message, order.devicePort, '127.0.0.1');
  const [response] = (await answered) as [Buffer];
  const outcome = handshaker.consume(Uint8Array.from(response), LOOPBACK, now, false);
  if (outcome.kind !== 'established') throw new Error(`no session: ${JSON.stringify(outcome)}`);
  const { sendKey, receiveKey, remoteIndex } = outcome.session;
  // A keepalive confirms the session: from now on it is the device's current one.
  const keepalive = new Uint8Array(32);
  writeHead(keepalive, TYPE_TRANSPORT, remoteIndex);
  keepalive.set(p.aeadSeal(sendKey, 0, EMPTY, EMPTY), 16);
  socket.send(keepalive, order.devicePort, '127.0.0.1');
  process.stdout.write(
    `${JSON.stringify({ sendKey: hex(sendKey), receiveKey: hex(receiveKey) } satisfies SecretSession)}\n`,
  );
  await new Promise((resolve) => setTimeout(resolve, 300));
}
socket.close();
process.stdin.destroy();
