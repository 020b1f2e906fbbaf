/**
 * Sends forged handshake initiations as fast as one core can: `flooder.ts PUBLIC-KEY ADDRESS PORT SECONDS singles|trains`.
 * Their mac1 is right, for a public key is no secret; what is in them is noise. `trains` go out 64 with a call, cut by
 * the kernel, and on a veth pair arrive as one. Prints how many were sent.
 * @module
 */
import { randomBytes } from 'node:crypto';
import { nativePrimitives } from '../src/device/native-primitives.ts';
import * as libc from '../src/linux/libc.ts';
import { CookieGenerator } from '../src/noise/cookie.ts';
import { INITIATION_SIZE } from '../src/noise/messages.ts';
import { writeEndpoint } from '../src/tun/endpoint.ts';
import { Slab } from '../src/tun/slab.ts';
import { UdpSender } from '../src/tun/udp-port.ts';

const TRAIN = 64;
const TRAINS = 32;
const SOCKETS = 8;
const AF_INET = 2;
const SOCK_DGRAM = 2;

const [key = '', host = '', port = '', seconds = '', shape = 'singles'] = process.argv.slice(2);
const macs = new CookieGenerator(nativePrimitives(), Buffer.from(key, 'base64'));
const slab = new Slab(1 << 20);
const first = slab.take(TRAIN * TRAINS * INITIATION_SIZE);
for (let i = 0; i < TRAIN * TRAINS; i += 1) {
  const message = randomBytes(INITIATION_SIZE);
  message.writeUInt32LE(1, 0);
  macs.addMacs(message, 0);
  slab.bytes.set(message, first + i * INITIATION_SIZE);
}
const sender = new UdpSender(slab);
const address = Uint8Array.from(host.split('.').map(Number));
writeEndpoint(slab.bytes, sender.endpoint, { address, port: Number(port), scope: 0 });
const sockets = Array.from({ length: SOCKETS }, () => libc.socket(AF_INET, SOCK_DGRAM, 0));
const size = (shape === 'trains' ? TRAIN : 1) * INITIATION_SIZE;
const end = performance.now() + Number(seconds) * 1000;
let sent = 0;
let at = 0;
while (performance.now() < end) {
  for (let call = 0; call < 64; call += 1) {
    const fd = sockets[call % SOCKETS] as number;
    if (sender.send(fd, first + at, size, INITIATION_SIZE) === 0) sent += size / INITIATION_SIZE;
    at = (at + size) % (TRAIN * TRAINS * INITIATION_SIZE);
  }
}
console.log(String(sent));
