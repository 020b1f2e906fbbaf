/**
 * A program that sends forged handshake initiations as fast as it can: `initiation-flood.ts PUBLIC-KEY ADDRESS PORT SECONDS`.
 * Their mac1 is right, for the public key is no secret; what is in them is noise. Prints how many it sent, also when
 * it is asked to end.
 * @module
 */
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { nativePrimitives } from '../../src/device/native-primitives.ts';
import { CookieGenerator } from '../../src/noise/cookie.ts';

const [key = '', address = '', port = '', seconds = ''] = process.argv.slice(2);
const primitives = nativePrimitives();
const macs = new CookieGenerator(primitives, Buffer.from(key, 'base64'));
const messages = Array.from({ length: 2000 }, () => {
  const message = randomBytes(148);
  message.writeUInt32LE(1, 0);
  macs.addMacs(message, 0);
  return message;
});
const sockets = Array.from({ length: 8 }, () => createSocket('udp4'));
const end = Date.now() + Number(seconds) * 1000;
let sent = 0;

let isOver = false;
process.once('SIGTERM', () => {
  isOver = true;
});

function burst(): void {
  if (isOver || Date.now() > end) {
    for (const socket of sockets) socket.close();
    console.log(sent);
    return;
  }
  for (let i = 0; i < 200; i += 1) {
    sockets[sent % 8]?.send(messages[sent % messages.length] as Buffer, Number(port), address);
    sent += 1;
  }
  setImmediate(burst);
}
burst();
