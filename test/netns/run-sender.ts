/**
 * Sends runs of datagrams that look like transport messages of nobody, or like nothing, to an address and a port.
 * @module
 */

import { writeEndpoint } from '../../src/tun/endpoint.ts';
import { Slab } from '../../src/tun/slab.ts';
import { UdpSender } from '../../src/tun/udp-port.ts';
import { closeUdpSockets, openUdpSockets } from '../../src/tun/udp-socket.ts';

const RUNS = 20;
const [host = '', port = ''] = process.argv.slice(2);
const sockets = openUdpSockets(0);
const slab = new Slab(1 << 20);
const sender = new UdpSender(slab);
const buffer = slab.take(1 << 16);
const address = Uint8Array.from(host.split('.').map(Number));
writeEndpoint(slab.bytes, sender.endpoint, { address, port: Number(port), scope: 0 });

/** `count` datagrams of `size` bytes and one of `tail`, each beginning with `type`. */
function send(type: number, count: number, size: number, tail: number): void {
  slab.bytes.fill(0xa5, buffer, buffer + count * size + tail);
  for (let at = 0; at < count * size + tail; at += size) slab.view.setUint32(buffer + at, type, true);
  const errno = sender.send(sockets.fd4, buffer, count * size + tail, size);
  if (errno !== 0) throw new Error(`a run of ${count} was refused: errno ${errno}`);
}

for (let run = 0; run < RUNS; run += 1) {
  send(4, 128, 500, 0);
  send(9, 100, 600, 40);
}
closeUdpSockets(sockets);
