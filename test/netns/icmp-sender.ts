/**
 * Sends ICMP errors that nobody had reason to send, about datagrams from an address and port to another: all codes of
 * "unreachable" with several path MTUs, redirects, "time exceeded", "parameter problem" (RFC 792, RFC 1191).
 * Arguments: the victim's address and port, the address and port it talks to.
 * @module
 */
import * as libc from '../../src/linux/libc.ts';
import { writeEndpoint } from '../../src/tun/endpoint.ts';
import { Slab } from '../../src/tun/slab.ts';
import { UdpSender } from '../../src/tun/udp-port.ts';

const AF_INET = 2;
const SOCK_RAW = 3;
const IPPROTO_ICMP = 1;
const UDP = 17;
const ROUNDS = 20;

const [victim = '', port = '', other = '', otherPort = ''] = process.argv.slice(2);
const bytesOf = (address: string): number[] => address.split('.').map(Number);
const slab = new Slab(1 << 18);
const sender = new UdpSender(slab);
const at = slab.take(64);
writeEndpoint(slab.bytes, sender.endpoint, { address: Uint8Array.from(bytesOf(victim)), port: 0, scope: 0 });
const fd = libc.socket(AF_INET, SOCK_RAW | libc.O_CLOEXEC, IPPROTO_ICMP);

/** RFC 1071. */
function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** The head of a datagram that the victim could have sent. */
const quoted = Uint8Array.of(
  ...[0x45, 0, 5, 0xc8, 0, 1, 0, 0, 64, UDP, 0, 0, ...bytesOf(victim), ...bytesOf(other)],
  ...[Number(port) >> 8, Number(port) & 255, Number(otherPort) >> 8, Number(otherPort) & 255, 5, 0xb4, 0, 0],
);
const quotedSum = checksum(quoted.subarray(0, 20));
quoted.set([quotedSum >> 8, quotedSum & 255], 10);

function send(type: number, code: number, mtu = 0): void {
  const message = Uint8Array.of(type, code, 0, 0, 0, 0, mtu >> 8, mtu & 255, ...quoted);
  const sum = checksum(message);
  message.set([sum >> 8, sum & 255], 2);
  slab.bytes.set(message, at);
  const errno = sender.send(fd, at, message.length, message.length);
  if (errno !== 0) throw new Error(`an ICMP error was refused: errno ${errno}`);
}

for (let round = 0; round < ROUNDS; round += 1) {
  for (let code = 0; code < 16; code += 1) send(3, code);
  for (const mtu of [0, 68, 552, 1280, 65_535]) send(3, 4, mtu);
  for (let code = 0; code < 4; code += 1) send(5, code);
  for (const type of [4, 11, 12]) send(type, 0);
}
libc.close(fd);
