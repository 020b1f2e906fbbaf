/**
 * Knocks at a WireGuard program as many clients, with few initiations under way at a time, and prints how many were
 * answered. Its arguments are an address and a port; KNOCKER_KEYS has the program's public key and the
 * clients' private ones, 32 bytes each. All initiations are made beforehand.
 * @module
 */
import { createSocket } from 'node:dgram';
import { nativePrimitives } from '../src/device/native-primitives.ts';
import { Handshaker } from '../src/noise/handshaker.ts';
import { RandomIndices } from '../src/noise/session-keys.ts';

/** Fewer than what makes any program ask for cookies (an eighth of its queue: 128 in wireguard-go). */
const WINDOW = 48;
const ROUNDS = 4;
const REKEY_TIMEOUT = 5000;
const RESPONSE = 2;
/** A message that got lost must not stop the rest. */
const LOST_AFTER = 50;

const [address = '', port = ''] = process.argv.slice(2);
const keys = Buffer.from(process.env.KNOCKER_KEYS ?? '', 'base64');
const key = (index: number): Uint8Array => Uint8Array.from(keys.subarray(index * 32, index * 32 + 32));
const primitives = nativePrimitives();
const indices = new RandomIndices(primitives.randomBytes);
const clients = Array.from({ length: keys.length / 32 - 1 }, (_, index) => {
  const client = new Handshaker(primitives, indices);
  client.setPrivateKey(key(index + 1));
  client.addPeer(0, key(0));
  return client;
});
const messages: Uint8Array[] = [];
const wall = Date.now();
for (let round = 1; round <= ROUNDS; round += 1) {
  for (const client of clients) {
    const outcome = client.initiate(0, round * (REKEY_TIMEOUT + 1), wall + round);
    if (outcome.kind === 'initiation') messages.push(outcome.message);
  }
}

const socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 20 });
let sent = 0;
let answered = 0;
let heard = 0;

function knock(): void {
  const message = messages[sent];
  if (message === undefined) return;
  sent += 1;
  socket.send(message, Number(port), address);
}

function finish(): void {
  clearInterval(watchdog);
  console.log(String(answered));
  socket.close();
}

const watchdog = setInterval(() => {
  if (performance.now() - heard < LOST_AFTER) return;
  if (sent >= messages.length) finish();
  else for (let i = 0; i < WINDOW; i += 1) knock();
}, LOST_AFTER);

socket.on('message', (message) => {
  if (message[0] !== RESPONSE) return;
  answered += 1;
  heard = performance.now();
  if (answered === messages.length) finish();
  else knock();
});
socket.bind(0, () => {
  heard = performance.now();
  for (let i = 0; i < WINDOW; i += 1) knock();
});
