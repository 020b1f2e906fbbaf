/**
 * Stands between two devices and passes every datagram on, reading of each data message which key and counter it was
 * sealed with: no two may have the same. What it saw is printed as JSON when its standard input ends.
 *
 *     node nonce-relay.ts  A's side: ADDRESS PORT  B's side: ADDRESS PORT  B: ADDRESS PORT
 * @module
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import * as libc from '../../src/linux/libc.ts';

const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const TYPE_DATA = 4;

export interface RelayReport {
  readonly messages: number;
  /** Keys and counters that were seen twice. */
  readonly repeated: string[];
  readonly sessions: number;
  /** What came faster than this program could read. */
  readonly missed: number;
}

/** By direction and receiver index, a bit for each counter: they are given out one by one. */
const seen = new Map<string, Uint8Array>();
const repeated: string[] = [];
let messages = 0;

function note(direction: string, message: Buffer): void {
  if (message.length < 32 || message.readUInt32LE(0) !== TYPE_DATA) return;
  messages += 1;
  const session = `${direction} ${message.readUInt32LE(4).toString(16)}`;
  const counter = Number(message.readBigUInt64LE(8));
  let bits = seen.get(session) ?? new Uint8Array(1 << 16);
  while (counter >> 3 >= bits.length) {
    const larger = new Uint8Array(2 * bits.length);
    larger.set(bits);
    bits = larger;
  }
  seen.set(session, bits);
  const bit = 1 << (counter & 7);
  if (((bits[counter >> 3] as number) & bit) !== 0) repeated.push(`${session}: ${counter}`);
  bits[counter >> 3] = (bits[counter >> 3] as number) | bit;
}

function open(address: string, port: number): Socket {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  socket.bind(port, address, () => {
    const size = Buffer.alloc(4);
    size.writeInt32LE(32 << 20);
    const { _handle: handle } = socket as unknown as { readonly _handle: { readonly fd: number } };
    libc.setsockopt(handle.fd, SOL_SOCKET, SO_RCVBUFFORCE, size, 4);
  });
  // Of a datagram sent to nobody: nothing to do about.
  socket.on('error', () => undefined);
  return socket;
}

const [addressA = '', portA = '', addressB = '', portB = '', targetB = '', targetPortB = ''] =
  process.argv.slice(2);
const towardsA = open(addressA, Number(portA));
const towardsB = open(addressB, Number(portB));
let a: RemoteInfo | undefined;

towardsA.on('message', (message, from) => {
  a = from;
  note('A to B', message);
  towardsB.send(message, Number(targetPortB), targetB);
});
towardsB.on('message', (message) => {
  note('B to A', message);
  if (a !== undefined) towardsA.send(message, a.port, a.address);
});

process.stdin.resume();
process.stdin.on('end', () => {
  const table = ['udp', 'udp6'].map((name) => readFileSync(`/proc/self/net/${name}`, 'utf8')).join('\n');
  const missed = table
    .split('\n')
    .map((line) => Number(line.trim().split(/\s+/).at(-1)))
    .filter((drops) => Number.isInteger(drops))
    .reduce((sum, drops) => sum + drops, 0);
  const report: RelayReport = { messages, repeated: repeated.slice(0, 10), sessions: seen.size, missed };
  process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit());
});
